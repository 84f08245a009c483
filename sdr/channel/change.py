"""Channels that become others: at a count that somebody names, or all the time, as the channels of moving radios do.

One channel goes over into the next in a straight line, sample by sample, so that nothing clicks. That holds for every
change alike, of gain, delay, profile or place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np

from sdr.channel.base import Channel, Impairment, Samples
from sdr.channel.impairments import Clipping
from testbed.errors import BadInput


class Changing:
    """A channel that can be exchanged while samples go through it."""

    def __init__(self, channel: Channel, ramp: int, reach: int) -> None:
        """Take the channel at the start.

        Args:
            ramp: samples, one or more, that a change takes. reach: the greatest that a later channel may have.
        """
        self.reach = max(reach, channel.reach)
        self._ramp = ramp
        self._steps: list[tuple[int, Channel]] = [(-ramp, channel)]

    def check(self, channel: Channel) -> None:
        """Refuse what it cannot become.

        Raises:
            BadInput: the channel looks further back than samples are kept.
        """
        if channel.reach > self.reach:
            raise BadInput(
                f"the longest delay and its filter are {channel.reach} samples; "
                f"expected {self.reach} at most, which the broker keeps (the scenario's `memory`)"
            )

    def become(self, channel: Channel, at: int) -> None:
        """Go over into another channel from count `at` on, which no earlier change may lie behind.

        Raises:
            BadInput: see `check`.
        """
        self.check(channel)
        self._steps.append((at, channel))

    def add(self, line: Samples, start: int, out: Samples) -> None:
        """Add what arrives (see base.Channel)."""
        self._forget(start)
        if len(self._steps) == 1:
            ((_, channel),) = self._steps
            channel.add(line[self.reach - channel.reach :], start, out)
            return
        for begin, end in pairwise(self._edges(start, start + len(out))):
            mixed = [(at, channel) for at, channel in self._steps if at <= begin < at + self._ramp]
            (_, settled), *_ = [step for step in reversed(self._steps) if step[0] + self._ramp <= begin]
            part = line[: len(line) - (start + len(out) - end)]
            _mix(
                settled,
                [(channel, at, self._ramp) for at, channel in mixed],
                part,
                begin,
                out[begin - start : end - start],
            )

    def _edges(self, start: int, stop: int) -> list[int]:
        """Where, from a block's start to its end, a change begins or ends."""
        inner = {edge for at, _ in self._steps for edge in (at, at + self._ramp) if start < edge < stop}
        return [start, *sorted(inner), stop]

    def _forget(self, start: int) -> None:
        """Blocks come in order: what has been gone over from is not needed again."""
        while len(self._steps) > 1 and self._steps[1][0] + self._ramp <= start:
            del self._steps[0]


class Moving:
    """A channel that follows from the time alone: every `step` samples it has become the next."""

    def __init__(self, at: Callable[[int], Channel], step: int, reach: int) -> None:
        """Take the channels.

        Args:
            at: the channel at a count, a multiple of `step`. reach: the greatest that any of them has.
        """
        self.reach = reach
        self._step = step
        self._at = lru_cache(maxsize=2)(at)

    def add(self, line: Samples, start: int, out: Samples) -> None:
        """Add what arrives (see base.Channel)."""
        stop = start + len(out)
        for begin, end in pairwise([*self._edges(start, stop), stop]):
            origin = begin - begin % self._step
            part = line[: len(line) - (stop - end)]
            following = (self._at(origin + self._step), origin, self._step)
            _mix(self._at(origin), [following], part, begin, out[begin - start : end - start])

    def _edges(self, start: int, stop: int) -> Iterator[int]:
        yield start
        yield from range(start - start % self._step + self._step, stop, self._step)


def _mix(settled: Channel, coming: list[tuple[Channel, int, int]], line: Samples, start: int, out: Samples) -> None:
    """Add a channel's share of a piece, or that of channels on their way: each with its first count and its ramp."""
    if not coming:
        settled.add(line[len(line) - len(out) - settled.reach :], start, out)
        return
    sum_ = np.zeros_like(out)
    settled.add(line[len(line) - len(out) - settled.reach :], start, sum_)
    for channel, at, ramp in coming:
        arrived = np.zeros_like(out)
        channel.add(line[len(line) - len(out) - channel.reach :], start, arrived)
        share = (np.arange(start - at, start - at + len(out)) / ramp).astype(np.float32)
        sum_ += share * (arrived - sum_)
    out += sum_


class Replaceable:
    """What a receiver does to its sum, one thing after the other, until others take their place at a count."""

    def __init__(self, impairments: tuple[Impairment, ...]) -> None:
        """Take what is done from the start."""
        self._steps: list[tuple[int, tuple[Impairment, ...]]] = [(0, impairments)]
        self._clipped = 0

    @property
    def clipped(self) -> int:
        """Samples that were clipped."""
        return self._clipped + sum(one.clipped for one in self._steps[0][1] if isinstance(one, Clipping))

    def become(self, impairments: tuple[Impairment, ...], at: int) -> None:
        """Do these instead from count `at` on, which no earlier change may lie behind."""
        self._steps.append((at, impairments))

    def apply(self, samples: Samples, start: int) -> None:
        """Change the samples (see base.Impairment)."""
        while len(self._steps) > 1 and self._steps[1][0] <= start:
            self._clipped = self.clipped
            del self._steps[0]
        if len(self._steps) == 1:
            for one in self._steps[0][1]:
                one.apply(samples, start)
            return
        stop = start + len(samples)
        edges = [max(start, at) for at, _ in self._steps if at < stop]
        for (begin, end), (_, impairments) in zip(pairwise([*edges, stop]), self._steps, strict=False):
            for one in impairments:
                one.apply(samples[begin - start : end - start], begin)
