"""What must hold between the parts of a topology; every problem is told at its own place."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_address
from typing import TYPE_CHECKING

from testbed.errors import nearest
from testbed.model import core_places
from testbed.model.base import Problem
from testbed.model.traffic import place_problems

if TYPE_CHECKING:
    from testbed.model.topology import Endpoint, Link, Router, Switch, Topology

Place = tuple[str | int, ...]


def router(it: Router) -> list[Problem]:
    """BGP has its number, no protocol is named twice."""
    problems = []
    if "bgp" in it.protocols and it.asn is None and it.config is None:
        problems.append(Problem(("protocols", it.protocols.index("bgp")), "bgp", "expected `asn` beside protocol bgp"))
    for index, protocol in enumerate(it.protocols):
        if protocol in it.protocols[:index]:
            problems.append(Problem(("protocols", index), protocol, "expected each protocol once"))
    if it.daemons is not None and it.config is None:
        expected = "expected `config` beside daemons: those of a rendered configuration follow from its protocols"
        problems.append(Problem(("daemons",), None, expected))
    return problems


def switch(it: Switch) -> list[Problem]:
    """What a switch learns by itself and what a controller tells it do not mix."""
    problems = []
    if it.learns and it.fail_mode == "secure":
        expected = "expected standalone: without a controller a secure switch passes nothing on"
        problems.append(Problem(("fail_mode",), "secure", expected))
    if it.controller == "testbed" and it.openflow != "OpenFlow13":
        expected = "expected OpenFlow13, which is what controller testbed speaks"
        problems.append(Problem(("openflow",), it.openflow, expected))
    if it.stp and not it.learns:
        expected = "expected no stp beside a controller, which keeps frames from circling itself; or `controller: none`"
        problems.append(Problem(("stp",), True, expected))
    return problems


def commands(lines: tuple[str, ...]) -> list[Problem]:
    """Each line has words, and its quotes are closed."""
    return [Problem(("exec", index), line, why) for index, line in enumerate(lines) if (why := _unsplit(line))]


def _unsplit(line: str) -> str:
    try:
        return "" if shlex.split(line) else "expected a command"
    except ValueError as error:
        return f"expected a command whose quotes are closed ({error})"


def link(it: Link) -> list[Problem]:
    """Two different nodes, whose addresses can talk to each other."""
    first, second = it.endpoints
    if first.node == second.node:
        place = ("endpoints", 1, "node")
        return [Problem(place, second.node, "expected another node than the first endpoint's: a link joins two nodes")]
    versions = sorted({address.version for address in first.addresses})
    return [problem for version in versions for problem in _subnets(first, second, version)]


def topology(it: Topology) -> list[Problem]:
    """Endpoints exist, no interface or address is used twice, gateways are on a link of their host."""
    missing = list(_missing_nodes(it))
    nodes = (*_gateways(it), *_dpids(it))
    switching = (*_ports(it), *_slices(it), *_steering(it))
    return [
        *missing,
        *_interfaces(it),
        *_addresses(it),
        *nodes,
        *_demands(it),
        *_load(it),
        *switching,
        *core_places.problems(it),
    ]


def _endpoints(it: Topology) -> Iterator[tuple[Place, str, Endpoint]]:
    for name, one in it.links.items():
        for index, end in enumerate(one.endpoints):
            yield ("links", name, "endpoints", index), name, end


def _missing_nodes(it: Topology) -> Iterator[Problem]:
    for place, _, end in _endpoints(it):
        if end.node not in it.nodes:
            expected = f"expected a node of this topology{nearest(end.node, it.nodes)}"
            yield Problem((*place, "node"), end.node, expected)


def _demands(it: Topology) -> Iterator[Problem]:
    for source, amounts in it.demands.items():
        if source not in it.nodes:
            yield Problem(("demands", source), None, f"expected a node of this topology{nearest(source, it.nodes)}")
        for target in amounts:
            place = ("demands", source, target)
            if target not in it.nodes:
                yield Problem(place, target, f"expected a node of this topology{nearest(target, it.nodes)}")
            elif target == source:
                yield Problem(place, target, "expected another node: traffic to itself crosses no link")


def _load(it: Topology) -> Iterator[Problem]:
    if it.load is not None:
        kinds = {name: node.kind for name, node in it.nodes.items()}
        for problem in place_problems(it.load, kinds, it.demands):
            yield replace(problem, where=("load", *problem.where))


def _own(it: Topology) -> set[str]:
    """Return the switches of our own controller."""
    return {name for name, node in it.nodes.items() if node.kind == "switch" and node.controller == "testbed"}


def _slices(it: Topology) -> Iterator[Problem]:
    own = _own(it)
    if it.slices and not own:
        expected = "expected a switch of our own controller (`kind: switch`), which alone keeps slices apart"
        yield Problem(("slices",), list(it.slices), expected)
        return
    known: dict[object, str] = {}
    for name, one in it.slices.items():
        if (first := known.setdefault(one.match, name)) != name:
            expected = f"expected another dscp, vlan or prefix than those of {first}, which takes all its packets"
            yield Problem(("slices", name), None, expected)
    yield from _guaranteed(it, own)


def _guaranteed(it: Topology, own: set[str]) -> Iterator[Problem]:
    """Where a guarantee has a meaning: a switch's way out into a link with a rate that all guarantees fit in."""
    wanted = sum(one.guaranteed or 0.0 for one in it.slices.values())
    ways = [
        (name, way.rate)
        for name, link in it.links.items()
        for end, way in zip(link.endpoints, (link.forward, link.backward), strict=True)
        if end.node in own and way.rate is not None
    ]
    if wanted and not ways:
        key = next(name for name, one in it.slices.items() if one.guaranteed)
        expected = "expected a link with a `rate` behind a switch: where there is no bottleneck nothing is guaranteed"
        yield Problem(("slices", key, "guaranteed"), it.slices[key].guaranteed, expected)
    for name, rate in ways:
        if wanted > rate:
            expected = f"expected guarantees that fit in the rate of every link; {name} has {rate:g} bit/s"
            yield Problem(("slices",), f"{wanted:g} bit/s guaranteed in all", expected)
            return


