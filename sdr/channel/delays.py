"""Fractional delays: a short filter for every fraction of a sample."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sdr.channel.base import LATENCY

LENGTH = 2 * LATENCY
BAND = 0.4
"""Cycles per sample up to which the filters are exact: the middle 80 % of the band."""
_GRID = np.linspace(0, BAND, 256)
_BASIS = np.exp(-2j * np.pi * np.outer(_GRID, np.arange(LENGTH)))
_ROUNDS = 40


@lru_cache(maxsize=4096)
def fractional(fraction: float) -> NDArray[np.float32]:
    """Return the filter that delays by LATENCY - 1 + `fraction` samples.

    Its coefficients stand for delays of 0 to LENGTH - 1 samples. The greatest error over BAND is made least (Lawson's
    iteration of weighted least squares), since a bound on the complex error bounds the errors of gain and delay alike.

    Args:
        fraction: samples, 0 to 1.
    """
    wanted = np.exp(-2j * np.pi * _GRID * (LATENCY - 1 + fraction))
    weights = np.full(len(_GRID), 1 / len(_GRID))
    taps = np.zeros(LENGTH)
    for _ in range(_ROUNDS):
        weighted = _BASIS.conj().T * weights
        taps = np.linalg.solve(np.real(weighted @ _BASIS), np.real(weighted @ wanted))
        weights = weights * np.abs(_BASIS @ taps - wanted)
        total = weights.sum()
        if total < 1e-9:  # a whole number of samples: one coefficient, no error
            break
        weights /= total
    return taps.astype(np.float32)
