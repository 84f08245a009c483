"""QPSK, 16-, 64- and 256-QAM: bytes to points and back (TS 38.211 5.1)."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sdr.radio.carrier import Samples
from testbed.errors import BadInput

Bytes = NDArray[np.uint8]
ORDERS = (2, 4, 6, 8)
"""Bits of a point: QPSK, 16-, 64-, 256-QAM."""


@cache
def constellation(order: int) -> Samples:
    """Return the points by value, the first bit the highest; their mean power is 1.

    Raises:
        BadInput: an order that is not known.
    """
    if order not in ORDERS:
        raise BadInput(f"modulation has {order} bits a point; expected 2 (QPSK), 4, 6 or 8 (16-, 64-, 256-QAM)")
    bits = np.arange(2**order)[:, None] >> np.arange(order - 1, -1, -1) & 1
    points = _axis(bits[:, 0::2]) + 1j * _axis(bits[:, 1::2])
    return (points / np.sqrt(np.mean(np.abs(points) ** 2))).astype(np.complex64)


def _axis(bits: NDArray[np.int_]) -> NDArray[np.int_]:
    """The clause's nested brackets, from the innermost."""
    signs = 1 - 2 * bits
    level = signs[:, -1]
    for place, sign in enumerate(signs.T[-2::-1], start=1):
        level = sign * (2**place - level)
    return level


def _scale(order: int) -> float:
    """What the points are multiplied by to have the levels -1, 1, 3, ..."""
    return math.sqrt((2**order - 1) / 1.5)  # the mean power of those


@cache
def _nearest(order: int) -> Bytes:
    """Values by place on the grid of levels: row by the real part, column by the imaginary one, ascending."""
    points = constellation(order)
    places = _places(points, order)
    values = np.empty(2**order, np.uint8)
    values[places] = np.arange(2**order)
    return values


def _places(points: Samples, order: int) -> NDArray[np.uint8]:
    levels = 2 ** (order // 2)
    scale = np.float32(_scale(order) / 2)
    parts = np.ascontiguousarray(points).view(np.float32) * scale
    parts += np.float32(levels / 2)
    np.clip(parts, 0, levels - 1, out=parts)
    whole = parts.astype(np.uint8)
    return whole[..., 0::2] * np.uint8(levels) + whole[..., 1::2]


def values_of(data: Bytes, order: int) -> Bytes:
    """Cut bytes into values of `order` bits; the last axis must hold whole points."""
    if order == 8:
        return data
    together, shifts, values_together = _layout(order)
    groups = data.reshape(*data.shape[:-1], -1, together)
    word = np.zeros(groups.shape[:-1], np.uint32)
    for place in range(together):
        word = word << np.uint32(8) | groups[..., place]
    values = np.empty((*word.shape, values_together), np.uint8)
    for place, shift in enumerate(shifts):
        values[..., place] = word >> np.uint32(shift) & np.uint32(2**order - 1)
    return values.reshape(*data.shape[:-1], -1)


def bytes_of(values: Bytes, order: int) -> Bytes:
    """Join values of `order` bits to bytes, the inverse of `values_of`."""
    if order == 8:
        return values
    together, shifts, values_together = _layout(order)
    groups = values.reshape(*values.shape[:-1], -1, values_together)
    word = np.zeros(groups.shape[:-1], np.uint32)
    for place, shift in enumerate(shifts):
        word |= groups[..., place].astype(np.uint32) << np.uint32(shift)
    data = np.empty((*word.shape, together), np.uint8)
    for place in range(together):
        data[..., place] = word >> np.uint32(8 * (together - 1 - place))
    return data.reshape(*values.shape[:-1], -1)


def _layout(order: int) -> tuple[int, tuple[int, ...], int]:
    """Return the fewest bytes that hold whole values, how far up each value is in them, and how many these are."""
    width = math.lcm(8, order)
    return width // 8, tuple(range(width - order, -1, -order)), width // order


def decide(points: Samples, order: int) -> Bytes:
    """Return the value of the nearest point of the constellation for each received one."""
    return _nearest(order)[_places(points, order)]


def soft(points: Samples, order: int, noise: float) -> NDArray[np.float32]:
    """Return for each bit of received points how much likelier 0 is than 1, as a logarithm; exact in white noise.

    Args:
        noise: power, of both axes together.

    Returns:
        float32[points * order], bits of a point in its own order.
    """
    half = order // 2
    bits = np.arange(2**half)[:, None] >> np.arange(half - 1, -1, -1) & 1
    levels = _axis(bits) / _scale(order)
    axes = np.ascontiguousarray(points).view(np.float32).reshape(-1, 2)
    likely = -((axes[..., None] - levels) ** 2) / noise
    told = [_sum(likely[..., one == 0]) - _sum(likely[..., one == 1]) for one in bits.T]
    return np.stack(told, axis=1).reshape(-1).astype(np.float32)


def _sum(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Add what the last axis has the logarithms of."""
    most = logarithms.max(axis=-1)
    return most + np.log(np.exp(logarithms - most[..., None]).sum(axis=-1))