def _steering(it: Topology) -> Iterator[Problem]:
    """Names alone; whether a pin's links are a path is known once their ports are numbered."""
    segments = {name for name, node in it.nodes.items() if node.kind in ("bridge", "switch")}
    cables = {name for name, link in it.links.items() if segments.issuperset(end.node for end in link.endpoints)}
    known = f"(known: {', '.join(sorted(cables)) or 'none'})"
    if (it.steering.drained or it.steering.pins) and not _own(it):
        expected = "expected a switch of our own controller (`kind: switch`), which alone can be steered"
        yield Problem(("steering",), None, expected)
        return

    def unknown(place: Place, link: str) -> Problem:
        return Problem(
            ("steering", *place), link, f"expected a link between two switches{nearest(link, cables)} {known}"
        )

    for index, link in enumerate(it.steering.drained):
        if link not in cables:
            yield unknown(("drained", index), link)
    for number, pin in enumerate(it.steering.pins):
        for end in ("source", "destination"):
            if (name := getattr(pin, end)) not in it.nodes:
                yield Problem(("steering", "pins", number, end), name, f"expected a node{nearest(name, it.nodes)}")
        yield from (
            unknown(("pins", number, "links", at), link) for at, link in enumerate(pin.links) if link not in cables
        )


def _interfaces(it: Topology) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for place, link_name, end in _endpoints(it):
        first = seen.setdefault((end.node, end.interface), link_name)
        if first != link_name:
            expected = f"expected an interface of {end.node} that no other link uses; link {first} uses it"
            yield Problem((*place, "interface"), end.interface, expected)


def _addresses(it: Topology) -> Iterator[Problem]:
    seen: dict[object, str] = {}
    for place, owner, address in _all_addresses(it):
        if address.ip in seen:
            expected = f"expected an address that nothing else has; {seen[address.ip]} has it"
            yield Problem(place, str(address), expected)
        seen.setdefault(address.ip, owner)


