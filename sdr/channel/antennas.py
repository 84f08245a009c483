"""Several antennas at both ends: the pairs' gains are correlated as TS 36.101 clause B.2.3 has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdr.channel.base import Samples
from sdr.channel.fading import Fading
from testbed.errors import BadInput, nearest

LEVELS: Mapping[str, tuple[float, float]] = {"low": (0.0, 0.0), "medium": (0.3, 0.9), "high": (0.9, 0.9)}
"""alpha of the base station and beta of the user's device (table B.2.3.2-1)."""


def side(antennas: int, correlation: float) -> NDArray[np.float64]:
    """Return one end's correlation matrix (table B.2.3.1-1): `correlation` between the first antenna and the last.

    Raises:
        BadInput: not 1, 2 or 4 antennas.
    """
    if antennas not in (1, 2, 4):
        raise BadInput(f"{antennas} antennas; expected 1, 2 or 4")
    places = np.arange(antennas) / max(1, antennas - 1)
    return np.power(correlation, np.subtract.outer(places, places) ** 2)


class Antennas:
    """The gains of all pairs of two ends. Every pair fades as if alone; together they are correlated."""

    def __init__(self, fading: Fading, base: int, user: int, level: str) -> None:
        """Take gains that fade independently and mix them.

        Args:
            fading: of `base` times `user` paths for each path of the profile; they follow each other.
            base, user: antennas, 1, 2 or 4. level: one of LEVELS.

        Raises:
            BadInput: an unknown level, or other numbers of antennas.
        """
        if level not in LEVELS:
            raise BadInput(f"no correlation called {level!r}{nearest(level, LEVELS)} (known: {', '.join(LEVELS)})")
        alpha, beta = LEVELS[level]
        values, vectors = np.linalg.eigh(np.kron(side(base, alpha), side(user, beta)))
        # Rounded tables make it a trifle indefinite with 4 antennas (the clause adds 0.00012 to the diagonal for that).
        self._mix = (vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T).astype(np.complex64)
        self._fading, self._user = fading, user
        self._last: tuple[tuple[int, int], Samples] | None = None
        self.step = fading.step

    def pair(self, base: int, user: int) -> Pair:
        """Return the gains of antenna `base` of the base station to or from antenna `user` of the device."""
        return Pair(self, base * self._user + user)

    def at(self, first: int, count: int) -> Samples:
        """Return complex64[count, paths, pairs]; kept, since every pair asks for the same block in turn."""
        if self._last is None or self._last[0] != (first, count):
            alone = self._fading.at(first, count).reshape(count, -1, len(self._mix))
            self._last = (first, count), alone @ self._mix
        return self._last[1]


@dataclass(frozen=True)
class Pair:
    """One pair's gains (see paths.Gains)."""

    antennas: Antennas
    number: int

    @property
    def step(self) -> int:
        """Samples from one update to the next."""
        return self.antennas.step

    def at(self, first: int, count: int) -> Samples:
        """Return this pair's gains at `count` updates."""
        return np.ascontiguousarray(self.antennas.at(first, count)[..., self.number])
