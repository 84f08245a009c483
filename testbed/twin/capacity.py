"""How much a link of the rack carries, from echoes of several sizes: big ones take longer, by their bits over the rate.

This is pathchar's way (Jacobson 1997, "variable packet size") on one link, with what every device has: a ping. An echo
beyond the MTU goes out as a train of fragments and comes back as one, so that the round trip grows by twice the train's
bits over the link's rate. Minima of several echoes leave out queues and busy processors, which only ever add.

A limit is believed when it repeats. Where none shows the link stays unlimited: a wrong limit is worse than none.
"""

from __future__ import annotations

import math
import re
import shlex
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from statistics import median
from typing import Protocol

from testbed.errors import DeviceError
from testbed.twin.echo import Stream

SHELL = "exec /bin/sh"
"""What stays on a device to start pings from: a channel for each of them would cost it more than they do."""

STAGES = ((1400, 6000), (20000, 60000))
"""Bytes of the echoes of a measurement. The second stage is left out where the first one says enough."""

ECHOES, GAP = 6, 0.04
"""Echoes of each size, and seconds between them: most of the time the link is free."""

CLEAR = 4e-3
"""Seconds by which the larger echoes of the first stage must be slower to say enough: many times what stacks add."""

HIGHEST = 500e6
"""bit/s. At this rate the sizes of the second stage differ by 1.3 ms, still more than busy stacks; beyond: no limit."""

STRAIGHT = 0.35
"""Share by which the growth within the second stage and up to it may differ: time for bits grows by their number."""

ALIKE = 0.1
"""Two measurements that differ by no more than this share say the same."""

TRIES = 4
"""Measurements of a link one after the other, until it is settled; then it waits for its next turn anyhow."""

_OVER = b"\ncapacity: over\n"

