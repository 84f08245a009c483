"""Fractional delays: a short filter for every fraction of a sample."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from sdr.channel.base import LATENCY

LENGTH = 2 * LATENCY
BAND = 0.4
"""Cycles per sample up to which the filters are exact: the middle 80 % of the band."""
_GRID = np.linspace(0, BAND, 256)
_BASIS = np.exp(-2j * np.pi * np.outer(_GRID, np.arange(LENGTH)))
_ROUNDS = 40
_FRACTIONS = 9
"""At which filters are designed. Polynomials through them miss those designed in between by a millionth."""


@lru_cache(maxsize=4096)
def fractional(fraction: float) -> NDArray[np.float32]:
    """Return the filter that delays by LATENCY - 1 + `fraction` samples.

    Its coefficients stand for delays of 0 to LENGTH - 1 samples.

    Args:
        fraction: samples, 0 to 1.
    """
    return (np.cos(np.arange(_FRACTIONS) * np.arccos(2 * fraction - 1)) @ _polynomials()).astype(np.float32)


@cache
def _polynomials() -> NDArray[np.float64]:
    """Return float64[_FRACTIONS, LENGTH]: every coefficient as a sum of Chebyshev polynomials of 2 `fraction` - 1."""
    places = chebyshev.chebpts1(_FRACTIONS)
    filters = np.array([_designed((place + 1) / 2) for place in places])
    return np.asarray(chebyshev.chebfit(places, filters, _FRACTIONS - 1), np.float64)


def _designed(fraction: float) -> NDArray[np.float64]:
    """Return the filter whose greatest error over BAND is least (Lawson's iteration of weighted least squares).

    A bound on the complex error bounds the errors of gain and delay alike.
    """
    wanted = np.exp(-2j * np.pi * _GRID * (LATENCY - 1 + fraction))
    weights = np.full(len(_GRID), 1 / len(_GRID))
    taps = np.zeros(LENGTH)
    for _ in range(_ROUNDS):
        weighted = _BASIS.conj().T * weights
        taps = np.linalg.solve(np.real(weighted @ _BASIS), np.real(weighted @ wanted))
        weights = weights * np.abs(_BASIS @ taps - wanted)
        weights /= weights.sum()
    return taps
