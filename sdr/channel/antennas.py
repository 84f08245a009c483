"""Several antennas at both ends: the pairs' gains are correlated as TS 36.101 clause B.2.3 has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sdr.channel.base import Samples
from sdr.channel.fading import Fading
from sdr.channel.paths import Taps
from sdr.channel.profiles import find
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

    def __init__(self, fading: Fading, base: int, user: int, level: str, sight: Fading | None = None) -> None:
        """Take gains that fade independently and mix them.

        Args:
            fading: of `base` times `user` paths for each path of the profile; they follow each other.
            base, user: antennas, 1, 2 or 4. level: one of LEVELS. sight: what all pairs' first path has in common.

        Raises:
            BadInput: an unknown level, or other numbers of antennas.
        """
        if level not in LEVELS:
            raise BadInput(f"no correlation called {level!r}{nearest(level, LEVELS)} (known: {', '.join(LEVELS)})")
        alpha, beta = LEVELS[level]
        values, vectors = np.linalg.eigh(np.kron(side(base, alpha), side(user, beta)))
        # Rounded tables make it a trifle indefinite with 4 antennas (the clause adds 0.00012 to the diagonal for that).
        self._mix = (vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T).astype(np.float32)
        self._fading, self._user, self._sight = fading, user, sight
        self._last: tuple[tuple[int, int], Samples] | None = None
        self.step = fading.step

    def pair(self, base: int, user: int) -> Pair:
        """Return the gains of antenna `base` of the base station to or from antenna `user` of the device."""
        return Pair(self, base * self._user + user)

    def at(self, first: int, count: int) -> Samples:
        """Return complex64[count, paths, pairs]; kept, since every pair asks for the same block in turn."""
        if self._last is None or self._last[0] != (first, count):
            alone = self._fading.at(first, count).reshape(count, -1, len(self._mix))
            # Summed up by hand: the bits of a library's matrix product may depend on how many updates there are.
            mixed = np.zeros_like(alone)
            for number, row in enumerate(self._mix):
                mixed += alone[..., number : number + 1] * row
            if self._sight is not None:
                mixed[:, 0] += self._sight.at(first, count)
            self._last = (first, count), mixed
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


def pairs(
    name: str, rate: float, seed: Sequence[int], shape: tuple[int, int], level: str, *, doppler: float = 0.0,
    spread: float | None = None, gain: float = 1.0, delay: float = 0.0,
) -> list[list[Taps]]:  # fmt: skip
    """Return the channels of a 3GPP profile between several antennas, as `[base][user]`.

    The direct path of a profile that has one is the same for all pairs: antennas close together, facing each other.

    Args:
        shape: antennas of the base station and of the user's device, 1, 2 or 4. level: one of LEVELS.
        name, rate, seed, doppler, spread, gain, delay: as of fading.profile.

    Raises:
        BadInput: an unknown profile or level, or a value out of bounds.
    """
    known, (base, user) = find(name), shape
    powers, direct = known.powers()
    each = [power * gain**2 for power in powers for _ in range(base * user)]
    fading = Fading(each, doppler / rate, [*seed, 0])
    sight = Fading([0.0], doppler / rate, [*seed, 1], direct=direct * gain**2, direct_doppler=known.direct_doppler)
    antennas = Antennas(fading, base, user, level, sight)
    delays = [(delay + own) * rate for own in known.delays(spread)]
    return [[Taps(delays, antennas.pair(b, u)) for u in range(user)] for b in range(base)]
