"""What the agent and the controller of its switches say to each other: msgspec structs, each with its length before it.

The controller knows the network from these alone: it discovers nothing.
"""

from __future__ import annotations

import socket
import struct

import msgspec

from testbed.emulator.patch import Message

HOST, PORT = "127.0.0.2", 6653
"""Where the controller listens for switches (the port is IANA's for OpenFlow), on the loopback of the switches' own
network, unless some are in other guests; 127.0.0.1 is left there for a controller of the machine."""
SOCKET = "/run/controller.sock"
_LENGTH = struct.Struct("!I")


class Cable(Message, frozen=True):
    """A link between two switches or bridges: their names, and OpenFlow's numbers of the ports (0 of a bridge)."""

    link: str
    ends: tuple[str, str]
    ports: tuple[int, int]


class Station(Message, frozen=True):
    """An interface that packets come from and go to: on a port of a switch or bridge."""

    node: str
    mac: str
    segment: str
    port: int
    link: str


Match = tuple[tuple[str, str | int | tuple[str, str]], ...]
"""Fields of OpenFlow 1.3 and their values; a value with a mask is two texts."""


class Slice(Message, frozen=True):
    """A slice: each of `matches` is enough. bit/s; None where there is no guarantee, or no limit."""

    name: str
    matches: tuple[Match, ...]
    guaranteed: float | None = None
    maximum: float | None = None


class Pin(Message, frozen=True):
    """Packets from one node to another take exactly these links, in order, instead of a shortest path."""

    source: str
    destination: str
    links: tuple[str, ...]


class Network(Message, frozen=True):
    """All that the controller is to know. `switches`: those it controls, to their datapath ids."""

    switches: dict[str, int]
    cables: tuple[Cable, ...] = ()
    stations: tuple[Station, ...] = ()
    slices: tuple[Slice, ...] = ()


class Policy(Message, frozen=True):
    """What is asked of the paths. `drained`: links to be used only where nothing else leads on."""

    drained: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()


class Install(Message, frozen=True):
    """Make the switches forward so. -> Installed, once each has said that it does

    `only_check`: change nothing, and say whether it could be.
    """

    network: Network
    policy: Policy
    only_check: bool = False
    deadline: float = 20.0


class Installed(Message, frozen=True):
    """`refused`: why the policy cannot be, then nothing was changed. `missing`: switches that do not forward so."""

    refused: str = ""
    missing: tuple[str, ...] = ()
    seconds: float = 0.0


class Count(Message, frozen=True):
    """Ask the switches what they have counted. -> Counted"""

    deadline: float = 5.0


class Read(Message, frozen=True):
    """Ask the switches for what is written in them. -> WasRead"""

    deadline: float = 5.0


class Rule(Message, frozen=True):
    """One flow as a switch has it: values of `match` as text, with `/mask` where there is one; where frames go.

    `next`: the table that goes on with them.
    """

    priority: int
    match: dict[str, str]
    table: int = 0
    next: int | None = None
    ports: tuple[int, ...] = ()
    group: int | None = None


class SwitchRules(Message, frozen=True):
    """All that is in one switch. `groups`: number to kind (`all`, `select`, `failover`) and ports. `dark`: ports."""

    switch: str
    rules: tuple[Rule, ...] = ()
    groups: dict[int, tuple[str, tuple[int, ...]]] = {}  # noqa: RUF012
    dark: tuple[int, ...] = ()


class WasRead(Message, frozen=True):
    """`silent`: switches that did not answer."""

    switches: tuple[SwitchRules, ...] = ()
    silent: tuple[str, ...] = ()


class PortCount(Message, frozen=True):
    """Of one port since the switch was made."""

    switch: str
    port: int
    received_packets: int
    received_bytes: int
    sent_packets: int
    sent_bytes: int
    dropped: int


class FlowCount(Message, frozen=True):
    """Of one flow. `match` as text, such as `eth_dst=02:7e:57:04:00:00`."""

    switch: str
    priority: int
    match: str
    packets: int
    bytes: int


class Counted(Message, frozen=True):
    """`time`: Unix seconds when the last answer came. `silent`: switches that did not answer."""

    time: float
    ports: tuple[PortCount, ...] = ()
    flows: tuple[FlowCount, ...] = ()
    silent: tuple[str, ...] = ()


Said = Install | Installed | Count | Counted | Read | WasRead
_decode = msgspec.msgpack.Decoder(Said).decode


def send(to: socket.socket, message: Message) -> None:
    """Send one message."""
    body = msgspec.msgpack.encode(message)
    to.sendall(_LENGTH.pack(len(body)) + body)


def receive(of: socket.socket) -> Said | None:
    """Receive one message; None at the end of the connection."""
    header = _exactly(of, _LENGTH.size)
    body = _exactly(of, _LENGTH.unpack(header)[0]) if header else None
    return _decode(body) if body else None


def _exactly(of: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        more = of.recv(size - len(data))
        if not more:
            return None
        data += more
    return data
