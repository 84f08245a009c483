"""Round trips over the rack's links: one ping for each link, kept running on the device, read as it writes.

Starting a program on a device is dear, and a ping a poll would cost more than all else; one that stays costs nothing
but its packets, and gives every reply with the device's own time stamp. It ends with the connection (SIGPIPE).
"""

from __future__ import annotations

import logging
import re
import shlex
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Protocol

from adapters.base import Adapter, PingResult
from testbed.errors import DeviceError
from testbed.twin.suspicion import Suspicion, counted

log = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between two packets of one link."""

_REPLY = re.compile(r"\[(\d+\.\d+)\] \d+ bytes from \S+ icmp_seq=(\d+) ttl=\d+ time[=<]([\d.]+) ms$")
_UNANSWERED = re.compile(r"\[(\d+\.\d+)\] no answer yet for icmp_seq=(\d+)")
_NOT_SENT = re.compile(r"sendmsg: ")
_SEQUENCES = 2**16

CLOCK_SLACK = 3.0
"""Seconds by which a device's time stamps may seem to come before they can or after they should: offsets are measured
only now and then, and connections stall. Beyond that somebody has set the device's clock."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Round trips that came to an end since the last batch.

    Attributes:
        rtts: seconds each. lost: packets that were given up. answered: packets whose round trip says nothing.
        measured: when the newest of them ended, Unix seconds on the controller's clock.
    """

    rtts: tuple[float, ...]
    lost: int
    measured: float
    answered: int = 0

    @property
    def packets(self) -> int:
        """All of them."""
        return len(self.rtts) + self.answered + self.lost


class Stream(Protocol):
    """A command's output on a device while it runs."""

    def fileno(self) -> int:
        """A descriptor that is readable when output has come, or will not come any more."""
        ...

    def read(self) -> bytes:
        """What was written since the last call, without waiting.

        Raises:
            EOFError: the command or the connection has ended.
        """
        ...

    def close(self) -> None: ...


def command(source: str, destination: str, interval: float = INTERVAL) -> str:
    """The ping (iputils) that runs on the device: time-stamped, and telling of each reply that stays away.

    Args:
        source: an address; or an interface, for packets that must not take another way when its link is dead.
        destination: IP address. interval: seconds.
    """
    return f"exec ping -n -D -O -i {interval:g} -I {shlex.quote(source)} {ip_address(destination)} 2>&1"


@dataclass(slots=True)
class EchoLog:
    """Reads what `command` prints. A packet counts as lost when it stays unanswered for longer than a grace.

    `-O` tells of a missing reply when the next packet is sent; a reply that comes after that, on a long link, still
    counts as a reply. The grace grows with the round trips seen. What was written since the last `take` happened since
    then: where the time stamps say otherwise the device's clock was set, and they are corrected from then on.
    """

    offset: float = 0.0
    grace: float = 0.25
    _rest: bytes = b""
    _verdicts: list[bool] = field(default_factory=list)
    _missed: set[int] = field(default_factory=set)
    _rtts: list[float] = field(default_factory=list)
    _unanswered: dict[int, float] = field(default_factory=dict)
    _unsent: int = 0
    _slowest: float = 0.0
    _newest: float | None = None
    _taken: float | None = None
    _set_by: float = 0.0
    complaint: str = ""
    """The last line that says nothing of packets, as when ping refuses to run."""

    def feed(self, data: bytes) -> None:
        """Take output, in pieces of any size."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._read(line.decode("ascii", "replace").strip())

    def verdicts(self) -> list[bool]:
        """Whether each packet since the last call was answered, said before a grace is over.

        A packet is missed once a later one was answered: links keep their order, and a stalled device answers all.
        """
        found, self._verdicts = self._verdicts, []
        return found

    def _read(self, line: str) -> None:
        if found := _REPLY.search(line):
            rtt = float(found[3]) / 1e3
            self._newest = float(found[1])
            self._rtts.append(rtt)
            self._judge(int(found[2]) % _SEQUENCES)
            self._slowest = max(rtt, 0.9 * self._slowest)
        elif found := _UNANSWERED.search(line):
            self._newest = self._unanswered[int(found[2]) % _SEQUENCES] = float(found[1])
        elif _NOT_SENT.search(line):
            self._unsent += 1
        elif line and not line.startswith("PING "):
            self.complaint = line

    def _judge(self, answered: int) -> None:
        self._forget(answered)
        missed = {s for s in self._unanswered if (answered - s) % _SEQUENCES < _SEQUENCES / 2} - self._missed
        self._missed |= missed
        self._verdicts += [False] * len(missed) + [True]

    def _forget(self, seq: int) -> None:
        self._unanswered.pop(seq, None)
        self._missed.discard(seq)

    def take(self, now: float) -> Batch | None:
        """What ended up to `now` (Unix seconds); None when nothing did."""
        self._follow_clock(now)
        clock = now + self.offset + self._set_by
        patience = max(self.grace, 2 * self._slowest)
        overdue = [seq for seq, told in self._unanswered.items() if clock - told > patience]
        for seq in overdue:
            self._forget(seq)
        lost = len(overdue) + self._unsent
        rtts, self._rtts, self._unsent = tuple(self._rtts), [], 0
        measured, self._newest = now if self._newest is None else self._newest - clock + now, None
        return Batch(rtts, lost, min(measured, now)) if rtts or lost else None

    def _follow_clock(self, now: float) -> None:
        """Notice that the device's clock was set: by how much, beyond what its measured offset says."""
        since, self._taken = self._taken, now
        if self._newest is None or since is None:
            return
        told = self._newest - self.offset
        if not since - CLOCK_SLACK < told - self._set_by < now + CLOCK_SLACK:
            self._set_by = told - now if abs(told - now) > CLOCK_SLACK else 0.0
            self._unanswered = dict.fromkeys(self._unanswered, self._newest)  # the old stamps say nothing any more


