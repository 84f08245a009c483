"""Which interfaces are on one wire: by the subnets they share, and by the routing neighbours they see."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface

from adapters.base import Facts, InterfaceFacts, Neighbour
from testbed.model.rack import Inventory

Address = IPv4Interface | IPv6Interface
Port = tuple[str, str]
"""Device and interface."""


@dataclass(frozen=True, slots=True)
class Note:
    """What discovery could not settle by itself.

    Attributes:
        kind: `conflict` (evidence against evidence), `stub` (only one side is known), `unconfirmed` (a shared subnet
            but no neighbour), `missing` (a router that the network knows and the inventory does not).
        where: a link, a device or `device:interface`. text: one sentence.
    """

    kind: str
    where: str
    text: str


def addresses(interface: InterfaceFacts) -> list[Address]:
    """Addresses that say something of the wire: neither loopback nor link-local ones."""
    parsed = map(ip_interface, interface.addresses)
    return [a for a in parsed if not (a.ip.is_loopback or a.is_link_local)]


def is_loopback(interface: InterfaceFacts) -> bool:
    """Interfaces whose addresses belong to the device itself (`lo`, `lo0`, `dummy0`)."""
    return interface.name.rstrip("0123456789") in ("lo", "dummy", "loopback", "Loopback")


def management(facts: Mapping[str, Facts], inventory: Inventory) -> set[Port]:
    """Interfaces of the management network, which is no part of the twin.

    An interface is one when it carries the address by which the inventory reaches the device, when it is called
    `mgmt...`, or when three or more devices share its subnet and no routing neighbour was ever seen on it.
    """
    named = {
        (device, interface.name)
        for device, fact in facts.items()
        for interface in fact.interfaces
        if interface.name.startswith("mgmt") or _reached_by(device, interface, inventory)
    }
    routed = {(n, i.interface) for n, fact in facts.items() for i in fact.neighbours}
    shared = [ports for ports in _by_subnet(facts, set()).values() if len({d for d, _ in ports}) >= 3]
    return named | {port for ports in shared if not routed & set(ports) for port in ports}


def _reached_by(device: str, interface: InterfaceFacts, inventory: Inventory) -> bool:
    known = inventory.devices.get(device)
    return known is not None and any(str(a.ip) == known.address for a in addresses(interface))


def _by_subnet(facts: Mapping[str, Facts], skip: set[Port]) -> dict[object, list[Port]]:
    found: dict[object, list[Port]] = defaultdict(list)
    for port, interface in usable(facts, skip):
        for address in addresses(interface):
            if address.network.prefixlen < address.max_prefixlen:
                found[address.network].append(port)
    return found


def usable(facts: Mapping[str, Facts], skip: set[Port]) -> Iterable[tuple[Port, InterfaceFacts]]:
    """All interfaces that may be an end of a wire."""
    for device, fact in facts.items():
        for interface in fact.interfaces:
            if (device, interface.name) not in skip and not is_loopback(interface):
                yield (device, interface.name), interface


def segments(facts: Mapping[str, Facts], skip: set[Port]) -> list[list[Port]]:
    """Group interfaces that are on one wire; a group of one is an end whose other end is unknown.

    Interfaces in one subnet belong together; those without a subnet (unnumbered) belong together when each sees the
    other device as its neighbour, and no other interface could be meant.
    """
    groups = list(_by_subnet(facts, skip).values()) + _unnumbered(facts, skip)
    return sorted(_merge([port for port, _ in usable(facts, skip)], groups))


def _merge(ports: Iterable[Port], groups: Iterable[list[Port]]) -> list[list[Port]]:
    group_of = {port: [port] for port in ports}
    for group in groups:
        for other in group[1:]:
            first, second = group_of[group[0]], group_of[other]
            if first is not second:
                first.extend(second)
                group_of.update(dict.fromkeys(second, first))
    unique = {id(group): sorted(group) for group in group_of.values()}
    return list(unique.values())


def _unnumbered(facts: Mapping[str, Facts], skip: set[Port]) -> list[list[Port]]:
    sees: dict[tuple[str, str], list[Port]] = defaultdict(list)
    by_id = router_ids(facts)
    for port, interface in usable(facts, skip):
        numbered = any(a.network.prefixlen < a.max_prefixlen for a in addresses(interface))
        for neighbour in [] if numbered else neighbours_on(facts, port):
            other = by_id.get(neighbour.router_id)
            if other is not None:
                sees[port[0], other].append(port)
    pairs = [(sees[a, b], sees.get((b, a), [])) for a, b in sees if a < b]
    return [[here[0], there[0]] for here, there in pairs if len(here) == len(there) == 1]


def router_ids(facts: Mapping[str, Facts]) -> dict[str, str]:
    """How neighbours name a device: by its router identifier, in IS-IS by its host name."""
    return {name: device for device, fact in facts.items() for name in (fact.hostname, fact.router_id) if name}


def neighbours_on(facts: Mapping[str, Facts], port: Port) -> list[Neighbour]:
    """Routing neighbours seen on one interface."""
    return [n for n in facts[port[0]].neighbours if n.interface == port[1]]


def interface_of(facts: Mapping[str, Facts], port: Port) -> InterfaceFacts:
    """What a device says of one of its interfaces."""
    return next(i for i in facts[port[0]].interfaces if i.name == port[1])


def check_pair(facts: Mapping[str, Facts], first: Port, second: Port) -> list[Note]:
    """Hold the neighbours seen on both ends of a supposed link against it."""
    where = f"{first[0]}:{first[1]} - {second[0]}:{second[1]}"
    notes = _check_end(facts, first, second, where) + _check_end(facts, second, first, where)
    seen = [bool(neighbours_on(facts, port)) for port in (first, second)]
    if not any(seen):
        notes.append(Note("unconfirmed", where, "the ends share a subnet, but neither sees the other as a neighbour"))
    elif not all(seen):
        one = first if seen[0] else second
        notes.append(Note("unconfirmed", where, f"only {one[0]} sees the other as a neighbour"))
    here, there = interface_of(facts, first), interface_of(facts, second)
    if here.mtu != there.mtu:
        notes.append(Note("conflict", where, f"MTU {here.mtu} against {there.mtu}; the smaller one is taken"))
    return notes


def _check_end(facts: Mapping[str, Facts], port: Port, other: Port, where: str) -> list[Note]:
    own = {str(a.ip) for a in addresses(interface_of(facts, other))}
    by_id = router_ids(facts)
    notes = []
    for neighbour in neighbours_on(facts, port):
        told = neighbour.address  # IS-IS tells none
        by_address = not own or not told or told in own or ip_address(told).is_link_local
        by_name = not neighbour.router_id or by_id.get(neighbour.router_id) == other[0]
        if not by_address or not (by_name or facts[other[0]].router_id is None):
            seen = f"{port[0]} sees {told or 'no address'} (router {neighbour.router_id}) on {port[1]}"
            notes.append(
                Note("conflict", where, f"{seen}, where {other[0]} has {', '.join(sorted(own)) or 'no address'}")
            )
    return notes


def duplicate_addresses(facts: Mapping[str, Facts], skip: set[Port]) -> list[Note]:
    """Addresses that two interfaces claim."""
    owners: dict[str, list[str]] = defaultdict(list)
    for device, fact in facts.items():
        for interface in fact.interfaces:
            for address in addresses(interface) if (device, interface.name) not in skip else ():
                owners[str(address.ip)].append(f"{device}:{interface.name}")
    return [
        Note("conflict", ", ".join(sorted(who)), f"all have the address {address}; the first one keeps it")
        for address, who in sorted(owners.items())
        if len(who) > 1
    ]


def unknown_routers(facts: Mapping[str, Facts]) -> list[Note]:
    """Routers that the link-state database or a neighbour names and no device of the inventory is."""
    known = router_ids(facts).keys() | {""}
    named: dict[str, str] = {}
    for device, fact in facts.items():
        heard = {n.router_id for n in fact.neighbours} | set(advertising_routers(fact.lsdb))
        for router in heard - known:
            named.setdefault(router, device)
    return [
        Note("missing", device, f"it knows of router {router}, which is no device of the inventory")
        for router, device in sorted(named.items())
    ]


def advertising_routers(lsdb: object) -> set[str]:
    """Every `advertisingRouter` of a router LSA in FRR's JSON, whatever its nesting (it differs between releases)."""
    found: set[str] = set()
    if isinstance(lsdb, dict):
        router = lsdb.get("advertisingRouter")
        if isinstance(router, str) and lsdb.get("lsaType", lsdb.get("lsType", "router-LSA")) in ("router-LSA", 1):
            found.add(router)
    children = lsdb.values() if isinstance(lsdb, dict) else lsdb if isinstance(lsdb, list) else ()
    return found.union(*map(advertising_routers, children))
