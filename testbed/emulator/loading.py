"""What controller and agent say to each other about load: flows of packets, and what became of each."""

from __future__ import annotations

from typing import Literal

from msgspec import field

from testbed.emulator.patch import Message


class LoadFlow(Message, frozen=True):
    """A flow of `rate` bit/s of IP packets.

    Attributes:
        size: bytes of an IP packet; over TCP, of what is written at a time. mix: sizes and their weights, instead.
        dscp: six bits of the traffic class (RFC 2474).
        arrival: gaps between packets all alike, or exponential, or packets only while on (both times exponential
            with means `on` and `off`, seconds; faster while on, so that the mean is `rate`).
        start: seconds until it begins. duration: seconds; None goes on until it is replaced.
        seed: of arrival and mix: the same seed sends the same packets at the same times.
    """

    source: str
    destination: str
    sink: str
    rate: float
    size: int = 1000
    dscp: int = 0
    name: str = ""
    protocol: Literal["udp", "tcp"] = "udp"
    mix: tuple[tuple[int, float], ...] = ()
    arrival: Literal["constant", "poisson", "on-off"] = "constant"
    on: float = 1.0
    off: float = 1.0
    start: float = 0.0
    duration: float | None = None
    seed: int = 0

    @property
    def mean_size(self) -> float:
        """Bytes of a packet, on average."""
        weights = sum(weight for _, weight in self.mix)
        return sum(size * weight for size, weight in self.mix) / weights if self.mix else float(self.size)


class SetLoad(Message, frozen=True):
    """Replace all load of one kind by these flows; none stops it. -> Ok

    `measured` load is received, counted and told by `ReadLoad`. The other kind is background: it is thrown away by the
    sinks' kernel, which costs a busy twin nothing. Neither touches the other.
    """

    flows: tuple[LoadFlow, ...] = ()
    measured: bool = False


class ReadLoad(Message, frozen=True):
    """Tell what became of the measured load's flows so far; `stop` ends them first, and waits for the last packets.

    -> LoadReport
    """

    stop: bool = False


class FlowReport(Message, frozen=True):
    """What became of one flow. Packets of TCP are the kernel's segments.

    Attributes:
        seconds: that it has run for. ended: it sends no more.
        asked: packets due in that time (over TCP, writes of `size` bytes).
        skipped: of those, what the agent was too late to send: its machine is too slow, or too busy.
        refused: errno to how many the source's kernel would not send; EAGAIN over TCP: the connection takes no more.
        sent, sent_octets: packets handed to the kernel and their bytes, IP headers included (not over TCP).
        received, received_octets: at the sink, each packet once.
        lost: sent and not received; what may still be on its way does not count. Over TCP: segments sent again.
        reordered: came after one that was sent later (RFC 4737). duplicated: came again.
        delays: one-way, nanoseconds in two digits (1.6 % apart) to how many packets; over TCP, round trips (TCP_INFO).
        jitter: seconds, smoothed difference of successive delays (RFC 3550 6.4.1); over TCP the kernel's `rttvar`.
        clock_error: seconds by which each delay may be wrong because the clocks of two guests are compared.
    """

    flow: LoadFlow
    seconds: float
    ended: bool
    asked: int
    skipped: int
    sent: int
    sent_octets: int
    received: int
    received_octets: int
    lost: int
    refused: dict[int, int] = field(default_factory=dict)
    reordered: int = 0
    duplicated: int = 0
    delays: dict[int, int] = field(default_factory=dict)
    jitter: float = 0.0
    clock_error: float = 0.0

    @property
    def delivered(self) -> float:
        """bit/s received."""
        return 8 * self.received_octets / self.seconds if self.seconds > 0 else 0.0

    @property
    def shortfall(self) -> float:
        """Share of the packets due that were never sent."""
        return (self.skipped + sum(self.refused.values())) / self.asked if self.asked else 0.0

    def delay(self, share: float) -> float | None:
        """Return the delay that this share of the packets did not exceed (nearest rank), seconds; None without any."""
        return rank(sorted(self.delays.items()), share) / 1e9 if self.delays else None


class LoadReport(Message, frozen=True):
    """The measured load, flow by flow as it was asked for.

    Attributes:
        time: Unix seconds of the reading. running: some flow still sends.
        unread: packets that reached their sink's node and were dropped there, since the agent did not read them in
            time: it is overloaded, and they count as lost all the same.
    """

    flows: tuple[FlowReport, ...] = ()
    time: float = 0.0
    running: bool = False
    unread: int = 0


def rank(ordered: list[tuple[int, int]], share: float) -> int:
    """Return the value at a share of a histogram (value, count), by nearest rank; it is ordered and not empty."""
    left = share * sum(count for _, count in ordered)
    for value, count in ordered:
        left -= count
        if left <= 1e-9:
            return value
    return ordered[-1][0]
