"""The wires of a lab, all made and changed through one netlink socket in the agent's own namespace, the hub.

An interface of a node is one end of a veth pair; the other end, the hub end, is here. What arrives on a hub end is
redirected out of the hub end across the wire, where netem impairs it: A -> hub A ~ redirect ~> netem, hub B -> B.
So a node can neither see nor change its impairments, thousands of wires change in one send, and taking the hub ends
down is a real loss of carrier for both nodes.

Where the far node is in another guest of the lab, its hub end is a VLAN on the wire between the two guests. Each guest
impairs what leaves its own node; taking the hub ends down in both is the same loss of carrier.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from testbed.emulator import netem, netlink
from testbed.emulator.messages import LinkChange, LinkState, SeenWire, Trunk, WireEnd, WireLink
from testbed.emulator.netem import Netem
from testbed.emulator.netlink import Netlink, NetlinkError, Request, VethEnd
from testbed.emulator.trunks import trunk_device
from testbed.errors import BadInput, Unable, nearest

GROUP = 0x7E57
"""Interface group of every hub end: one message removes them all."""
_DOOMED = GROUP + 1
"""Those that one message is about to remove."""
_HUB_BASE = 10_000
_UNLIMITED_SEGMENTS = 65_535
_DIRECTIONS = ("forward", "backward")


def _nothing() -> None:
    """Be told, and do nothing."""


def mac_of(guest: int, number: int, end: int) -> bytes:
    """Return the MAC of a link's end: each in a lab has its own, always the same for the same links."""
    return (0x02_7E_57 << 24 | guest << 18 | 2 * number + end).to_bytes(6, "big")


class Port(Protocol):
    """A node, as far as a wire needs it."""

    name: str
    netlink: Netlink
    lock: threading.Lock
    interfaces: dict[str, int]

    @property
    def network(self) -> int: ...

    def place(self, interface: str) -> tuple[str, int]:
        """Settle what a new interface is called in the node's network, and its index there."""
        ...


@dataclass(slots=True)
class Wire:
    """A link as it was built. Index 0 is the first end, whose packets go forward; `netem[0]` sits on hub end 1.

    Attributes:
        near: the ends whose nodes are in this guest. trunk: how the other is reached where that is not both.
    """

    name: str
    ends: tuple[WireEnd, WireEnd]
    mtu: int
    hub: tuple[int, int]
    state: list[Netem]
    impaired: list[bool]
    tables: list[str | tuple[float, ...]] = field(default_factory=lambda: ["uniform", "uniform"])
    up: bool = True
    near: tuple[int, ...] = (0, 1)
    trunk: Trunk | None = None


