"""A topology from what devices say of themselves: interfaces, addresses, neighbours, running configurations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from adapters.base import Adapter, Facts, InterfaceFacts
from adapters.inventory import sessions
from testbed.errors import DeviceError, TestbedError
from testbed.model.dump import dump
from testbed.model.load import load_inventory
from testbed.model.rack import Inventory
from testbed.model.topology import Bridge, Endpoint, Host, Link, Protocol, Router, Topology
from testbed.twin.segments import (
    Note,
    Port,
    addresses,
    check_pair,
    duplicate_addresses,
    interface_of,
    is_loopback,
    management,
    neighbours_on,
    segments,
    unknown_routers,
)

_ROLE_ORDER = {"core": 0, "aggregation": 1, "cell-site": 2, "other": 3}
_PROTOCOLS: Mapping[Protocol, str] = {
    "ospf": "router ospf",
    "isis": "router isis",
    "bgp": "router bgp",
    "static": "ip route",
}
_TO_WHOM = re.compile(r"^to \S+[,:;]\s+")
_HEADER = "Written by `testbed discover` from what the devices said; delays and losses are measured by the mirror."


@dataclass(frozen=True, slots=True)
class Discovery:
    """A topology, what could not be settled, and what the devices said."""

    topology: Topology
    notes: tuple[Note, ...]
    facts: Mapping[str, Facts] = field(default_factory=dict)


def discover(adapters: Mapping[str, Adapter], inventory: Inventory) -> Topology:
    """Ask all devices and draw the topology; `survey` and `infer` are its two halves, `infer` also gives the notes.

    Raises:
        DeviceError: a device could not be read; the message names each.
    """
    return infer(survey(adapters), inventory).topology


def discover_rack(file: Path) -> Discovery:
    """Ask all devices of an inventory file, over connections that are closed again.

    Raises:
        BadInput: the file is wrong. DeviceError: a device could not be read; the message names each.
    """
    inventory = load_inventory(file)
    with sessions(inventory, file.parent) as adapters:
        return infer(survey(adapters), inventory)


def survey(adapters: Mapping[str, Adapter]) -> dict[str, Facts]:
    """Collect from all devices at once.

    Raises:
        DeviceError: at least one did not answer: a topology without it would be wrong in silence.
    """
    with ThreadPoolExecutor(max_workers=max(1, len(adapters))) as pool:
        pending = {name: pool.submit(adapter.collect) for name, adapter in adapters.items()}
    failures = [error for future in pending.values() if isinstance(error := future.exception(), TestbedError)]
    if failures:
        raise DeviceError("cannot discover: " + "; ".join(map(str, failures)))
    return {name: future.result() for name, future in pending.items()}


def infer(facts: Mapping[str, Facts], inventory: Inventory) -> Discovery:
    """Draw the topology from the devices' facts.

    Args:
        facts: by device name.
        inventory: for the order of names (roles) and the management addresses; nothing of the network is taken from it.

    Returns:
        Routers with their running configuration (without management), links between interfaces that share a subnet or
        see each other; a port whose other end is unknown leads to a bridge of its own, so that it stays up.
    """
    skip = management(facts, inventory)
    notes = duplicate_addresses(facts, skip) + unknown_routers(facts)
    drawing = _Drawing(facts)
    for name in _ordered(facts, inventory):
        router = _speaks_routing(name, inventory)
        drawing.nodes[name] = _router(facts[name], skip, drawing) if router else _host(facts[name], skip, drawing)
    for group in segments(facts, skip):
        notes += drawing.add(group)
    said = f"Discovered from {len(facts)} devices of rack {inventory.name}"
    topology = Topology(
        name=inventory.name, description=said, nodes=drawing.nodes, links=dict(sorted(drawing.links.items()))
    )
    return Discovery(topology, tuple(notes), facts)


def _ordered(facts: Mapping[str, Facts], inventory: Inventory) -> list[str]:
    def place(name: str) -> tuple[int, str]:
        device = inventory.devices.get(name)
        return (_ROLE_ORDER[device.role] if device else 9, name)

    return sorted(facts, key=place)


# --- nodes -----------------------------------------------------------------------------------------------------------


def _router(fact: Facts, skip: set[Port], drawing: _Drawing) -> Router:
    unwanted = {interface for device, interface in skip if device == fact.device}
    subnets = [a.network for i in fact.interfaces if i.name in unwanted for a in addresses(i)]
    config = without_management(fact.running_config, unwanted, subnets)
    loopbacks = [a for i in fact.interfaces if is_loopback(i) for a in drawing.unclaimed(i)]
    asn = re.search(r"^router bgp (\d+)", config, re.MULTILINE)
    return Router(
        kind="router",
        protocols=tuple(name for name, line in _PROTOCOLS.items() if re.search(rf"^{line}\b", config, re.MULTILINE)),
        config=config,
        loopbacks=tuple(loopbacks),
        asn=int(asn[1]) if asn else None,
    )


def _speaks_routing(name: str, inventory: Inventory) -> bool:
    device = inventory.devices.get(name)
    return device is None or device.adapter != "linux"


def _host(fact: Facts, skip: set[Port], drawing: _Drawing) -> Host:
    """A device that does not route: its addresses and its default route."""
    unwanted = {interface for device, interface in skip if device == fact.device}
    hops = [hop.partition("%") for route in fact.routes if route.prefix == "0.0.0.0/0" for hop in route.next_hops]
    gateways = [address for address, _, interface in hops if address and interface not in unwanted]
    loopbacks = [a for i in fact.interfaces if is_loopback(i) for a in drawing.unclaimed(i)]
    return Host(kind="host", gateway=gateways[0] if gateways else None, loopbacks=tuple(loopbacks))


def without_management(config: str, interfaces: Iterable[str], subnets: Iterable[Any]) -> str:
    """Take from a running configuration what concerns the management network, and nothing else.

    That is: the blocks of its interfaces, lines that name one of them, and static routes through its subnets.
    All other lines stay byte for byte.
    """
    unwanted, nets = set(interfaces), list(subnets)
    kept: list[str] = []
    inside = False
    for line in config.splitlines(keepends=True):
        words = line.split()
        if words[:1] == ["interface"]:
            inside = len(words) > 1 and words[1] in unwanted
        if not inside and not _about(words, unwanted, nets):
            kept.append(line)
        if inside and words[:1] in (["exit"], ["!"]):
            inside = False
    return "".join(kept)


def _about(words: list[str], interfaces: set[str], subnets: list[Any]) -> bool:
    if interfaces & set(words):
        return True
    route = words[:2] in (["ip", "route"], ["ipv6", "route"])
    network = words[:1] == ["network"] and any(word == str(net) for word in words for net in subnets)
    return network or (route and any(_inside(word, subnets) for word in words[3:4]))


def _inside(word: str, subnets: list[Any]) -> bool:
    try:
        return any(ip_address(word) in ip_network(net) for net in subnets)
    except ValueError:
        return False


# --- links -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Drawing:
    """A topology in the making. `claimed` are the addresses that have their place already."""

    facts: Mapping[str, Facts]
    nodes: dict[str, Any] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)

    def add(self, group: list[Port]) -> list[Note]:
        """Draw one wire; returns what is to be said of it."""
        order = list(self.nodes)
        ports = sorted(group, key=lambda port: (order.index(port[0]), port))
        if len(ports) == 1:
            return self._stub(ports[0])
        if len(ports) == 2 and ports[0][0] != ports[1][0]:
            return self._wire(*ports)
        return self._lan(ports)

    def _wire(self, first: Port, second: Port) -> list[Note]:
        here, there = interface_of(self.facts, first), interface_of(self.facts, second)
        self.links[free_name(f"{first[0]}-{second[0]}", self.links)] = Link(
            endpoints=(self._endpoint(first, here), self._endpoint(second, there)),
            mtu=min(here.mtu, there.mtu),
            up=here.carrier and there.carrier and here.up and there.up,
            medium=medium(here, there),
        )
        return check_pair(self.facts, first, second)

    def _stub(self, port: Port) -> list[Note]:
        interface, where = interface_of(self.facts, port), f"{port[0]}:{port[1]}"
        seen = ", ".join(n.address for n in neighbours_on(self.facts, port))
        if not addresses(interface) and not seen:
            return [Note("stub", where, "it has no address and no neighbour; it is not in the topology")]
        name = free_name(f"stub-{port[0]}-{port[1]}", self.nodes)
        self.nodes[name] = Bridge(kind="bridge")
        self.links[name] = self._to_bridge(port, name, 1)
        told = f"the other end is {seen}, no device of the inventory" if seen else "its other end is unknown"
        return [Note("stub", where, f"{told}; it leads to bridge {name}")]

    def _lan(self, ports: list[Port]) -> list[Note]:
        subnet = next(a.network for a in addresses(interface_of(self.facts, ports[0])))
        name = free_name(f"lan-{subnet.network_address}", self.nodes)
        self.nodes[name] = Bridge(kind="bridge")
        for number, port in enumerate(ports, 1):
            self.links[free_name(f"{port[0]}-{name}", self.links)] = self._to_bridge(port, name, number)
        alone = [port for port in ports if not neighbours_on(self.facts, port)]
        return [Note("unconfirmed", f"{d}:{i}", f"it is in {subnet} but sees no neighbour there") for d, i in alone]

    def _to_bridge(self, port: Port, bridge: str, number: int) -> Link:
        interface = interface_of(self.facts, port)
        ends = (self._endpoint(port, interface), Endpoint(node=bridge, interface=f"port{number}"))
        up = interface.carrier and interface.up
        return Link(endpoints=ends, mtu=interface.mtu, up=up, medium=medium(interface))

    def _endpoint(self, port: Port, interface: InterfaceFacts) -> Endpoint:
        own = tuple(self.unclaimed(interface))
        return Endpoint(node=port[0], interface=port[1], addresses=own, cost=interface.cost)

    def unclaimed(self, interface: InterfaceFacts) -> list[Any]:
        """Addresses that nothing else has yet: one that is used twice is noted, and given to the first."""
        free = [a for a in addresses(interface) if str(a.ip) not in self.claimed]
        self.claimed.update(str(a.ip) for a in free)
        return free


def medium(*interfaces: InterfaceFacts) -> str | None:
    """What the interfaces' descriptions say of the wire, without to whom it leads; both, where they differ."""
    texts = (_TO_WHOM.sub("", i.description.strip()) for i in interfaces)
    told = list(dict.fromkeys(text for text in texts if text))
    return " | ".join(told) or None


def free_name(wanted: str, taken: Mapping[str, object]) -> str:
    """A model name (lower-case letters, digits, hyphens) close to the wanted one that nothing has yet."""
    base = re.sub(r"[^a-z0-9]+", "-", wanted.lower())[:36].strip("-")
    names = [base, *(f"{base}-{number}" for number in range(2, 1000))]
    return next(name for name in names if name not in taken)


# --- the file --------------------------------------------------------------------------------------------------------


def to_yaml(topology: Topology, notes: Iterable[Note] = ()) -> str:
    """Write a topology file; the notes become comments at its top."""
    remarks = [f"{note.kind}: {note.where}: {note.text}" for note in notes]
    return dump(topology, "\n".join([_HEADER, *remarks]))
