"""Gains that fade: sums of sinusoids with the Doppler spectrum of Jakes, or any other that is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from sdr.channel import kernel
from sdr.channel.base import Samples
from sdr.channel.paths import Taps
from sdr.channel.profiles import find
from testbed.errors import BadInput

SINUSOIDS = 32
_ROUGHEST = 0.09
"""Radians of Doppler between updates: straight lines are then off by 0.001 at most, 60 dB below the gain."""

Spectrum = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From evenly spread numbers of 0 to 1 to Doppler shifts, as shares of the largest: a spectrum's quantiles."""


def jakes(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Waves from all around, equally strong (Clarke 1968, Jakes 1974): autocorrelation J0(2 pi f t)."""
    return np.cos(2 * pi * share)


class Fading:
    """Paths that fade independently; every gain follows from its count and the seed alone."""

    def __init__(
        self,
        powers: Sequence[float],
        doppler: float,
        seed: Sequence[int],
        *,
        direct: float = 0.0,
        direct_doppler: float = 0.7,
        spectrum: Spectrum = jakes,
    ) -> None:
        """Draw the sinusoids.

        Args:
            powers: mean power of each path. doppler: the largest shift, turns per sample; 0 draws gains that stay.
            seed: of this pair: numbers of 0 or more.
            direct: power of what doesn't fade and adds to the first path. direct_doppler: its share of `doppler`.
            spectrum: of the fading paths.

        Raises:
            BadInput: the Doppler shift is not of 0 to 0.01 turns per sample, or a power is negative or not finite.
        """
        if not 0 <= doppler <= 0.01:
            raise BadInput(
                f"Doppler shift is {doppler} turns per sample; expected 0 to 0.01 (a shift of all paths is `Shifted`)"
            )
        if not all(0 <= power < np.inf for power in (*powers, direct)):
            raise BadInput(f"powers of paths are {[*powers, direct]}; expected finite numbers of 0 or more")
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence(list(seed))))
        shape = (len(powers), SINUSOIDS)
        shares = (np.arange(SINUSOIDS) + random.random((len(powers), 1))) / SINUSOIDS
        self._frequencies, self._phases = np.zeros((2, len(powers), SINUSOIDS + 1))
        self._frequencies[:, :-1] = doppler * spectrum(shares)
        self._phases[:, :-1] = random.random(shape)
        self._amplitudes = np.zeros((len(powers), SINUSOIDS + 1), np.float32)
        self._amplitudes[:, :-1] = np.sqrt(np.array(powers) / SINUSOIDS)[:, None]
        self._frequencies[0, -1], self._phases[0, -1] = doppler * direct_doppler, random.random()
        self._amplitudes[0, -1] = sqrt(direct)
        self.step = max(1, int(_ROUGHEST / (2 * pi * doppler))) if doppler else 1 << 30

    def at(self, first: int, count: int) -> Samples:
        """Return the gains at `count` updates (see paths.Gains)."""
        return kernel.sinusoids(first, count, self.step, self._frequencies, self._phases, self._amplitudes)


def rician(k: float, doppler: float, seed: Sequence[int], power: float = 1.0) -> Fading:
    """Return one path of mean `power` whose direct part is `k` times (not dB) as strong as what fades."""
    return Fading([power / (1 + k)], doppler, seed, direct=power * k / (1 + k))


def profile(
    name: str, rate: float, seed: Sequence[int], *, doppler: float = 0.0, spread: float | None = None,
    gain: float = 1.0, delay: float = 0.0,
) -> Taps:  # fmt: skip
    """Return the channel of a 3GPP profile.

    Args:
        name: one of profiles.PROFILES. rate: samples per second. seed: of this pair.
        doppler: largest shift in hertz. spread: delay spread in seconds, for normalised profiles.
        gain: amplitude, from the path loss. delay: seconds, of all paths besides their own.

    Raises:
        BadInput: an unknown profile, or a value out of bounds.
    """
    known = find(name)
    powers, direct = known.powers()
    fading = Fading(
        [power * gain**2 for power in powers], doppler / rate, seed,
        direct=direct * gain**2, direct_doppler=known.direct_doppler,
    )  # fmt: skip
    return Taps([(delay + own) * rate for own in known.delays(spread)], fading)