class Wiring:
    """All wires. Thread-safe.

    Attributes:
        rates_changed: is called after rates were, by whatever thread; must return at once.
    """

    def __init__(self) -> None:
        self.rates_changed: Callable[[], object] = _nothing
        self._hub = Netlink()
        self._lock = threading.Lock()
        self._wires: dict[str, Wire] = {}
        self._nodes: dict[str, Port] = {}
        self._dark: set[str] = set()
        self._trunks: dict[str, int] = {}

    @property
    def busy(self) -> bool:
        """Whether somebody is building, changing or reading wires right now."""
        return self._lock.locked()

    def build(self, links: Sequence[WireLink], nodes: dict[str, Port], guest: int = 1) -> None:
        """Make all wires in a few sends.

        Args:
            nodes: those of this guest, whose number is `guest`.

        Raises:
            BadInput: an impairment no link can have; nothing was made. Unable: the kernel refuses, with its reason.
        """
        with self._lock:
            self._wires, self._dark = {}, set()
            self._make(links, nodes, guest)

    def extend(self, links: Sequence[WireLink], nodes: dict[str, Port], guest: int = 1) -> None:
        """Make further wires.

        Raises:
            As `build`; what was made of them is removed by `remove`.
        """
        with self._lock:
            self._make(links, nodes, guest)

    def _make(self, links: Sequence[WireLink], nodes: dict[str, Port], guest: int) -> None:
        taken = set(map(_number, self._wires.values()))
        free = (number for number in count() if number not in taken)
        wires = [(number, _wire(number, link, nodes)) for number, link in zip(free, links, strict=False)]
        self._nodes = nodes
        self._wires |= {wire.name: wire for _, wire in wires}
        batch = _Batch()
        for number, wire in wires:
            batch.add(self._devices(number, wire, guest), wire.name)
        for _, wire in wires:
            batch.add(_redirects(wire), wire.name)
            batch.add(self._netems(wire), f"{wire.name}: netem")
        batch.run(self._hub)

    def remove(self, names: Iterable[str]) -> None:
        """Remove wires with both their ends, in one kernel transaction; those that are not there are no error."""
        with self._lock:
            wires = [self._wires.pop(name) for name in names if name in self._wires]
            for wire in wires:
                for end in wire.near:
                    self._nodes[wire.ends[end].node].interfaces.pop(wire.ends[end].interface, None)
            requests = [netlink.set_link(index, group=_DOOMED) for wire in wires for index in wire.hub]
            if not requests:
                return
            try:
                self._hub.run([*requests, netlink.delete_group(_DOOMED)])
            except NetlinkError as error:
                if any(failure.errno != errno.ENODEV for failure in error.failures):
                    raise  # one that was only half made lacks an end

    def alter(self, links: Iterable[WireLink]) -> None:
        """Give wires the MTU and the addresses of these, settings and ends stay.

        Addresses are taken note of; the nodes themselves have to be given them.
        """
        with self._lock:
            batch = _Batch()
            for link in links:
                wire = self._wires[link.name]
                wire.ends = link.ends
                if wire.mtu != link.mtu:
                    wire.mtu = link.mtu
                    self._resize(wire)
                    batch.add((netlink.set_link(index, mtu=wire.mtu) for index in wire.hub), f"{wire.name}: mtu")
                    sized = (end for end in wire.near if wire.impaired[end])
                    again = (self._netem(wire, end, wire.state[end], create=False) for end in sized)
                    batch.add(again, f"{wire.name}: netem")
            batch.run(self._hub)

    def _resize(self, wire: Wire) -> None:
        for end in wire.near:
            node = self._nodes[wire.ends[end].node]
            with node.lock:
                node.netlink.run([netlink.set_link(node.interfaces[wire.ends[end].interface], mtu=wire.mtu)])

    def asked(self, names: Iterable[str] = ()) -> tuple[LinkState, ...]:
        """Return links' settings as they were asked for; of all when none is named.

        Raises:
            BadInput: no such link.
        """
        with self._lock:
            wires = [self._wires.get(name) or self._unknown(name) for name in names or self._wires]
            return tuple(
                LinkState(name=w.name, up=w.up, forward=w.state[0].patch(), backward=w.state[1].patch()) for w in wires
            )

    def made(self) -> tuple[WireLink, ...]:
        """Return what the wires were made of, with the settings that they have now."""
        with self._lock:
            return tuple(
                WireLink(
                    name=w.name, ends=w.ends, forward=w.state[0].patch(), backward=w.state[1].patch(), mtu=w.mtu,
                    up=w.up, trunk=w.trunk,
                )
                for w in self._wires.values()
            )  # fmt: skip

    def numbers(self) -> dict[str, int]:
        """Return the number of each wire, of which the MACs at its ends are made (`mac_of`)."""
        with self._lock:
            return {wire.name: _number(wire) for wire in self._wires.values()}

    def _devices(self, number: int, wire: Wire, guest: int) -> Iterable[Request]:
        if wire.trunk is not None:
            yield self._vlan(number, wire, wire.trunk)
        for end in wire.near:
            node = self._nodes[wire.ends[end].node]
            name, index = node.place(wire.ends[end].interface)
            mac = mac_of(guest, number, end)
            segments = 1 if wire.impaired[end] else None
            hub = VethEnd(f"w{number}.{end}", wire.hub[end], up=self._lit(wire), group=GROUP)
            inner = VethEnd(name, index, mac, up=False, namespace=node.network, gso_max_segs=segments)
            yield netlink.veth(hub, inner, wire.mtu)

    def _vlan(self, number: int, wire: Wire, trunk: Trunk) -> Request:
        far = 1 - wire.near[0]
        device = trunk_device(trunk.guest)
        if device not in self._trunks:
            index = self._hub.index_of(device)
            if index is None:
                raise Unable(f"{wire.name}: there is no wire to guest {trunk.guest} ({device}) in this guest")
            self._trunks[device] = index
        parent = self._trunks[device]
        return netlink.vlan(f"w{number}.{far}", wire.hub[far], parent, trunk.vlan, wire.mtu, up=wire.up, group=GROUP)

    def _netems(self, wire: Wire) -> Iterable[Request]:
        for end in wire.near:
            if wire.impaired[end]:
                yield self._netem(wire, end, wire.state[end], create=True)

    def _netem(self, wire: Wire, end: int, state: Netem, create: bool) -> Request:
        """Encode one direction. A netem that was never given a table is uniform by itself."""
        options = netem.encode(state, wire.mtu, state.distribution != wire.tables[end])
        wire.tables[end] = state.distribution
        return netlink.netem(wire.hub[1 - end], options, create)

    def set(self, changes: Sequence[LinkChange], check_only: bool = False) -> int:
        """Change links, all or, when a change is wrong, none; with `check_only` none at all.

        Returns:
            How many changes were carried out.

        Raises:
            BadInput: a link or a value that cannot be; nothing was changed.
            Unable: the kernel refused some, named in the message; the others were carried out.
        """
        with self._lock:
            states, ups = self._checked(changes)
            if not check_only:
                self._apply(states)
                self._carry(ups)
        return len(changes)

    def _checked(self, changes: Sequence[LinkChange]) -> tuple[dict[tuple[str, int], Netem], dict[str, bool]]:
        states: dict[tuple[str, int], Netem] = {}
        ups: dict[str, bool] = {}
        for change in changes:
            name, end = change.link, change.end
            wire = self._wires.get(name) or self._unknown(name)
            if change.patch is not None:
                if end not in wire.near:
                    raise BadInput(f"{name}: {wire.ends[end].node} is not in this guest, nor is what leaves it")
                before = states.get((name, end)) or wire.state[end]
                states[name, end] = netem.merge(before, change.patch, f"{name} {_DIRECTIONS[end]}")
            if change.up is not None:
                ups[name] = change.up
        return states, ups

    def impair(self, ways: Iterable[tuple[str, int]]) -> None:
        """Give directions their netem before anything is asked of it: the first change then costs what others do."""
        with self._lock:
            self._apply({(name, end): self._wires[name].state[end] for name, end in ways}, even_idle=True)

    def work_out(self, changes: Sequence[LinkChange]) -> WorkedOut:
        """Check and encode changes of impaired directions ahead of their time; `carry_out` then only sends.

        Raises:
            BadInput: a link or a value that cannot be.
        """
        with self._lock:
            states, _ = self._checked(changes)
            before = [(self._wires[name], end, self._wires[name].state[end]) for name, end in states]
            return WorkedOut(changes, before, *self._batch_of(states, even_idle=False))

    def carry_out(self, it: WorkedOut) -> None:
        """Make changes that were worked out, anew where one of their links was changed since.

        Raises:
            BadInput, Unable: as `set`.
        """
        with self._lock:
            if all(wire.state[end] is state for wire, end, state in it.before):
                self._send(it.batch, it.after)
            else:
                self._apply(self._checked(it.changes)[0])

    def _apply(self, states: dict[tuple[str, int], Netem], even_idle: bool = False) -> None:
        self._send(*self._batch_of(states, even_idle))

    def _batch_of(
        self, states: dict[tuple[str, int], Netem], even_idle: bool
    ) -> tuple[_Batch, list[tuple[Wire, int, Netem]]]:
        batch = _Batch()
        after: list[tuple[Wire, int, Netem]] = []
        for (name, end), state in states.items():
            wire = self._wires[name]
            create = not wire.impaired[end]
            if create:
                if state == Netem() and not even_idle:
                    continue
                self._segment(wire, end)
            batch.requests.append(self._netem(wire, end, state, create))
            batch.names.append(f"{name} {_DIRECTIONS[end]}: netem")
            after.append((wire, end, state))
        return batch, after

    def _send(self, batch: _Batch, after: Sequence[tuple[Wire, int, Netem]]) -> None:
        """Carry out, and take note of what the kernel then has: `after` says for each message what it sets."""
        failed, error = batch.attempt(self._hub)
        rates = False
        for position, (wire, end, state) in enumerate(after):
            if position not in failed:
                rates = rates or wire.state[end].rate != state.rate
                wire.state[end], wire.impaired[end] = state, True
        if rates:
            self.rates_changed()
        if error is not None:
            raise error

    def _segment(self, wire: Wire, end: int) -> None:
        """From now on give netem packets, not trains of them."""
        node = self._nodes[wire.ends[end].node]
        index = node.interfaces[wire.ends[end].interface]
        with node.lock:
            node.netlink.run([netlink.set_link(index, gso_max_segs=1)])

    def _carry(self, ups: dict[str, bool]) -> None:
        for name, up in ups.items():
            self._wires[name].up = up
        self._show_carrier(ups)

    def _show_carrier(self, names: Iterable[str]) -> None:
        batch = _Batch()
        for name in names:
            wire = self._wires[name]
            batch.add((netlink.set_link(index, up=self._lit(wire)) for index in wire.hub), name)
        batch.run(self._hub)

    def power(self, node: str, on: bool) -> None:
        """Take carrier from a node's wires, or give it back where the wire is whole and the peer has power."""
        with self._lock:
            (self._dark.discard if on else self._dark.add)(node)
            self._show_carrier([w.name for w in self._wires.values() if any(e.node == node for e in w.ends)])

    def get(self, names: Sequence[str]) -> tuple[LinkState, ...]:
        """Read links' settings from the kernel; all links when `names` is empty.

        Raises:
            BadInput: no such link.
        """
        with self._lock:
            wires = [self._wires.get(name) or self._unknown(name) for name in names or self._wires]
            options = {q.index: q.options for q in self._hub.root_qdiscs() if q.kind == "netem"}
            up = {link.index for link in self._hub.links() if link.up}
            return tuple(_read(wire, options, up) for wire in wires)

    def ends(self) -> dict[str, tuple[str, str]]:
        """Return each wire's name with the nodes at its ends."""
        with self._lock:
            return {wire.name: (wire.ends[0].node, wire.ends[1].node) for wire in self._wires.values()}

    def seen(self) -> tuple[SeenWire, ...]:
        """Return all wires, with whether they carry."""
        with self._lock:
            return tuple(
                SeenWire(
                    name=wire.name,
                    ends=((one.node, one.interface), (other.node, other.interface)),
                    lit=self._lit(wire),
                )
                for wire in self._wires.values()
                for one, other in (wire.ends,)
            )

    def carries(self, node: str, address: str) -> bool | None:
        """Say whether the wire from `node` to the end with this address is up; None when there is no such wire."""
        with self._lock:
            for wire in self._wires.values():
                for near, far in (wire.ends, wire.ends[::-1]):
                    if near.node == node and any(a.partition("/")[0] == address for a in far.addresses):
                        return self._lit(wire)
        return None

    def _lit(self, wire: Wire) -> bool:
        return wire.up and not any(end.node in self._dark for end in wire.ends)

    def _unknown(self, name: str) -> Wire:
        known = ", ".join(sorted(self._wires)[:20])
        raise BadInput(f"no link called {name!r}{nearest(name, self._wires)} (known: {known})")

    def tear_down(self) -> None:
        """Remove all wires, in one kernel transaction."""
        with self._lock:
            self._wires, self._nodes = {}, {}
            try:
                self._hub.run([netlink.delete_group(GROUP)])
            except NetlinkError as error:
                if error.errno != errno.ENODEV:  # there was none
                    raise


