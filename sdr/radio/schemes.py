"""The modulation and coding schemes of NR (TS 38.214), and what share of blocks fails at a SINR."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from sdr.radio.modulation import constellation

_CODE_BLOCK = 8448 - 24
"""Bits of a code block of LDPC base graph 1 without its own check (TS 38.212 5.2.2)."""


@dataclass(frozen=True)
class Scheme:
    """A modulation and a code: bits of a point, code rate."""

    order: int
    rate: float

    @property
    def efficiency(self) -> float:
        """Information bits of a resource element."""
        return self.order * self.rate


def _table(*rows: tuple[int, tuple[float, ...]]) -> tuple[Scheme, ...]:
    return tuple(Scheme(order, rate / 1024) for order, rates in rows for rate in rates)


CQI: Mapping[str, tuple[Scheme, ...]] = {
    "64qam": _table(
        (2, (78, 120, 193, 308, 449, 602)), (4, (378, 490, 616)), (6, (466, 567, 666, 772, 873, 948)),
    ),
    "256qam": _table(
        (2, (78, 193, 449)), (4, (378, 490, 616)), (6, (466, 567, 666, 772, 873)), (8, (711, 797, 885, 948)),
    ),
}  # fmt: skip
"""Channel quality from index 1 on: TS 38.214 tables 5.2.2.1-2 and 5.2.2.1-3."""

MCS: Mapping[str, tuple[Scheme, ...]] = {
    "64qam": _table(
        (2, (120, 157, 193, 251, 308, 379, 449, 526, 602, 679)),
        (4, (340, 378, 434, 490, 553, 616, 658)),
        (6, (438, 466, 517, 567, 616, 666, 719, 772, 822, 873, 910, 948)),
    ),
    "256qam": _table(
        (2, (120, 193, 308, 449, 602)),
        (4, (378, 434, 490, 553, 616, 658)),
        (6, (466, 517, 567, 616, 666, 719, 772, 822, 873)),
        (8, (682.5, 711, 754, 797, 841, 885, 916.5, 948)),
    ),
}
"""Modulation and coding from index 0 on: TS 38.214 tables 5.1.3.1-1 and 5.1.3.1-2."""


@cache
def information(order: int, snr: float) -> tuple[float, float]:
    """Return mean and variance of the information that a received point has about the one sent, bits and their square.

    In white noise, for equally likely points of TS 38.211 5.1. Both axes of a point are alike and independent, so one
    is integrated (Gauss-Hermite) and counted twice.

    Args:
        order: bits of a point. snr: dB.
    """
    levels = np.unique(constellation(order).real.round(6)).astype(float)
    deviation = math.sqrt(10 ** (-snr / 10) / 2)
    nodes, weights = _quadrature()
    received = levels[:, None] + deviation * nodes
    distances = (received[..., None] - levels) ** 2 - (deviation * nodes[:, None]) ** 2
    density = -np.log2(np.exp(-distances / (2 * deviation**2)).mean(axis=-1))
    share = np.broadcast_to(weights / weights.sum() / len(levels), density.shape)
    mean = float(np.sum(share * density))
    return 2 * mean, 2 * float(np.sum(share * (density - mean) ** 2))


@cache
def _quadrature() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places and weights of Gauss and Hermite's quadrature; finding them takes longer than using them."""
    return np.polynomial.hermite_e.hermegauss(64)


def block_errors(scheme: Scheme, snr: float, bits: int) -> float:
    """Return the share of transport blocks that fail in white noise.

    What is computed for the best code of that length, as much later as the scheme's blocks were measured to fail with
    NR's code and the decoder of `ldpc`.

    Args:
        scheme: modulation and code. snr: of a resource element, dB. bits: of the transport block.
    """
    return computed_errors(scheme, snr - loss(scheme), bits)


def loss(scheme: Scheme) -> float:
    """Return how many dB later than computed a scheme's blocks fail; between the rates measured, on straight lines."""
    measured = _losses()
    rows = measured[measured[:, 0] == scheme.order]
    return float(np.interp(1024 * scheme.rate, rows[:, 1], rows[:, 2]))


@cache
def _losses() -> NDArray[np.float64]:
    with resources.files("sdr.radio").joinpath("losses.csv").open() as text:
        return np.loadtxt(text, delimiter=",")


def computed_errors(scheme: Scheme, snr: float, bits: int) -> float:
    """Return the share of transport blocks that fail in white noise with the best code of their length.

    The normal approximation (Polyanskiy, Poor, Verdú 2010, eq. 223), with the points' own information instead of a
    Gaussian's. Long blocks fail if one of their code blocks does.
    """
    parts = math.ceil(bits / _CODE_BLOCK)
    size = bits / parts
    points = size / scheme.efficiency
    mean, variance = information(scheme.order, round(snr, 2))
    margin = points * mean - size + math.log2(points) / 2
    part = math.erfc(margin / math.sqrt(2 * max(points * variance, 1e-9))) / 2
    return -math.expm1(parts * math.log1p(-part)) if part < 1 else 1.0
