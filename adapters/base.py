"""The contract of every adapter, and of the transports an adapter speaks over.

The same adapter works on the hardware (over SSH) and on the twin's router (through the agent), so that what the twin
tried is byte for byte what the hardware gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Protocol

from testbed.model.change import Step


class Capability(StrEnum):
    """What a device family can do; a lack is said in the plan."""

    COLLECT = "collect"
    DIFF = "diff"
    COMMIT = "commit"
    REVERT_TIMER = "revert-timer"
    PING = "ping"
    TRACEROUTE = "traceroute"
    THROUGHPUT = "throughput"
    PERSISTENCE = "persistence"
    """A confirmed change survives a restart of the device."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A command's end on the device. `out` has standard output and error, as the device interleaves them."""

    code: int
    out: str


class Transport(Protocol):
    """A device's shell. One connection, reused; every call has a deadline and raises DeviceError when it passes."""

    name: str

    def run(self, command: str, timeout: float = 10.0) -> Completed:
        """Run a POSIX shell command line."""
        ...

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file on the device, synced, replaced atomically."""
        ...

    def vtysh(self, commands: Sequence[str], timeout: float = 10.0) -> list[str]:
        """Show-commands in a vtysh kept open; one output each. Raises DeviceError on `% Unknown command` etc."""
        ...

    def host_key(self) -> str:
        """The key by which the far end has proven who it is, as OpenSSH prints it: `ssh-ed25519 SHA256:...`.

        Empty where nothing lies between that would need proof: a node of our own lab.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """`up` is the operator's will, `carrier` the wire's state. `speed` bit/s, None unknown. Counters are since boot."""

    name: str
    up: bool
    carrier: bool
    addresses: tuple[str, ...]
    mtu: int
    mac: str
    speed: float | None
    description: str
    cost: int | None
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_drops: int
    tx_drops: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A routing neighbour. `full` when the protocol is done with it (OSPF Full, BGP Established, IS-IS Up).

    What the protocol does not tell is empty: IS-IS no address (and `router_id` is the system's name), BGP no
    `router_id`, and no interface unless the session is bound to one.
    """

    protocol: str
    interface: str
    address: str
    router_id: str
    state: str
    full: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A best route: `next_hops` as sorted `address%interface` (or `%interface` when directly connected)."""

    prefix: str
    protocol: str
    metric: int
    next_hops: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a device says of itself. `measured`: Unix seconds on the controller's clock, in the middle of the reading.

    `lsdb` is the OSPF link-state database, LSAs of every type as FRR's JSON, None where there is no OSPF. `cpu` is busy
    share since the last reading (None the first time), `memory` used share. `clock_offset`: device clock minus ours,
    seconds.
    """

    device: str
    measured: float
    hostname: str
    version: str
    router_id: str | None
    interfaces: tuple[InterfaceFacts, ...]
    neighbours: tuple[Neighbour, ...]
    routes: tuple[Route, ...]
    lsdb: dict[str, object] | None
    running_config: str
    cpu: float | None
    memory: float | None
    clock_offset: float


@dataclass(frozen=True, slots=True)
class Counters:
    """The quick reading a mirror polls: interfaces and neighbours only."""

    device: str
    measured: float
    interfaces: tuple[InterfaceFacts, ...]
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A candidate on the device, not yet active. Hashes are SHA-256 hex of the normalised running configuration."""

    transaction: str
    lines: str
    rollback: str
    diff: str
    before_hash: str


@dataclass(frozen=True, slots=True)
class PingResult:
    """`rtt` has one value in seconds for each reply; `sent - received` were lost. `proof`: the device's own lines."""

    sent: int
    received: int
    rtt: tuple[float, ...]
    proof: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class TracerouteResult:
    """`hops[i]` answered at TTL i+1, None for silence. `reached` only if the destination itself answered."""

    hops: tuple[str | None, ...]
    reached: bool
    proof: tuple[str, ...] = field(default=())


class TransactionState(StrEnum):
    """What a device knows of a transaction."""

    NONE = "none"
    LOADED = "loaded"
    COMMITTED = "committed"
    CONFIRMED = "confirmed"
    REVERTED = "reverted"


class Adapter(Protocol):
    """One device's session. All methods raise DeviceError; none leaves a device half changed.

    A transaction: `load` (nothing active yet) -> `commit` (active, the device's own timer running) -> `confirm`
    (timer off, startup configuration written) or `rollback` (also after `confirm`, until `forget`).
    Every method is safe to repeat: the state is on the device, in a directory named after the transaction.
    """

    family: ClassVar[str]
    name: str

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What this very device can do; may have to ask it."""
        ...

    def host_key(self) -> str:
        """What proves which device this is; as `Transport.host_key`."""
        ...

    def collect(self) -> Facts: ...

    def counters(self) -> Counters: ...

    def running_config(self) -> str:
        """The running configuration, normalised: no banner, no clock, stable order."""
        ...

    def config_hash(self) -> str: ...

    def render(self, steps: Sequence[Step]) -> str:
        """The configuration lines that carry out all steps on this device, the bytes of plan and wire.

        Raises:
            BadInput: a step this family cannot express, or an interface the device has not.
        """
        ...

    def load(self, transaction: str, lines: str) -> Loaded: ...

    def commit(self, transaction: str, revert_after: float) -> None:
        """Arm the timer on the device, then activate. A rejected line rolls back at once and raises DeviceError."""
        ...

    def confirm(self, transaction: str) -> None:
        """Raises Refused when the timer has already fired."""
        ...

    def rollback(self, transaction: str) -> None: ...

    def state(self, transaction: str) -> TransactionState: ...

    def forget(self, transaction: str) -> None: ...

    def ping(
        self, destination: str, source: str | None = None, count: int = 20, interval: float = 0.02, dscp: int = 0
    ) -> PingResult: ...

    def traceroute(self, destination: str, source: str | None = None) -> TracerouteResult: ...

    def close(self) -> None: ...