class _Batch:
    """Messages with the names of what they do."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.names: list[str] = []

    def add(self, requests: Iterable[Request], name: str) -> None:
        for request in requests:
            self.requests.append(request)
            self.names.append(name)

    def run(self, socket: Netlink) -> None:
        """Send all.

        Raises:
            Unable: the kernel refused some.
        """
        _, error = self.attempt(socket)
        if error is not None:
            raise error

    def attempt(self, socket: Netlink) -> tuple[Container[int], Unable | None]:
        """Send all; return the positions of those that the kernel refused, and why."""
        try:
            socket.run(self.requests)
        except NetlinkError as caught:
            return {failure.index for failure in caught.failures}, _explain(caught, self.names)
        return (), None


@dataclass(frozen=True, slots=True)
class WorkedOut:
    """Changes ready to be sent, as long as the directions are as they were `before`."""

    changes: Sequence[LinkChange]
    before: list[tuple[Wire, int, Netem]]
    batch: _Batch
    after: list[tuple[Wire, int, Netem]]


def _explain(error: NetlinkError, names: Sequence[str]) -> Unable:
    if any("netem" in names[f.index] for f in error.failures) and error.errno == errno.ENOENT:
        return Unable(
            f"{names[error.failures[0].index]}: this kernel has no netem (CONFIG_NET_SCH_NETEM), so the link cannot be "
            "impaired; run on a User-Mode Linux guest: --substrate uml"
        )
    return netlink.explain(error, names)


def _wire(number: int, link: WireLink, nodes: Container[str]) -> Wire:
    states = [
        netem.merge(Netem(), patch, f"{link.name} {direction}")
        for patch, direction in zip((link.forward, link.backward), _DIRECTIONS, strict=True)
    ]
    hub = _HUB_BASE + 2 * number
    near = tuple(end for end in (0, 1) if link.ends[end].node in nodes)
    return Wire(
        link.name, link.ends, link.mtu, (hub, hub + 1), states, [s != Netem() for s in states], up=link.up, near=near,
        trunk=link.trunk,
    )  # fmt: skip


def _number(wire: Wire) -> int:
    return (wire.hub[0] - _HUB_BASE) // 2


def _redirects(wire: Wire) -> Iterable[Request]:
    for source, target in (wire.hub, wire.hub[::-1]):
        yield netlink.clsact(source)
        yield netlink.redirect(source, target)


def _read(wire: Wire, options: dict[int, bytes], up: set[int]) -> LinkState:
    found = [
        netem.decode(options[wire.hub[1 - end]], wire.tables[end]) if wire.hub[1 - end] in options else Netem()
        for end in (0, 1)
    ]
    return LinkState(
        name=wire.name,
        up=all(index in up for index in wire.hub),
        forward=found[0].patch(),
        backward=found[1].patch(),
    )
