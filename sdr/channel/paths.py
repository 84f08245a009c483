"""Channels: a gain, a tapped delay line whose gains may change, a shift of frequency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sdr.channel import kernel
from sdr.channel.base import LATENCY, Channel, Samples
from sdr.channel.delays import LENGTH, fractional
from testbed.errors import BadInput

_FINEST = 1 / 4096
"""Samples; what delays are rounded to, so that filters repeat. 0.06 ns of error at 1.92 Msample/s."""


_PIECE, _WHOLE = 3.0, 0.25
"""Work of LENGTH coefficients of a merged filter, and of a path without a filter, in units of a path's filter."""


class Gains(Protocol):
    """The complex gains of several paths through time: what fades, is recorded, or stands still."""

    @property
    def step(self) -> int:
        """Samples from one update to the next; in between the gains go in a straight line."""
        ...

    def at(self, first: int, count: int) -> Samples:
        """Return complex64[count, paths] of updates `first` on; update u is at count u times `step`."""
        ...


@dataclass(frozen=True)
class Still:
    """Gains that stay."""

    gains: tuple[complex, ...]
    step: int = 1 << 30

    def at(self, first: int, count: int) -> Samples:
        """Return the same gains `count` times."""
        return np.tile(np.array(self.gains, np.complex64), (count, 1))


class Gain:
    """One path whose delay is a whole number of samples: what most pairs of a scenario are, at the speed of memory."""

    def __init__(self, gain: complex, delay: int = 0) -> None:
        """Take a gain of amplitude and a delay in samples.

        Raises:
            BadInput: the gain is not finite or the delay negative.
        """
        _check([gain], [delay])
        self.gain = np.complex64(gain)
        self.delay = delay
        self.reach = delay + LATENCY

    def add(self, line: Samples, start: int, out: Samples) -> None:
        """Add the block, `gain` times as strong (see base.Channel)."""
        begin = len(line) - len(out) - self.reach
        kernel.scale(parts(line), begin, self.gain.real, self.gain.imag, parts(out))


class Taps:
    """Several paths with a delay and a gain each; only delays that are no whole number of samples cost a filter."""

    def __init__(self, delays: Sequence[float], gains: Gains) -> None:
        """Take the paths.

        Args:
            delays: samples, any fraction. gains: as many paths.

        Raises:
            BadInput: a delay is negative or not finite, a gain at the start not finite, or their numbers differ.
        """
        _check(gains.at(0, 1)[0], delays)
        rounded = [round(delay / _FINEST) * _FINEST for delay in delays]
        self._filtered = np.array([delay != floor(delay) for delay in rounded])
        oldest = [floor(delay) + (LENGTH if delay != floor(delay) else LATENCY) for delay in rounded]
        self._oldest = np.array(oldest, np.int64)
        self._filters = np.array([fractional(delay - floor(delay))[::-1] for delay in rounded])
        self.gains = gains
        self.reach = max(oldest)
        pieces = ceil((self.reach + 1) / LENGTH)
        self._merged: NDArray[np.float32] | None = None
        if _PIECE * pieces < self._filtered.sum() + _WHOLE * (~self._filtered).sum():
            self.reach = pieces * LENGTH - 1
            self._merged = self._spread(pieces * LENGTH)

    def add(self, line: Samples, start: int, out: Samples) -> None:
        """Add the block over all paths (see base.Channel)."""
        if not len(out):
            return
        step = self.gains.step
        first, last = start // step, (start + len(out) - 1) // step
        gains = self.gains.at(first, last - first + 2)
        sent, sum_ = parts(line[len(line) - len(out) - self.reach :]), parts(out)
        if self._merged is None:
            kernel.taps(sent, self._oldest, self._filters, self._filtered, gains, step, start, sum_)
        else:
            kernel.merged(sent, self._merged, gains, step, start, sum_)

    def _spread(self, width: int) -> NDArray[np.float32]:
        """Every path's filter at its place in one of `width` coefficients, whose last stands for no delay at all."""
        spread = np.zeros((len(self._oldest), width + LENGTH), np.float32)
        for row, oldest, filter, filtered in zip(spread, self._oldest, self._filters, self._filtered, strict=True):
            place = width - 1 - oldest
            row[place : place + LENGTH] = filter if filtered else np.eye(1, LENGTH)
        return np.ascontiguousarray(spread[:, :width])


class Shifted:
    """A channel behind which everything is shifted in frequency: the Doppler shift of a pair, exact at any count."""

    def __init__(self, channel: Channel, turns: float, phase: float = 0.0) -> None:
        """Take a channel, its shift in turns per sample (hertz divided by the sample rate), and turns at count 0."""
        self._channel, self._turns, self._phase = channel, turns, phase
        self.reach = channel.reach

    def add(self, line: Samples, start: int, out: Samples) -> None:
        """Add the block, shifted (see base.Channel)."""
        arrived = np.zeros_like(out)
        self._channel.add(line, start, arrived)
        kernel.rotate(parts(arrived), start, self._turns, self._phase)
        out += arrived


def decibel(db: float) -> float:
    """Return the amplitude of a gain in dB."""
    return 10 ** (db / 20)


def parts(samples: Samples) -> NDArray[np.float32]:
    """Return the samples' real and imaginary parts, interleaved, without a copy."""
    return samples.view(np.float32)


def _check(gains: Sequence[complex] | Samples, delays: Sequence[float]) -> None:
    if len(gains) != len(delays) or not len(gains):
        raise BadInput(
            f"{len(delays)} delays and {len(gains)} gains; expected one of each per path, and at least one path"
        )
    for number, (gain, delay) in enumerate(zip(gains, delays, strict=True)):
        if not np.isfinite(gain):
            raise BadInput(f"path {number}: gain is {gain}; expected a finite number")
        if not 0 <= delay < 2**31:
            raise BadInput(f"path {number}: delay is {delay} samples; expected 0 or more")