class Echo(Protocol):
    """Measures one link's round trips from one of its ends."""

    def filenos(self) -> Collection[int]:
        """Descriptors that are readable when `hear` has something to take."""
        ...

    def hear(self) -> bool:
        """Take what has come, without waiting; True where it should not wait for the next poll."""
        ...

    def take(self, now: float, offset: float) -> Batch | None:
        """What came to an end since the last call. `offset`: the device's clock minus ours, seconds.

        Raises:
            DeviceError: the measurement cannot go on; the next call starts it anew.
        """
        ...

    def close(self) -> None: ...


class StreamedEcho:
    """One running ping, and a closer look where it loses packets that it did not lose before."""

    def __init__(
        self,
        name: str,
        start: Callable[[], Stream],
        look: Callable[[], Stream] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        start: makes the running ping. look: makes the ping of a closer look; None where none is wanted.
        """
        self._name = name
        self._start, self._look = start, look
        self._clock = clock
        self._stream: Stream | None = None
        self._ended = ""
        self._log = EchoLog()
        self._suspicion = Suspicion()
        self._closer: Stream | None = None
        self._said = b""
        self._found = (0, 0)

    def filenos(self) -> Collection[int]:
        return [stream.fileno() for stream in (self._stream, self._closer) if stream is not None]

    def hear(self) -> bool:
        if self._stream is None:
            return False
        try:
            self._log.feed(self._stream.read())
        except (EOFError, OSError) as error:
            self.close()
            self._ended = self._log.complaint or str(error)
            return False
        for answered in self._log.verdicts():
            self._suspicion.saw(answered)
        return self._look_closer()

    def take(self, now: float, offset: float) -> Batch | None:
        if self._stream is None and not self._ended:
            self._stream, self._log = self._start(), EchoLog(offset)
        self._log.offset = offset
        self.hear()
        if self._ended:
            ended, self._ended = self._ended, ""
            raise DeviceError(f"{self._name}: ping ended: {ended}; it is started again at the next poll")
        batch, (answered, lost) = self._log.take(now), self._found
        self._found = (0, 0)
        if not answered + lost:
            return batch
        batch = batch or Batch((), 0, now)
        return replace(batch, lost=batch.lost + lost, answered=answered)

    def close(self) -> None:
        for stream in (self._stream, self._closer):
            if stream is not None:
                stream.close()
        self._stream = self._closer = None

    def _look_closer(self) -> bool:
        """Begin a closer look when one is due, or follow the one that runs; True when it has come to its end."""
        if self._closer is not None:
            return self._has_looked(self._closer)
        if self._look is not None and self._suspicion.due(self._clock()):
            try:
                self._closer, self._said = self._look(), b""
            except DeviceError as error:  # no further channel: what the running ping says must do
                log.info("%s: no closer look: %s", self._name, error)
        return False

    def _has_looked(self, closer: Stream) -> bool:
        try:
            self._said += closer.read()
            return False
        except (EOFError, OSError):
            closer.close()
            self._closer = None
        self._found = counted(self._said.decode("ascii", "replace"))
        self._suspicion.looked(*self._found)
        return True


class PolledEcho:
    """A short ping at each call, for a device whose transport cannot keep one running."""

    def __init__(self, adapter: Adapter, destination: str, clock: Callable[[], float]) -> None:
        self._adapter = adapter
        self._destination = destination
        self._clock = clock

    def filenos(self) -> Collection[int]:
        return ()

    def hear(self) -> bool:
        return False

    def take(self, now: float, offset: float) -> Batch | None:
        started = self._clock()
        result: PingResult = self._adapter.ping(self._destination, count=5, interval=0.02)
        return Batch(result.rtt, result.sent - result.received, (started + self._clock()) / 2)

    def close(self) -> None:
        """Nothing stays open."""
