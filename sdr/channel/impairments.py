"""What a receiver's front end, and whoever disturbs it, does to the sum of all that arrives."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, log10, sin

import numpy as np

from sdr.channel import kernel
from sdr.channel.base import Samples
from sdr.channel.paths import parts
from testbed.errors import BadInput

BOLTZMANN = 1.380649e-23
ROOM = 290.0
"""Kelvin; the temperature that noise figures are stated for (IEEE)."""


def thermal(rate: float, figure: float, full_scale: float) -> float:
    """Return the power of a receiver's noise, in units of the samples' power.

    Args:
        rate: samples per second, all of whose band is filled. figure: noise figure in dB.
        full_scale: dBm that a sample of magnitude 1 stands for.
    """
    return 10 ** ((10 * log10(BOLTZMANN * ROOM * rate * 1e3) + figure - full_scale) / 10)


def key(seed: Sequence[int]) -> int:
    """Return the 32-bit key of a counter-based generator for a seed of any numbers of 0 or more."""
    return int(np.random.SeedSequence(list(seed)).generate_state(1)[0])


class Noise:
    """White Gaussian noise."""

    def __init__(self, power: float, seed: Sequence[int]) -> None:
        """Take the mean power of the noise: `thermal`, or the signal's power divided by the SNR.

        Raises:
            BadInput: the power is negative or not finite.
        """
        self._power, self._key = _power("noise", power), key(seed)

    def apply(self, samples: Samples, start: int) -> None:
        """Add the noise (see base.Impairment)."""
        kernel.noise(parts(samples), start, self._key, self._power)


class Offset:
    """A carrier offset of the receiver's oscillator."""

    def __init__(self, turns: float) -> None:
        """Take the offset in turns per sample: hertz divided by the sample rate."""
        self._turns = turns

    def apply(self, samples: Samples, start: int) -> None:
        """Turn the samples (see base.Impairment)."""
        kernel.rotate(parts(samples), start, self._turns, 0.0)


class PhaseNoise:
    """Phase noise of a stated spectrum."""

    _LINES = 64

    def __init__(self, spectrum: Sequence[tuple[float, float]], rate: float, seed: Sequence[int]) -> None:
        """Draw sinusoids, even over the logarithm of the frequency, with the power of the spectrum around each.

        Args:
            spectrum: (offset from the carrier in hertz, dBc/Hz), rising offsets; in between straight lines over the
                offset's logarithm, outside nothing. rate: samples per second. seed: of this receiver.

        Raises:
            BadInput: fewer than two points, offsets that do not rise from above 0, or one beyond rate / 64, where
                straight lines between updates would no longer do.
        """
        offsets, levels = np.array(spectrum, float).reshape(-1, 2).T
        if len(offsets) < 2 or offsets[0] <= 0 or not np.all(np.diff(offsets) > 0) or offsets[-1] > rate / 64:
            raise BadInput(
                f"phase noise is stated at {offsets.tolist()} Hz; expected two or more rising offsets from above 0 "
                f"to {rate / 64:g} Hz, the 64th of the sample rate"
            )
        edges = np.geomspace(offsets[0], offsets[-1], self._LINES + 1)
        middles = np.sqrt(edges[1:] * edges[:-1])
        density = 10 ** (np.interp(np.log(middles), np.log(offsets), levels) / 10)
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence(list(seed))))
        self._frequencies = (middles / rate)[None]
        self._phases = random.random((1, self._LINES))
        # Both sidebands carry L(f): the phase's power is twice that, a sinusoid's half its amplitude squared. In turns.
        self._amplitudes = (np.sqrt(4 * density * np.diff(edges)) / (2 * np.pi))[None].astype(np.float32)

    def apply(self, samples: Samples, start: int) -> None:
        """Turn every sample by the phase at its count (see base.Impairment)."""
        first, updates = start // kernel.WOBBLE, len(samples) // kernel.WOBBLE + 3
        lines = (self._frequencies, self._phases, self._amplitudes)
        phases = kernel.sinusoids(first, updates, kernel.WOBBLE, *lines)[:, 0].real
        kernel.wobble(parts(samples), start % kernel.WOBBLE, np.ascontiguousarray(phases))


class Imbalance:
    """Unequal gain of the I and Q branches, and an angle between them that is not square."""

    def __init__(self, gain: float, angle: float) -> None:
        """Take the gain of Q over I in dB and the angle's error in radians.

        Raises:
            BadInput: not finite.
        """
        if not (np.isfinite(gain) and np.isfinite(angle)):
            raise BadInput(f"I/Q imbalance is {gain} dB and {angle} rad; expected finite numbers")
        size = 10 ** (gain / 20)
        self._across, self._along = np.float32(size * sin(angle)), np.float32(size * cos(angle))

    def apply(self, samples: Samples, start: int) -> None:
        """Mix I into Q (see base.Impairment)."""
        samples.imag = self._along * samples.imag + self._across * samples.real


class Clipping:
    """A converter's end of scale: I and Q are held to -`level` to `level`."""

    def __init__(self, level: float) -> None:
        """Take the largest magnitude of I and of Q.

        Raises:
            BadInput: the level is not above 0.
        """
        if not 0 < level < np.inf:
            raise BadInput(f"clipping level is {level}; expected more than 0")
        self._level = level
        self.clipped = 0

    def apply(self, samples: Samples, start: int) -> None:
        """Clip, and count the samples that were (see base.Impairment)."""
        values = parts(samples).reshape(-1, 2)
        self.clipped += int(np.count_nonzero((np.abs(values) > self._level).any(axis=1)))
        np.clip(values, -self._level, self._level, out=values)


class Jammer:
    """Somebody who sends a tone, or noise over the whole band, all the time or in pulses."""

    def __init__(
        self, power: float, seed: Sequence[int], *, tone: float | None = None, period: int = 1, on: int = 1
    ) -> None:
        """Take what is sent.

        Args:
            power: mean power while it sends, as received. seed: of this jammer.
            tone: turns per sample; None is noise. period, on: samples from pulse to pulse, and of a pulse.

        Raises:
            BadInput: a negative power, or pulses longer than their period.
        """
        if not 1 <= on <= period:
            raise BadInput(f"a jammer's pulses of {on} samples every {period}; expected 1 to {period} samples")
        self._power, self._key = _power("jammer", power), key(seed)
        self._tone, self._period, self._on = tone, period, on

    def apply(self, samples: Samples, start: int) -> None:
        """Add what is sent (see base.Impairment)."""
        sent = np.zeros_like(samples)
        if self._tone is None:
            kernel.noise(parts(sent), start, self._key, self._power)
        else:
            sent[:] = np.sqrt(np.float32(self._power))
            kernel.rotate(parts(sent), start, self._tone, self._key / 2**32)
        if self._on < self._period:
            sent[np.arange(start, start + len(sent)) % self._period >= self._on] = 0
        samples += sent


def _power(whose: str, power: float) -> float:
    if not 0 <= power < np.inf:
        raise BadInput(f"power of {whose} is {power}; expected a finite number of 0 or more")
    return power
