"""The halves of probes that have two ends: what one node does of them, asked of the agent that has the node.

A probe's `carry_out` puts them together. Where one agent has both nodes it does so itself; where a lab is spread over
several guests the controller does. So there is one way to measure, wherever the nodes are.
"""

from __future__ import annotations

from msgspec import Struct, field

from testbed.emulator.loading import LoadFlow
from testbed.emulator.patch import Message


class Opened(Message, frozen=True):
    """A far end waits at `port`; `number` names it when it is closed."""

    number: int
    port: int = 0


class Closed(Message, frozen=True):
    pass


# --- STAMP -----------------------------------------------------------------------------------------------------------


class ReflectorOpen(Message, frozen=True):
    """Reflect one session on an address; its SSID (RFC 8972 3) is the number. -> Opened"""

    node: str
    address: str
    seconds: float


class ReflectorClose(Message, frozen=True):
    """-> Session"""

    node: str
    number: int


class Session(Struct, tag=True):
    """What a reflector knows of one session.

    Attributes:
        count: packets reflected so far, the next sequence number.
        received: the sender's sequence numbers that arrived at least once.
        by_kernel: every arrival carried a kernel timestamp.
        departures: reflector's sequence number to the kernel's transmit time, Unix nanoseconds.
    """

    count: int = 0
    by_kernel: bool = True
    received: set[int] = field(default_factory=set)
    departures: dict[int, int] = field(default_factory=dict)


class StampSend(Message, frozen=True):
    """Send a session's packets and wait for the answers. -> StampLog"""

    source: str
    destination: str
    ssid: int
    count: int
    interval: float
    size: int
    dscp: int
    timeout: float


class Reply(Struct):
    """The first answer to one packet: the reflector's number and times, and when it came. Unix nanoseconds."""

    sequence: int
    received: int
    reflected: int
    time: int
    by_kernel: bool


class StampLog(Struct, tag=True):
    """What a Session-Sender saw.

    Attributes:
        written: when each packet was written, in the order of sequence numbers.
        departures: sequence number to the kernel's transmit time.
        replies: sequence number to the first reply. answers: replies in all, duplicates included.
        reordered: packets that arrived after one with a higher sequence number (RFC 4737 4.1).
        unsendable: errno to how many packets it stopped.
    """

    written: list[int] = field(default_factory=list)
    departures: dict[int, int] = field(default_factory=dict)
    replies: dict[int, Reply] = field(default_factory=dict)
    answers: int = 0
    reordered: int = 0
    highest: int = -1
    unsendable: dict[int, int] = field(default_factory=dict)


# --- streams ---------------------------------------------------------------------------------------------------------


class SinkOpen(Message, frozen=True):
    """Collect the packets of a stream that carry `key`. -> Opened"""

    node: str
    address: str
    key: bytes


class SinkWait(Message, frozen=True):
    """Has a packet arrived, now or within `timeout` seconds? -> SinkHeard"""

    node: str
    number: int
    timeout: float


class SinkHeard(Message, frozen=True):
    heard: bool


class SinkClose(Message, frozen=True):
    """Wait a moment for what is on its way up to packet `last`, then end. -> Arrived"""

    node: str
    number: int
    last: int


class Arrived(Message, frozen=True):
    """Sequence numbers (uint64) and arrival times (double, Unix seconds), in the order of arrival."""

    numbers: bytes
    times: bytes


class FlowStart(Message, frozen=True):
    """Send a stream's packets to where its sink is. -> Opened"""

    source: str
    destination: str
    port: int
    key: bytes
    interval: float
    size: int
    dscp: int
    sink: str
    sink_number: int


class FlowStop(Message, frozen=True):
    """-> Flowed"""

    number: int


class Flowed(Message, frozen=True):
    """`sent`: when each packet was sent (double, Unix seconds). `unsendable`: errno to how many packets it stopped."""

    sent: bytes
    interval: float
    sink: str
    sink_number: int
    unsendable: dict[int, int] = field(default_factory=dict)


# --- throughput ------------------------------------------------------------------------------------------------------


class ServerOpen(Message, frozen=True):
    """Start an iperf3 server for one test. -> Opened, once it listens"""

    node: str
    address: str
    seconds: float


class ServerClose(Message, frozen=True):
    """-> Said"""

    node: str
    number: int


class ClientRun(Message, frozen=True):
    """Run iperf3 against a server. -> Said"""

    source: str
    destination: str
    port: int
    seconds: float
    limit_rate: float | None = None


class Said(Message, frozen=True):
    """What a program has written."""

    text: str


# --- load ------------------------------------------------------------------------------------------------------------


class LoadSinks(Message, frozen=True):
    """Swallow what comes to these (node, address, protocol), besides those of the call before this one. -> Ports

    Those of measured load count what comes of its run `run`.
    """

    ends: tuple[tuple[str, str, str], ...] = ()
    measured: bool = False
    run: int = 0


class Ports(Message, frozen=True):
    ports: tuple[int, ...]


class LoadSource(Message, frozen=True):
    """One flow, as its source sends it: its number in its run, and the port that its sink has."""

    number: int
    port: int
    flow: LoadFlow


class LoadSend(Message, frozen=True):
    """Open these flows; none sends before `LoadBegin`. -> Closed"""

    flows: tuple[LoadSource, ...] = ()
    measured: bool = False
    run: int = 0


class LoadGreet(Message, frozen=True):
    """Send one packet that does not count on each way that the opened flows of measured load take. -> Greeted"""


class Greeted(Message, frozen=True):
    """Numbers of the flows whose greeting the source's kernel took."""

    flows: tuple[int, ...] = ()


class LoadBegin(Message, frozen=True):
    """Let the opened flows send, and no others of their kind. -> Closed"""

    measured: bool = False


class LoadCount(Message, frozen=True):
    """What was sent and received here of the measured load; `stop` ends its sending. -> LoadCounts"""

    stop: bool = False


class SentFlow(Message, frozen=True):
    """The source's half of a `FlowReport`; `retransmitted` segments, `rtts` and `jitter` of TCP alone."""

    flow: LoadFlow
    seconds: float
    ended: bool
    asked: int
    skipped: int
    sent: int
    sent_octets: int
    refused: dict[int, int] = field(default_factory=dict)
    retransmitted: int = 0
    rtts: dict[int, int] = field(default_factory=dict)
    jitter: float = 0.0


class ArrivedFlow(Message, frozen=True):
    """The sink's half: `highest` is the highest number that came, `quiet` the seconds since the last one."""

    received: int
    received_octets: int
    highest: int
    quiet: float
    reordered: int = 0
    duplicated: int = 0
    delays: dict[int, int] = field(default_factory=dict)
    jitter: float = 0.0


class LoadCounts(Message, frozen=True):
    """By flow number; `greeted` are those whose greeting came."""

    sent: dict[int, SentFlow] = field(default_factory=dict)
    arrived: dict[int, ArrivedFlow] = field(default_factory=dict)
    unread: int = 0
    greeted: frozenset[int] = frozenset()


Part = (
    ReflectorOpen | ReflectorClose | StampSend | SinkOpen | SinkWait | SinkClose | FlowStart | FlowStop
    | ServerOpen | ServerClose | ClientRun | LoadSinks | LoadSend | LoadGreet | LoadBegin | LoadCount
)  # fmt: skip
PartResult = Opened | Closed | Session | StampLog | SinkHeard | Arrived | Flowed | Said | Ports | Greeted | LoadCounts