_ETHERNET, _IP, _ICMP = 14, 20, 8
_LEAST_REPLIES = 3
_PING = re.compile(
    r"(\d+)\(\d+\) bytes of data\..*?, (\d+) received(?:.*?^rtt [^=]*= ([\d.]+)/)?", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a link carries, the slower one of its directions at least.

    Attributes:
        limit: bit/s of Ethernet frames without preamble, None where no limit shows below `HIGHEST`.
        measured: Unix seconds on the controller's clock. repeats: measurements in a row that said so.
    """

    limit: float | None
    measured: float
    repeats: int = 1


def frames(payload: int, mtu: int) -> int:
    """Bytes on the wire, one way, of an echo with `payload` bytes: fragments with their IP and Ethernet headers."""
    icmp, room = payload + _ICMP, (mtu - _IP) // 8 * 8
    return icmp + math.ceil(icmp / room) * (_IP + _ETHERNET)


def command(interface: str, destination: str, sizes: Iterable[int]) -> str:
    """The pings (iputils) of one stage, in a row, and a line that ends them; for a shell."""
    to = f"-I {shlex.quote(interface)} {ip_address(destination)}"
    pings = "; ".join(f"ping -q -n -c {ECHOES} -i {GAP:g} -W 1 -s {size} {to} 2>&1" for size in sizes)
    return f"{pings}; printf {shlex.quote(_OVER.decode())}"


def read(text: str) -> dict[int, float]:
    """Least round trip (seconds) by size, of what the pings printed; sizes with too few replies are left out."""
    pings = (found.groups() for part in re.split(r"^(?=PING )", text, flags=re.M) if (found := _PING.search(part)))
    return {int(size): float(least) / 1e3 for size, got, least in pings if least and int(got) >= _LEAST_REPLIES}


def enough(least: Mapping[int, float]) -> bool:
    """Whether the first stage says it all: a slow link, which larger echoes would only block for longer."""
    small, large = STAGES[0]
    return {small, large} <= least.keys() and least[large] - least[small] >= CLEAR


def rate(least: Mapping[int, float], mtu: int) -> float | None:
    """The link's rate from least round trips by size.

    Returns:
        bit/s; infinite where it is beyond `HIGHEST`; None where the values don't tell (losses, busy processors).
    """
    if enough(least):
        return _growth(least, STAGES[0], mtu)
    if not set(STAGES[1]) <= least.keys():
        return None
    found = _growth(least, STAGES[1], mtu)
    if found > HIGHEST:
        return math.inf
    before = (STAGES[0][0], STAGES[1][0])
    straight = before[0] in least and math.isclose(_growth(least, before, mtu), found, rel_tol=STRAIGHT)
    return found if straight else None


def _growth(least: Mapping[int, float], sizes: tuple[int, int], mtu: int) -> float:
    """bit/s: the bits of both ways by which two sizes differ, over the time by which they differ."""
    small, large = sizes
    longer = least[large] - least[small]
    return 2 * 8 * (frames(large, mtu) - frames(small, mtu)) / longer if longer > 0 else math.inf


@dataclass(slots=True)
class Verdict:
    """Believes a rate when it repeats, and keeps believing it until another one does.

    That there is no limit is what is held of a link anyway: as long as nothing else was found, once is enough.
    """

    believed: Capacity | None = None
    _rates: deque[float] = field(default_factory=lambda: deque(maxlen=5))
    _tries: int = 0

    def add(self, found: float | None, measured: float) -> bool:
        """Take one measurement; returns whether that settles it, or enough was tried."""
        self._tries += 1
        believable = found is not None and self._believe(found, measured)
        settled = believable or self._tries >= TRIES
        self._tries = 0 if settled else self._tries
        return settled

    def _believe(self, found: float, measured: float) -> bool:
        if self._rates and not _alike(self._rates[-1], found):
            self._rates.clear()
        self._rates.append(found)
        unlimited = self.believed is None or self.believed.limit is None
        if len(self._rates) < 2 and not (unlimited and math.isinf(found)):
            return False
        middle = median(self._rates)
        self.believed = Capacity(None if math.isinf(middle) else middle, measured, len(self._rates))
        return True


def _alike(first: float, second: float) -> bool:
    return first == second or math.isclose(first, second, rel_tol=ALIKE)


@dataclass(slots=True)
class Subject:
    """One link to be measured from here. `due`: when its next turn is, seconds on the same clock as `take`'s."""

    link: str
    interface: str
    destination: str
    mtu: int
    due: float = -math.inf
    verdict: Verdict = field(default_factory=Verdict)


@dataclass(frozen=True, slots=True)
class Burst:
    """Echoes that are on their way: bytes that each direction of the link will have carried for them."""

    link: str
    octets: int


class Program(Stream, Protocol):
    """A running command that also takes lines."""

    def send(self, line: str) -> None: ...


class Prober:
    """Measures a device's links in turn, at most one stage of one link at a time, without waiting for it."""

    def __init__(self, subjects: Sequence[Subject], start: Callable[[str], Program], every: float) -> None:
        """Args:
        start: runs a command on the device. every: seconds from one turn of a link to its next.
        """
        self._subjects, self._start, self._every = tuple(subjects), start, every
        self._shell: Program | None = None
        self._now: Subject | None = None
        self._running = False
        self._text, self._stage, self._least = b"", 0, dict[int, float]()

    def take(self, now: float) -> Burst | None:
        """Go on with what is to be done at `now` (Unix seconds).

        Returns:
            What was started, if anything.

        Raises:
            DeviceError: the pings cannot be started; the link waits for its next turn.
        """
        try:
            if self._running:
                if not self._ended():
                    return None
                self._next(now)
            if self._now is None:
                self._now = min((s for s in self._subjects if s.due <= now), key=lambda s: s.due, default=None)
            return self._begin(self._now) if self._now is not None else None
        except (EOFError, OSError, DeviceError) as error:
            self._give_up(now)
            raise DeviceError(f"capacities are not measured for {self._every:g} s: {error}") from None

    @property
    def links(self) -> list[str]:
        """What is measured here."""
        return [subject.link for subject in self._subjects]

    def believed(self) -> dict[str, Capacity | None]:
        """What is believed of each link that had a turn, None where its turns told nothing."""
        return {s.link: s.verdict.believed for s in self._subjects if s.due > -math.inf}

    def close(self) -> None:
        """End what runs."""
        shell, self._shell, self._running = self._shell, None, False
        if shell is not None:
            shell.close()

    def _give_up(self, now: float) -> None:
        """The device has no shell for this any more: all links that were to be measured wait for their next turn."""
        self.close()
        for subject in self._subjects:
            subject.due = max(subject.due, now + self._every)
        self._now, self._stage, self._least = None, 0, {}

    def _begin(self, subject: Subject) -> Burst:
        sizes = STAGES[self._stage]
        self._shell = self._shell or self._start(SHELL)
        self._shell.send(command(subject.interface, subject.destination, sizes))
        self._text, self._running = b"", True
        return Burst(subject.link, ECHOES * sum(frames(size, subject.mtu) for size in sizes))

    def _ended(self) -> bool:
        assert self._shell is not None
        self._text += self._shell.read()
        return self._text.endswith(_OVER)

    def _next(self, now: float) -> None:
        """A stage is over: the other one, or what both say."""
        assert self._now is not None
        self._running = False
        self._least |= read(self._text.decode("ascii", "replace"))
        if self._stage == 0 and self._least and not enough(self._least):
            self._stage = 1
            return
        if self._now.verdict.add(rate(self._least, self._now.mtu), now):
            self._now.due = now + self._every
            self._now = None
        self._stage, self._least = 0, {}
