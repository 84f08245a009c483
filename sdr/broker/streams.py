"""Sample streams kept in step by count, without sockets: what was sent, what is heard, and radios that stand still.

All streams have one clock, the count. A radio that is away stands still: its transmit ports send silence, and of what
its receive ports would have heard nothing is kept. Both go on by the same number of samples, so that what it sends is
as early or late against what it hears as it was; one that starts anew starts all of its ports at one count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from sdr.broker.line import Line
from sdr.channel.base import Channel, Impairment, Samples

Path = tuple["Transmit", Channel]


@dataclass(slots=True, eq=False)
class Transmit:
    """A transmit port's stream.

    Attributes:
        readers: the receive ports that hear it.
    """

    line: Line
    readers: list[Receive] = field(default_factory=list)

    def slowest(self) -> int:
        """Return the count up to which all readers that are there have been served."""
        return min([one.count for one in self.readers if one.live], default=self.line.count)


@dataclass(slots=True, eq=False)
class Receive:
    """A receive port's stream: the sum over all transmit ports that it hears.

    Attributes:
        count: samples served since the start. live: whether its radio is there.
    """

    paths: tuple[Path, ...]
    impairment: Impairment | None = None
    count: int = 0
    live: bool = False

    def available(self) -> int:
        """Return the count up to which all that it hears has been sent."""
        return min([transmit.line.count for transmit, _ in self.paths])

    def form(self, out: Samples) -> None:
        """Put the sum of as many samples as `out` has there, from its count on; the count stays."""
        stop = self.count + len(out)
        out.view(np.uint64).fill(0)  # twice as fast as the zero of complex numbers
        for transmit, channel in self.paths:
            first = self.count - channel.reach
            if first < transmit.line.quiet_from:
                channel.add(transmit.line.span(first, stop), self.count, out)
        if self.impairment is not None:
            self.impairment.apply(out, self.count)

    def powers(self, length: int) -> list[float]:
        """Return the mean power of each path's share in the next `length` samples."""
        found: list[float] = []
        for transmit, channel in self.paths:
            share = np.zeros(length, np.complex64)
            channel.add(transmit.line.span(self.count - channel.reach, self.count + length), self.count, share)
            found.append(float(np.mean(share.real**2 + share.imag**2)))
        return found


@dataclass(slots=True, eq=False)
class Station:
    """A radio: the ports that join, pause and restart together.

    Attributes:
        live: whether others wait for it. fresh: whether its next sample is its first.
        silence: samples that it stood still since it was there last.
    """

    name: str
    transmits: tuple[Transmit, ...]
    receives: tuple[Receive, ...]
    live: bool = False
    fresh: bool = True
    silence: int = 0

    def stand_still(self, until: int) -> None:
        """Fill in silence, so that none of its transmit ports is behind a count."""
        self._skip(until - min(one.line.count for one in self.transmits))
        for one in self.transmits:
            one.line.forget(one.slowest())

    def join(self) -> None:
        """Take it back, or for the first time: from now on others wait for it."""
        if self.fresh:
            self._align()
        else:
            self._skip(max(kept - one.count for one, kept in self._kept()))
        self.fresh, self.live = False, True
        for one in self.receives:
            one.live = True

    def leave(self, fresh: bool) -> None:
        """Let it stand still until it joins again, as the same (its counts go on) or afresh (they begin at 0)."""
        self.live, self.fresh, self.silence = False, self.fresh or fresh, 0
        for one in self.receives:
            one.live = False

    def _kept(self) -> Iterable[tuple[Receive, int]]:
        return [(one, max(transmit.line.kept for transmit, _ in one.paths)) for one in self.receives]

    def _align(self) -> None:
        start = max(*(one.line.count for one in self.transmits), *(kept for _, kept in self._kept()))
        self.silence += start - min(one.line.count for one in self.transmits)
        for one in self.transmits:
            one.line.silence(start - one.line.count)
        for one in self.receives:
            one.count = start

    def _skip(self, samples: int) -> None:
        if samples <= 0:
            return
        self.silence += samples
        for one in self.transmits:
            one.line.silence(samples)
        for one in self.receives:
            one.count += samples


def connect(
    ports: Mapping[str, tuple[Iterable[str], Iterable[str]]],
    channels: Mapping[tuple[str, str], Channel],
    impairments: Mapping[str, Impairment] | None = None,
) -> dict[str, Station]:
    """Build the stations of radios and the paths between their ports.

    Args:
        ports: by radio, the names of its transmit and of its receive ports.
        channels: by transmit and receive port. impairments: by receive port.
    """
    reach: dict[str, int] = {}
    for (source, _), channel in channels.items():
        reach[source] = max(reach.get(source, 0), channel.reach)
    transmits = {name: Transmit(Line(reach.get(name, 0))) for names, _ in ports.values() for name in names}
    receives: dict[str, Receive] = {}
    for name in (name for _, names in ports.values() for name in names):
        paths = tuple((transmits[source], one) for (source, sink), one in channels.items() if sink == name)
        receives[name] = Receive(paths, (impairments or {}).get(name))
        for transmit, _ in paths:
            transmit.readers.append(receives[name])
    return {
        radio: Station(radio, tuple(transmits[one] for one in sent), tuple(receives[one] for one in heard))
        for radio, (sent, heard) in ports.items()
    }