def _all_addresses(it: Topology) -> Iterator[tuple[Place, str, IPv4Interface | IPv6Interface]]:
    for name, node in it.nodes.items():
        for index, address in enumerate(getattr(node, "loopbacks", ())):
            yield ("nodes", name, "loopbacks", index), f"{name}'s loopback", address
    for place, _, end in _endpoints(it):
        for index, address in enumerate(end.addresses):
            yield (*place, "addresses", index), f"{end.node}:{end.interface}", address


def _ports(it: Topology) -> Iterator[Problem]:
    """What the ends of links may have: addresses and costs where packets end, VLANs where frames are passed on."""
    for place, _, end in _endpoints(it):
        node = it.nodes.get(end.node)
        if node is None:
            continue
        if node.kind in ("bridge", "switch"):
            if end.addresses:
                expected = f"expected no address on a port of {node.kind} {end.node}"
                yield Problem((*place, "addresses"), str(end.addresses[0]), expected)
            if end.cost is not None:
                yield Problem((*place, "cost"), end.cost, f"expected no cost on a port of {node.kind} {end.node}")
        for key, value in (("vlan", end.vlan), ("trunk", list(end.trunk))):
            if value and (expected := _no_vlans(end.node, it)):
                yield Problem((*place, key), value, expected)
        for index, vlan in enumerate(end.trunk):
            if vlan == end.vlan or vlan in end.trunk[:index]:
                yield Problem((*place, "trunk", index), vlan, "expected each VLAN of a port once, tagged or not")


def _no_vlans(name: str, it: Topology) -> str:
    """Why a node's ports can have no VLANs; empty where they can."""
    node = it.nodes[name]
    if node.kind == "bridge":
        return (
            "" if node.vlan_filtering else f"expected `vlan_filtering: true` of bridge {name} beside VLANs of its ports"
        )
    if node.kind == "switch":
        told = f"expected no VLAN on a port of switch {name}, whose controller decides; or `controller: none`"
        return "" if node.learns else told
    return f"expected no VLAN: {name} is a {node.kind}, and VLANs are of ports of bridges and switches"


def _dpids(it: Topology) -> Iterator[Problem]:
    seen: dict[int, str] = {}
    for name, node in it.nodes.items():
        if node.kind == "switch" and node.dpid is not None:
            first = seen.setdefault(node.dpid, name)
            if first != name:
                yield Problem(("nodes", name, "dpid"), node.dpid, f"expected a datapath id of its own; {first} has it")


def _gateways(it: Topology) -> Iterator[Problem]:
    own: dict[str, list[IPv4Interface | IPv6Interface]] = defaultdict(list)
    for _, _, end in _endpoints(it):
        own[end.node].extend(end.addresses)
    for name, node in it.nodes.items():
        gateway: str | None = getattr(node, "gateway", None)
        if gateway is not None:
            yield from _gateway(name, gateway, own[name])


def _gateway(name: str, gateway: str, own: list[IPv4Interface | IPv6Interface]) -> Iterator[Problem]:
    place, wanted = ("nodes", name, "gateway"), ip_address(gateway)
    if any(wanted == address.ip for address in own):
        yield Problem(place, gateway, f"expected another router's address; this is {name}'s own")
    elif not any(wanted in address.network for address in own):
        nets = ", ".join(str(address.network) for address in own) or f"{name} has no address"
        yield Problem(place, gateway, f"expected an address in a subnet of {name} ({nets})")


def _subnets(first: Endpoint, second: Endpoint, version: int) -> Iterator[Problem]:
    """The ends of a link share a subnet, and mean the same one; /32 and /128 are unnumbered ends and may differ."""
    here, there = _numbered(first, version), _numbered(second, version)
    if not here or not there:
        return
    networks = {address.network for _, address in here}
    shared = any(address.network in networks for _, address in there)
    for index, address in there:
        clash = next((net for net in networks if net != address.network and net.overlaps(address.network)), None)
        if clash is not None or not shared:
            expected = f"expected an address in {clash or here[0][1].network}, the subnet of {first.node}'s end"
            yield Problem(("endpoints", 1, "addresses", index), str(address), expected)


def _numbered(end: Endpoint, version: int) -> list[tuple[int, IPv4Interface | IPv6Interface]]:
    return [
        (index, address)
        for index, address in enumerate(end.addresses)
        if address.version == version and address.network.prefixlen < address.max_prefixlen
    ]
