"""The known sequences of NR: synchronisation signals and the pseudo-random sequence of the pilots (TS 38.211)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sdr.radio.carrier import PILOTS, Carrier, Samples
from testbed.errors import BadInput

LENGTH = 127
CELLS = 1008
"""Physical cell identities (TS 38.211 7.4.2.1): three times 336."""
_SKIP = 1600
_STEP = 28
"""The sequence's recursions look 31 to 28 places back, so that 28 new places can be computed at once."""


def _m_sequence(tap: int, first: tuple[int, ...]) -> NDArray[np.int8]:
    x = np.zeros(LENGTH, np.int8)
    x[:7] = first
    for i in range(LENGTH - 7):
        x[i + 7] = x[i + tap] ^ x[i]
    return 1 - 2 * x


@cache
def pss(sector: int) -> NDArray[np.float32]:
    """Return the primary synchronisation signal of cell identities that are `sector` modulo 3 (TS 38.211 7.4.2.2)."""
    return np.roll(_m_sequence(4, (0, 1, 1, 0, 1, 1, 1)), -43 * sector).astype(np.float32)


@cache
def sss(cell: int) -> NDArray[np.float32]:
    """Return the secondary synchronisation signal of a cell (TS 38.211 7.4.2.3)."""
    group, sector = divmod(cell, 3)
    first = (1, 0, 0, 0, 0, 0, 0)
    one = np.roll(_m_sequence(4, first), -(15 * (group // 112) + 5 * sector))
    return (one * np.roll(_m_sequence(1, first), -(group % 112))).astype(np.float32)


def gold(seeds: NDArray[np.int64], length: int) -> NDArray[np.uint8]:
    """Return the pseudo-random bits (TS 38.211 5.2.1) of several initial values, one row each."""
    total = _SKIP + length + _STEP + 31
    one, two = np.zeros((1, total), np.uint8), np.zeros((len(seeds), total), np.uint8)
    one[:, 0] = 1
    two[:, :31] = seeds[:, None] >> np.arange(31) & 1
    for n in range(0, _SKIP + length, _STEP):
        back = [slice(n + k, n + k + _STEP) for k in range(4)]
        new = slice(n + 31, n + 31 + _STEP)
        one[:, new] = one[:, back[3]] ^ one[:, back[0]]
        two[:, new] = two[:, back[3]] ^ two[:, back[2]] ^ two[:, back[1]] ^ two[:, back[0]]
    return (one ^ two)[:, _SKIP : _SKIP + length]


@cache
def pilots(carrier: Carrier, cell: int) -> Samples:
    """Return a frame's pilots by slot, pilot symbol and subcarrier: DM-RS' sequence (TS 38.211 7.4.1.1.1) on each.

    Raises:
        BadInput: no such cell.
    """
    check_cell(cell)
    symbols = np.array([[14 * slot + symbol + 1 for symbol in PILOTS] for slot in range(carrier.slots)], np.int64)
    seeds = ((symbols * (2 * cell + 1) << 17) + 2 * cell) % 2**31
    bits = gold(seeds.ravel(), 2 * carrier.subcarriers).astype(np.float32)
    points = ((1 - 2 * bits) * np.float32(np.sqrt(0.5))).view(np.complex64)
    return points.reshape(carrier.slots, len(PILOTS), carrier.subcarriers)


def check_cell(cell: int) -> None:
    """Check a physical cell identity.

    Raises:
        BadInput: not from 0 to 1007.
    """
    if not 0 <= cell < CELLS:
        raise BadInput(f"cell is {cell}; expected a physical cell identity from 0 to {CELLS - 1}")


def middle(carrier: Carrier) -> tuple[slice, slice]:
    """Return which subcarriers carry a synchronisation signal, and which of its 127 elements.

    It lies around the middle of the carrier; a carrier narrower than the signal has the elements that fit.
    """
    half, reach = carrier.subcarriers // 2, LENGTH // 2
    if half > reach:
        return slice(half - reach, half + reach + 1), slice(None)
    return slice(None), slice(reach - half, reach + half)
