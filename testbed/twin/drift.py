"""What a rack has become since it was discovered: things that no setting of the twin can follow, so they are said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import ip_interface

from adapters.base import Counters, Facts, InterfaceFacts
from testbed.model.topology import Endpoint, Link, Router, Topology
from testbed.twin.segments import addresses, is_loopback, router_ids, unknown_routers

Ports = Mapping[str, tuple[Link, Endpoint, Endpoint]]
"""Interface of a device to its link, its own end and the other one."""


def ports_of(topology: Topology, device: str) -> Ports:
    """The interfaces that the twin has of a device."""
    return {
        here.interface: (link, here, there)
        for link in topology.links.values()
        for here, there in (link.endpoints, link.endpoints[::-1])
        if here.node == device
    }


def drift(topology: Topology, counters: Counters, facts: Mapping[str, Facts], ignore: Collection[str]) -> list[str]:
    """Hold what a device says of its interfaces and neighbours against the topology that the twin was built from.

    Args:
        counters: what the device says now. facts: of all devices, for who has which router identifier.
        ignore: management interfaces of this device.

    Returns:
        A sentence for each new or lost interface, other MTU, other addresses, and neighbour that is not who it was.
    """
    ports = ports_of(topology, counters.device)
    seen = {i.name: i for i in counters.interfaces if i.name not in ignore and not is_loopback(i)}
    lost = [f"interface {name} is gone" for name in ports.keys() - seen.keys()]
    told = [text for name, i in seen.items() for text in _interface(i, ports)]
    told += _neighbours(topology, counters, facts, ports, ignore)
    return [f"{counters.device}: {text}" for text in sorted(lost) + told]


def _interface(interface: InterfaceFacts, ports: Ports) -> Iterator[str]:
    name, own = interface.name, {str(a) for a in addresses(interface)}
    if name not in ports:
        if own or interface.cost is not None:
            yield f"interface {name} is new ({', '.join(sorted(own)) or 'no address'})"
        return
    link, here, _ = ports[name]
    built = {str(ip_interface(a)) for a in here.addresses}
    if own != built:
        yield f"{name} has {_all(own)}, it had {_all(built)}"
    if interface.mtu and interface.mtu != link.mtu:
        yield f"{name} has MTU {interface.mtu}, the twin's link {link.mtu}"


def _all(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or "no address"


def _neighbours(
    topology: Topology, counters: Counters, facts: Mapping[str, Facts], ports: Ports, ignore: Collection[str]
) -> Iterator[str]:
    devices = router_ids(facts)
    for neighbour in counters.neighbours:
        port = ports.get(neighbour.interface)
        if port is None or neighbour.interface in ignore or not neighbour.router_id:
            continue
        expected, found = port[2].node, devices.get(neighbour.router_id)
        if isinstance(topology.nodes[expected], Router) and found != expected:
            who = found or f"router {neighbour.router_id}, no device of the inventory"
            yield f"{neighbour.interface} leads to {who}; it led to {expected}"


def unknown(facts: Mapping[str, Facts], built_with: Collection[str]) -> list[str]:
    """Routers of the network that were not there, or not known, when the twin was built."""
    notes = (f"{note.where}: {note.text}" for note in unknown_routers(facts))
    return [text for text in notes if text not in built_with]


class DriftLog:
    """The drift of a whole rack, as its devices tell it."""

    def __init__(self, topology: Topology, facts: Mapping[str, Facts], ignore: Mapping[str, Collection[str]]) -> None:
        """Args:
        topology, facts: what the twin was built from. ignore: device to management interfaces.
        """
        self._topology, self._ignore = topology, ignore
        self._facts = dict(facts)
        self._known = unknown(facts, ())
        self._found: dict[str, list[str]] = {}
        self._unknown: list[str] = []

    def learn(self, facts: Facts) -> None:
        """Take what a device says of the network."""
        self._facts[facts.device] = facts
        self._unknown = unknown(self._facts, self._known)

    def see(self, counters: Counters) -> list[str]:
        """Take what a device says of itself; returns what is new."""
        before = self._found.get(counters.device, [])
        ignore = self._ignore.get(counters.device, ())
        now = self._found[counters.device] = drift(self._topology, counters, self._facts, ignore)
        return [text for text in now if text not in before]

    def all(self) -> tuple[str, ...]:
        """Whatever holds now."""
        return (*(text for found in self._found.values() for text in found), *self._unknown)
