"""What the controller and the agent say to each other: msgspec structs, msgpack over ZeroMQ (DEALER to ROUTER).

One request gets any number of `Event`s, then one `Done` (with the request's typed result) or one `Failed`.
Frames: `[request id (8 bytes), body]`. Everything here is SI: seconds, bit/s, fractions, Unix seconds.
The agent imports this module inside a guest where imports are slow: nothing but msgspec here.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import field

from testbed.control.messages import Policy, Slice
from testbed.emulator.loading import LoadReport, ReadLoad, SetLoad
from testbed.emulator.parts import Part, PartResult
from testbed.emulator.patch import LinkPatch, Message
from testbed.emulator.playing import Play, PlayState, PlayStatus, StopPlay
from testbed.emulator.segments import (
    Arrange,
    Arranged,
    BridgeSettings,
    Control,
    CountSwitches,
    ReadSwitches,
    Steer,
    Steered,
    SwitchCounts,
    SwitchesRead,
    SwitchSettings,
)
from testbed.emulator.standing import Observe, Reconfigure, RouterText, Traced

# --- what a lab is made of -------------------------------------------------------------------------------------------


class LinkChange(Message, frozen=True, gc=False):
    """One direction of one link, changed. `end` is the endpoint the packets leave from: 0 forward, 1 backward.

    `up` cuts (False) or mends (True) the whole wire: both ends lose or regain carrier.
    """

    link: str
    end: Literal[0, 1] = 0
    patch: LinkPatch | None = None
    up: bool | None = None


class WireEnd(Message, frozen=True):
    """One end of a link: addresses as `10.0.0.1/30`; of a port, VLANs as `testbed.model.topology.Endpoint` has them."""

    node: str
    interface: str
    addresses: tuple[str, ...] = ()
    vlan: int | None = None
    trunk: tuple[int, ...] = ()


class Trunk(Message, frozen=True):
    """How a link leaves this guest: by VLAN `vlan` on the wire to guest `guest`, where its other end is."""

    guest: int
    vlan: int


class WireLink(Message, frozen=True):
    """A link to build. `trunk` where one of its ends is in another guest."""

    name: str
    ends: tuple[WireEnd, WireEnd]
    forward: LinkPatch = LinkPatch()
    backward: LinkPatch = LinkPatch()
    mtu: int = 1500
    up: bool = True
    trunk: Trunk | None = None


class WireNode(Message, frozen=True):
    """A node to build.

    Attributes:
        daemons: FRR daemons to start, in order. config: integrated FRR configuration (frr.conf), byte for byte.
        addresses: on `lo`. gateway: default route of a host.
        sshd: `SshServer` when the node is managed hardware (a rack): its own sshd, host key and account.
        segment: of a bridge or a switch.
    """

    name: str
    kind: Literal["host", "router", "bridge", "switch"]
    daemons: tuple[str, ...] = ()
    config: str = ""
    addresses: tuple[str, ...] = ()
    gateway: str | None = None
    sshd: SshServer | None = None
    segment: BridgeSettings | SwitchSettings | None = None


class SshServer(Message, frozen=True):
    """A device's own management plane: an interface `mgmt` with `address` on the management bridge, sshd on port 22.

    Attributes:
        host_key: OpenSSH private key (PEM text), made for this lab. user: account. authorized_key: one public key line.
        forced_command: what every session runs instead of a shell (the bench's patch panel), or empty.
    """

    address: str
    host_key: str
    user: str
    authorized_key: str
    forced_command: str = ""


# --- requests and their results --------------------------------------------------------------------------------------


HEARTBEAT = bytes(8)
"""Request id of a Hello that only asks whether the agent lives."""


class Hello(Message, frozen=True):
    """Are you there? Answered by the agent's main loop at once, whatever else is under way. -> Welcome"""


class Welcome(Message, frozen=True):
    version: str
    pid: int
    kernel: str
    substrate: str
    time: float


class SetClock(Message, frozen=True):
    """Put the guest's clock forward by `step` seconds (back where negative). -> Ok"""

    step: float


class Build(Message, frozen=True):
    """Build nodes and links, then start daemons. Events tell the progress. -> Built

    Of a lab spread over several guests each agent gets its own part.

    Attributes:
        slices, policy: for the switches of our own controller; None where nothing is asked of the paths.
        guest: number of this guest, from 1. elsewhere: nodes of the other guests to their addresses.
        control: of a lab in several guests; None where all of it is in this one.
    """

    nodes: tuple[WireNode, ...]
    links: tuple[WireLink, ...]
    slices: tuple[Slice, ...] = ()
    policy: Policy | None = None
    guest: int = 1
    elsewhere: dict[str, tuple[str, ...]] = field(default_factory=dict)
    control: Control | None = None


class Built(Message, frozen=True):
    nodes: int
    links: int
    seconds: float


class Revision(Message, frozen=True):
    """A build, said by what differs from another one.

    Attributes:
        base: fingerprint of the other one. nodes, links: what is not in it, or not the same.
        gone_nodes, gone_links: names of what is in it alone. slices, policy: all of them, as of `Build`.
    """

    base: str
    nodes: tuple[WireNode, ...] = ()
    links: tuple[WireLink, ...] = ()
    gone_nodes: tuple[str, ...] = ()
    gone_links: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()
    policy: Policy | None = None


class Converge(Message, frozen=True):
    """Make what runs into `goal`, changing only what differs; all of it, or nothing. -> Built

    The configuration of routers that stay is left alone, see `Reconfigure`.

    Attributes:
        goal: whole, or as what differs from what the lab was given last.
        silence: links whose traces end first, each giving back what it had set.
    """

    goal: Build | Revision
    silence: tuple[str, ...] = ()


class Observed(Message, frozen=True):
    """What a lab is made of besides what only its file knows.

    Attributes:
        given: whether the lab was given last what who asks supposes; if so, `links` are those alone that are not as it
            was given.
        links: as asked for, in full, without what traces set.
        addresses: where asked for, of each node, as (interface, address) in its kernel; link-local ones left out.
        dark: nodes whose power is off. policy: where our own controller's switches send packets; None without any.
    """

    given: bool = False
    links: tuple[LinkState, ...] = ()
    traces: tuple[Traced, ...] = ()
    routers: dict[str, RouterText] = field(default_factory=dict)
    addresses: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    dark: tuple[str, ...] = ()
    policy: Policy | None = None


class WaitReady(Message, frozen=True):
    """Wait until daemons answer and routing adjacencies on links that are up are full. -> Readiness"""

    deadline: float = 60.0


class Survey(Message, frozen=True):
    """What the nodes and wires here say of themselves at this moment; readiness is judged by it. -> Surveyed"""


class OspfInterface(Message, frozen=True):
    """An interface on which OSPF speaks."""

    address: str
    area: str
    state: str


class BgpPeer(Message, frozen=True):
    """A session as a router has it. `owner`: the lab's node with that address. `lit`: no wire there is cut."""

    address: str
    state: str
    owner: str | None
    lit: bool


class RouterReport(Message, frozen=True):
    """What one router says of itself.

    Attributes:
        ospf: interface to what speaks on it. ospf_neighbours: `INTERFACE ADDRESS` to state.
        ospf_areas: area to its counts and checksums of link states. ospf_busy: a computation is due.
        isis: interfaces. isis_neighbours: interface to states. isis_database: LSPs with sequence numbers.
        lagging: routes that have not reached the kernel, one line each.
        knows: changes with the routes and the link states that it has.
    """

    ospf: dict[str, OspfInterface] = field(default_factory=dict)
    ospf_neighbours: dict[str, str] = field(default_factory=dict)
    ospf_areas: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ospf_busy: bool = False
    isis: frozenset[str] = frozenset()
    isis_neighbours: dict[str, tuple[str, ...]] = field(default_factory=dict)
    isis_database: frozenset[tuple[str, str]] = frozenset()
    bgp: tuple[BgpPeer, ...] = ()
    lagging: tuple[str, ...] = ()
    knows: int = 0


class SeenWire(Message, frozen=True):
    """A wire; its ends are (node, interface). `lit`: whole, and both nodes have power."""

    name: str
    ends: tuple[tuple[str, str], tuple[str, str]]
    lit: bool


class Surveyed(Message, frozen=True):
    """`nodes`: name to kind. `unready`: what does not run or does not answer, one line each."""

    reports: dict[str, RouterReport] = field(default_factory=dict)
    unready: tuple[str, ...] = ()
    nodes: dict[str, str] = field(default_factory=dict)
    wires: tuple[SeenWire, ...] = ()


class Readiness(Message, frozen=True):
    """What is still missing, one line each (`core1: OSPF neighbour 10.0.0.2 on eth1 is Init`); empty when ready."""

    missing: tuple[str, ...] = ()
    seconds: float = 0.0


class SetLinks(Message, frozen=True):
    """Change many links in one batch; all are checked before any is changed. -> LinksSet

    `check_only` changes nothing: every guest of a lab is asked so before one changes anything.
    """

    changes: tuple[LinkChange, ...]
    check_only: bool = False


class LinksSet(Message, frozen=True):
    applied: int
    time: float


class GetLinks(Message, frozen=True):
    """The links' settings as the kernel has them now. -> LinkStates"""

    names: tuple[str, ...] = ()


class LinkState(Message, frozen=True):
    """`forward` and `backward` are full (nothing UNSET), read back from the kernel."""

    name: str
    up: bool
    forward: LinkPatch
    backward: LinkPatch


class LinkStates(Message, frozen=True):
    links: tuple[LinkState, ...]


class Locate(Message, frozen=True):
    """Which nodes and links are here? Asked of each of a lab's agents. -> Located"""


class Located(Message, frozen=True):
    """`links`: name to the nodes at its ends, of which one may be in another guest. `controls`: our controller runs."""

    nodes: tuple[str, ...]
    links: dict[str, tuple[str, str]]
    controls: bool = False


class ListNodes(Message, frozen=True):
    """-> Nodes"""


class NodeState(Message, frozen=True):
    name: str
    kind: str
    daemons: dict[str, bool] = field(default_factory=dict)
    """FRR daemon name to whether it is alive."""


class Nodes(Message, frozen=True):
    nodes: tuple[NodeState, ...]


class Exec(Message, frozen=True):
    """Run a command in a node's namespaces. Output comes as `Output` events as it is written. -> Exited

    The command gets `stdin`, then end of file. It is killed with its children at `timeout` seconds, and when the
    client goes away. A node's PATH is the system's.
    """

    node: str
    argv: tuple[str, ...]
    stdin: bytes = b""
    timeout: float = 3600.0


class Exited(Message, frozen=True):
    """`code` as a shell gives it: 128+N for signal N, 124 at timeout, 127 no such command."""

    code: int


class WriteFile(Message, frozen=True):
    """Write a file in a node's file system (its own view of /etc/frr, /run, /var/lib). -> Ok"""

    node: str
    path: str
    data: bytes
    mode: int = 0o644


class Vty(Message, frozen=True):
    """Send commands to one FRR daemon's vty socket, in order: milliseconds, no fork. -> VtyOutput

    `daemon="vtysh"` asks the node's vtysh instead, which knows them all: it starts at first use, is kept, and answers
    as `vtysh -c` prints. `timeout` is for that one alone: seconds for all the commands, then it is ended.
    Fails with NotRunning when the daemon does not run.
    """

    node: str
    daemon: str
    commands: tuple[str, ...]
    timeout: float = 30.0


class VtyOutput(Message, frozen=True):
    """`codes` are FRR's: 0 is CMD_SUCCESS, 1 CMD_WARNING. vtysh tells none: 1 where a line starts with `% `, else 0."""

    outputs: tuple[str, ...]
    codes: tuple[int, ...]


class Power(Message, frozen=True):
    """Take a node's power away or give it back; its daemons start again from the startup configuration. -> Ok"""

    node: str
    on: bool


class Ok(Message, frozen=True):
    pass


# --- probes ----------------------------------------------------------------------------------------------------------


class Stamp(Message, frozen=True):
    """Run one STAMP session (RFC 8762, unauthenticated) from `source` to an address of `reflector`. -> StampResult"""

    source: str
    destination: str
    reflector: str
    count: int = 100
    interval: float = 0.01
    size: int = 100
    dscp: int = 0
    timeout: float = 2.0


class StampResult(Message, frozen=True):
    """Per-packet values in the order sent. A lost packet has NaN in all three. Kernel timestamps.

    Attributes:
        reordered: packets whose sequence number arrived after a higher one (RFC 4737).
        lost_forward, lost_backward: split by the reflector's own sequence numbers (stateful reflector, RFC 8762 4.3.1).
        clock_error: seconds by which each one-way delay may be wrong (one is as much too long as the other is too
            short), because two guests' clocks are compared; 0 where both nodes are in one guest. RTTs are not touched.
    """

    rtt: tuple[float, ...]
    forward: tuple[float, ...]
    backward: tuple[float, ...]
    sent: int
    received: int
    lost_forward: int = 0
    lost_backward: int = 0
    duplicated: int = 0
    reordered: int = 0
    kernel_timestamps: bool = True
    clock_error: float = 0.0


class Reach(Message, frozen=True):
    """ICMP echo from a node. -> Reached"""

    source: str
    destination: str
    count: int = 3
    interval: float = 0.05
    timeout: float = 1.0


class Reached(Message, frozen=True):
    sent: int
    received: int
    rtt: tuple[float, ...] = ()
    detail: tuple[str, ...] = ()
    """One line a packet that did not come back, with the ICMP error if one came."""


class Trace(Message, frozen=True):
    """UDP traceroute from a node, hop by hop. -> Hops"""

    source: str
    destination: str
    max_hops: int = 16
    timeout: float = 1.0


class Hop(Message, frozen=True):
    ttl: int
    address: str | None
    node: str | None = None
    rtt: float | None = None


class Hops(Message, frozen=True):
    """`reached` only when the destination itself answered. `nodes` may be None for unknown addresses."""

    hops: tuple[Hop, ...]
    reached: bool


class Throughput(Message, frozen=True):
    """TCP throughput by iperf3 from `source` to an address of `sink`. -> ThroughputResult"""

    source: str
    destination: str
    sink: str
    seconds: float = 3.0
    limit_rate: float | None = None


class ThroughputResult(Message, frozen=True):
    received_rate: float
    intervals: tuple[float, ...] = ()
    retransmits: int = 0


class StreamStart(Message, frozen=True):
    """Start a paced packet stream, for what happens to user packets across an event. -> StreamStarted"""

    source: str
    destination: str
    sink: str
    interval: float = 0.005
    size: int = 200
    dscp: int = 0


class StreamStarted(Message, frozen=True):
    stream: int


class StreamStop(Message, frozen=True):
    """-> StreamResult"""

    stream: int


class StreamResult(Message, frozen=True):
    """`longest_gap`: longest time without an arriving packet, minus one interval (0 when nothing was missed)."""

    sent: int
    received: int
    longest_gap: float
    gap_started: float
    reordered: int = 0
    duplicated: int = 0


class Shutdown(Message, frozen=True):
    """Stop everything and end the agent. -> Ok"""


Request = (
    Hello | SetClock | Build | Converge | Reconfigure | Observe | WaitReady | Survey | SetLinks | GetLinks | Locate
    | ListNodes | Exec | WriteFile | Vty
    | Power | Stamp | Reach | Trace | Throughput | StreamStart | StreamStop | SetLoad | ReadLoad | Play | StopPlay
    | PlayStatus | Steer | CountSwitches | ReadSwitches | Arrange | Shutdown | Part
)  # fmt: skip
Result = (
    Welcome | Built | Observed | Surveyed | Readiness | LinksSet | LinkStates | Located | Nodes | Exited | VtyOutput
    | Ok | StampResult | Reached | Hops | ThroughputResult | StreamStarted | StreamResult | LoadReport | PartResult
    | PlayState | Steered | SwitchCounts | SwitchesRead | Arranged
)  # fmt: skip


# --- replies ---------------------------------------------------------------------------------------------------------


class Progress(Message, frozen=True):
    """An event: `done` of `total`, in words."""

    text: str
    done: int = 0
    total: int = 0


class Output(Message, frozen=True):
    """An event of `Exec`."""

    stream: Literal["stdout", "stderr"]
    data: bytes


class Done(Message, frozen=True):
    result: Result


class Failed(Message, frozen=True):
    """The agent could not do it. `kind` is a class of testbed.errors; the message is complete."""

    kind: str
    message: str


Reply = Progress | Output | Done | Failed

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
decode_reply = msgspec.msgpack.Decoder(Reply).decode
