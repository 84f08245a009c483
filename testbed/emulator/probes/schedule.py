"""When the packets of a flow are due, and how large each is: seconds from the flow's start."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from typing import Protocol

from testbed.emulator.loading import LoadFlow

_SLACK = 1e-9


class Schedule(Protocol):
    """Packets that fall due one after another. `due` is when the next one is, infinite when there is none left."""

    due: float

    def take(self, now: float, most: int) -> int:
        """Take what is due at `now`, at most `most` packets; return how many."""
        ...

    def skip(self, before: float) -> int:
        """Pass over what was due before a moment; return how many."""
        ...


class Steady:
    """One packet every `period` seconds from `first` on. Each has its own time, so that no error adds up."""

    def __init__(self, period: float, first: float, end: float) -> None:
        self._period, self._first, self._number = period, first, 0
        self._last = math.inf if math.isinf(end) else math.ceil((end - first) / period - _SLACK)
        self._settle()

    def _settle(self) -> None:
        self.due = self._first + self._number * self._period if self._number < self._last else math.inf

    def _pass(self, count: int) -> int:
        self._number += count
        self._settle()
        return count

    def take(self, now: float, most: int) -> int:
        """See `Schedule`."""
        owed = math.floor((now - self._first) / self._period + _SLACK) + 1 - self._number
        if now >= self.due:
            owed = max(1, owed)
        return self._pass(int(max(0, min(owed, most, self._last - self._number))))

    def skip(self, before: float) -> int:
        """See `Schedule`."""
        if before <= self.due:
            return 0
        owed = math.ceil((before - self._first) / self._period - _SLACK) - self._number
        return self._pass(int(max(0, min(owed, self._last - self._number))))


class Drawn:
    """Packets at times that an iterator gives, in order, until `end`."""

    def __init__(self, times: Iterator[float], end: float) -> None:
        self._times, self._end = times, end
        self._next()

    def _next(self) -> None:
        due = next(self._times)
        self.due = due if due < self._end else math.inf

    def _pass(self, before: float, most: float) -> int:
        count = 0
        while self.due < before and count < most:
            self._next()
            count += 1
        return count

    def take(self, now: float, most: int) -> int:
        """See `Schedule`."""
        return self._pass(math.nextafter(now, math.inf), most)

    def skip(self, before: float) -> int:
        """See `Schedule`."""
        return self._pass(before, math.inf)


def schedule(flow: LoadFlow, share: float = 0.0) -> Schedule:
    """Return when a flow's packets are due.

    Args:
        share: of a period by which a steady flow begins later, so that flows do not all send at once.
    """
    period = 8 * flow.mean_size / flow.rate
    end = math.inf if flow.duration is None else flow.start + flow.duration
    if flow.arrival == "constant":
        return Steady(period, flow.start + share * period, end)
    draw = random.Random(f"{flow.seed} {flow.name} arrival")
    times = _poisson(period, draw) if flow.arrival == "poisson" else _on_off(period, flow.on, flow.off, draw)
    return Drawn((flow.start + time for time in times), end)


def _poisson(period: float, draw: random.Random) -> Iterator[float]:
    return itertools.accumulate(draw.expovariate(1 / period) for _ in itertools.repeat(None))


def _on_off(period: float, on: float, off: float, draw: random.Random) -> Iterator[float]:
    """Anick, Mitra and Sondhi's source (BSTJ 1982): it begins on or off as often as it is so later."""
    busy = period * on / (on + off)
    begins = 0.0 if draw.random() < on / (on + off) else draw.expovariate(1 / off)
    credit = draw.random()  # of a packet: what one time on leaves over, the next one sends
    while True:
        lasts = draw.expovariate(1 / on)
        moments = [begins + (n + 1 - credit) * busy for n in range(int(credit + lasts / busy))]
        yield from moments
        credit = (credit + lasts / busy) % 1.0
        begins += lasts + draw.expovariate(1 / off)


def sizes(flow: LoadFlow) -> Iterator[int]:
    """Return the size of each packet in turn, bytes of IP packet."""
    if not flow.mix:
        return itertools.repeat(flow.size)
    values, weights = zip(*flow.mix, strict=True)
    draw = random.Random(f"{flow.seed} {flow.name} size")
    return (size for _ in itertools.repeat(None) for size in draw.choices(values, weights, k=256))
