"""What a change speaks of must exist in the twin: a name that does not is a mistake in the file, not a verdict.

So must what it asks be able to fail: an expectation that holds in any network at all is refused, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from testbed.errors import BadInput
from testbed.model.base import Problem
from testbed.model.change import (
    Adjacency,
    Change,
    ConfigurationStep,
    Expectation,
    InterfaceStep,
    NothingElse,
    PathIs,
    SwitchStep,
)
from testbed.model.load import Written
from testbed.model.topology import SEGMENTS, Router, Topology
from testbed.validate import lines, neighbours, places, switches
from testbed.validate.naming import Where, unknown


def require(changes: Iterable[Written[Change]], topology: Topology) -> None:
    """Refuse changes that speak of what is not there; all problems of all of them are told at once.

    Args:
        changes: as read from their files. topology: as mirrored, with the devices' running configurations.

    Raises:
        BadInput: one line for each problem, with its place in the file and the nearest word that would do.
    """
    told = [change.tell(problem) for change in changes for problem in problems(change.model, topology)]
    if told:
        raise BadInput("\n".join(dict.fromkeys(told)))


def problems(change: Change, topology: Topology) -> Iterator[Problem]:
    """Yield what a change names and the twin has not, and what it asks that could not fail."""
    for index, step in enumerate(change.steps):
        where = ("steps", index)
        if isinstance(step, SwitchStep):
            yield from switches.problems(where, step, topology)
        elif not isinstance(topology.nodes.get(step.device), Router):
            routers = [name for name, node in topology.nodes.items() if isinstance(node, Router)]
            yield unknown((*where, "device"), step.device, "a router of the twin, which alone are configured", routers)
        elif isinstance(step, InterfaceStep):
            yield from _interface((*where, "interface"), step.device, step.interface, topology)
            yield from _cost((*where, "cost"), step, topology)
        else:
            yield from _mentions((*where, "configuration"), step, topology)
    known = lines.with_addresses(topology, lines.of_change(change))
    for index, expectation in enumerate(change.expect):
        yield from _expectation(("expect", index), expectation, known, change)


def _interface(
    where: Where, device: str, name: str, topology: Topology, offset: int | None = None
) -> Iterator[Problem]:
    known = {*places.interfaces(topology, device), "lo"}
    if name not in known and name != lines.MANAGEMENT:
        found = unknown(where, name, f"an interface of {device}", known)
        yield Problem(where, name, found.expected, offset)


def _cost(where: Where, step: InterfaceStep, topology: Topology) -> Iterator[Problem]:
    if step.cost is not None and "ospf" not in (spoken := neighbours.speakers(topology)[step.device]):
        found = f"which {step.device} does not speak ({', '.join(sorted(spoken)) or 'it speaks none'})"
        yield Problem(where, step.cost, f"expected a cost where there is OSPF, {found}; write configuration lines")


def _mentions(where: Where, step: ConfigurationStep, topology: Topology) -> Iterator[Problem]:
    """FRR takes lines about interfaces that a device has not without a word."""
    told: set[str] = set()
    for edit in lines.of_step(step):
        for name in lines.mentioned(edit):
            if name not in told:
                told.add(name)
                yield from _interface(where, step.device, name, topology, step.configuration.find(name, edit.offset))


def _expectation(where: Where, it: Expectation, topology: Topology, change: Change) -> Iterator[Problem]:
    if isinstance(it, NothingElse):
        yield from _prefixes(where, it, topology, change)
    elif isinstance(it, Adjacency):
        routers = [name for name, node in topology.nodes.items() if isinstance(node, Router)]
        for key in ("device", "neighbour"):
            if (name := getattr(it, key)) not in routers:
                yield unknown((*where, key), name, "a router of the twin", routers)
        if it.device == it.neighbour:
            yield Problem((*where, "neighbour"), it.neighbour, "expected another router: none is its own neighbour")
    else:
        yield from _source(where, it.source, topology)
        yield from _destination(where, it.source, it.destination, topology)
    if isinstance(it, PathIs):
        yield from _way(where, it, topology)


def _source(where: Where, source: str, topology: Topology) -> Iterator[Problem]:
    senders = [name for name, node in topology.nodes.items() if not isinstance(node, SEGMENTS)]
    if source not in senders:
        yield unknown((*where, "source"), source, "a node of the twin that can send", senders)


def _destination(where: Where, source: str, destination: str, topology: Topology) -> Iterator[Problem]:
    place = (*where, "destination")
    owners = places.addresses(topology)
    if places.is_address(destination):
        if destination not in owners:
            yield unknown(place, destination, "an address that a node of the twin has", owners)
    elif destination not in topology.nodes:
        yield unknown(place, destination, "a node of the twin, or an address of one", topology.nodes)
    elif destination not in owners.values():
        yield Problem(place, destination, f"expected a node that has an address; {destination} has none")
    if source == destination or owners.get(destination) == source:
        yield Problem(place, destination, f"expected another node than {source}: these packets would never leave it")


def _way(where: Where, it: PathIs, topology: Topology) -> Iterator[Problem]:
    for key, known, what in (
        ("via", topology.nodes, "a node"),
        ("avoid", topology.nodes, "a node"),
        ("avoid_links", topology.links, "a link"),
    ):
        for index, name in enumerate(getattr(it, key)):
            if name not in known:
                yield unknown((*where, key, index), name, f"{what} of the twin", known)
            elif name in _ends(it, topology):
                end = "source" if name == it.source else "destination"
                yield Problem((*where, key, index), name, f"expected a node between; the {end} is on every path")
            elif key == "avoid" and name in it.via:
                yield Problem((*where, key, index), name, "expected a node that `via` does not ask for")


def _ends(it: PathIs, topology: Topology) -> set[str | None]:
    return {it.source, it.destination, places.owner_of(topology, it.destination)}


def _prefixes(where: Where, it: NothingElse, topology: Topology, change: Change) -> Iterator[Problem]:
    known = _announced(topology, change)
    for index, prefix in enumerate(it.except_prefixes):
        spared = ip_network(prefix)
        if not any(spared.version == one.version and spared.overlaps(one) for one in known):
            listed = map(str, known)
            yield unknown(
                (*where, "except_prefixes", index), prefix, "a prefix with something of the twin in it", listed
            )


def _announced(topology: Topology, change: Change) -> set[IPv4Network | IPv6Network]:
    """Return the prefixes that interfaces are in, and those that lines route or announce, such as static routes."""
    own = [address for node in topology.nodes for address in places.loopbacks(topology, node)]
    own += [address for _, _, _, end in places.endpoints(topology) for address in end.addresses]
    edits = [*lines.running(topology), *lines.of_change(change)]
    words = {word for edit in edits if " area " not in edit.line for word in edit.line.split() if "/" in word}
    return {address.network for address in own} | {ip_network(word) for word in words if lines.is_prefix(word)}
