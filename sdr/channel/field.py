"""What differs from place to place, and little between places that are close: shadowing, lines of sight."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

_WAVES = 256
"""Cosines in the sum: the values are normally distributed to 0.01 of their distribution function."""


class Field:
    """A normally distributed value of mean 0 and deviation 1 everywhere on the ground.

    Between two places `d` apart its correlation is exp(-d / distance), as TR 38.901 has it (equation 7.4-5). It is a
    sum of cosines whose wave numbers are drawn from the spectrum of that correlation, so that no map has to be kept.
    """

    def __init__(self, distance: float, seed: Sequence[int]) -> None:
        """Draw it.

        Args:
            distance: metres, in which the correlation falls to 1/e. seed: the same gives the same field.
        """
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence(list(seed))))
        directions, self._phases = random.uniform(0, 2 * pi, (2, _WAVES))
        numbers = np.sqrt((1 - random.random(_WAVES)) ** -2 - 1) / distance
        self._waves = numbers * (np.cos(directions), np.sin(directions))

    def at(self, x: float, y: float) -> float:
        """Return the value at a place, in metres."""
        return sqrt(2 / _WAVES) * float(np.cos(x * self._waves[0] + y * self._waves[1] + self._phases).sum())

    def over(self, east: NDArray[np.float64], north: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values over a grid, by northing and easting, both in metres."""
        across = np.exp(1j * np.outer(self._waves[0], east))
        up = np.exp(1j * (np.outer(north, self._waves[1]) + self._phases))
        return sqrt(2 / _WAVES) * (up @ across).real
