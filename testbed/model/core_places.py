"""Where a topology's 5G core is: on nodes of the right kind, at their own addresses, on links with room for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Interface, IPv6Interface, ip_network
from typing import TYPE_CHECKING

from testbed import units
from testbed.errors import nearest
from testbed.model.base import Problem
from testbed.model.core_checks import same_address

if TYPE_CHECKING:
    from testbed.model.core import Core
    from testbed.model.topology import Topology

KINDS: Mapping[str, str] = {"amfs": "core", "smfs": "core", "upfs": "upf", "gnbs": "gnb", "subscribers": "ue"}
"""Parts of a core, and the kind of node that each is on."""
_ADDRESSED = ("amfs", "smfs", "upfs", "gnbs")


def problems(topology: Topology) -> Iterator[Problem]:
    """Give everything wrong between a topology's core and its nodes and links."""
    if topology.core is not None:
        for one in _problems(topology, topology.core):
            yield Problem(("core", *one.where), one.value, one.expected)


def address_of(topology: Topology, part: str, name: str) -> str:
    """Return the address of a function or base station; the topology has been checked.

    Args:
        part: `amfs`, `smfs`, `upfs` or `gnbs`.
    """
    one = getattr(topology.core, part)[name]
    return one.address or _own(topology)[one.node][0]


def _problems(topology: Topology, it: Core) -> Iterator[Problem]:
    yield from _nodes(topology, it)
    own = _own(topology)
    found: dict[tuple[str, str], str | None] = {}
    for part in _ADDRESSED:
        for name, one in getattr(it, part).items():
            if one.node in topology.nodes:
                wrong = _address(one.node, one.address, own[one.node], _all_own(topology, one.node))
                yield from (Problem((part, name, *p.where), p.value, p.expected) for p in wrong)
                found[part, name] = one.address or (own[one.node][0] if len(own[one.node]) == 1 else None)
    for parts in (("amfs",), ("smfs", "upfs")):
        group = {key: address for key, address in found.items() if key[0] in parts}
        if any(getattr(it, part)[name].address is None for part, name in group):  # else the core's own check tells
            yield from same_address(group)
    yield from _transport(topology, it)
    yield from _guaranteed(topology, it)


def _nodes(topology: Topology, it: Core) -> Iterator[Problem]:
    for part, kind in KINDS.items():
        right = [name for name, node in topology.nodes.items() if node.kind == kind]
        for name, one in getattr(it, part).items():
            if one.node is None or one.node in right:
                continue
            known = f"(known: {', '.join(right) or 'none'})"
            expected = f"expected a node of kind {kind}{nearest(one.node, right)} {known}"
            yield Problem((part, name, "node"), one.node, expected)


def _own(topology: Topology) -> dict[str, list[str]]:
    """What addresses a node may be known by: its loopbacks', else those on its links; IPv4 where there is any."""
    loopbacks = {name: list(getattr(node, "loopbacks", ())) for name, node in topology.nodes.items()}
    linked: dict[str, list[IPv4Interface | IPv6Interface]] = defaultdict(list)
    for link in topology.links.values():
        for end in link.endpoints:
            linked[end.node] += end.addresses
    return {name: _preferred(loopbacks[name] or linked[name]) for name in topology.nodes}


def _all_own(topology: Topology, node: str) -> set[str]:
    given = [*getattr(topology.nodes[node], "loopbacks", ())]
    given += [
        a for link in topology.links.values() for end in link.endpoints if end.node == node for a in end.addresses
    ]
    return {str(address.ip) for address in given}


def _preferred(addresses: Sequence[IPv4Interface | IPv6Interface]) -> list[str]:
    four = [str(address.ip) for address in addresses if address.version == 4]
    return four or [str(address.ip) for address in addresses]


def _address(node: str, given: str | None, own: list[str], known: set[str]) -> Iterator[Problem]:
    if given is not None:
        if given not in known:
            yield Problem(("address",), given, f"expected an address of {node} ({', '.join(sorted(known)) or 'none'})")
    elif not own:
        yield Problem(("node",), node, "expected a node with an address on a link or loopback")
    elif len(own) > 1:
        expected = f"expected `address` beside it: {node} has several ({', '.join(own)})"
        yield Problem(("node",), node, expected)


def _transport(topology: Topology, it: Core) -> Iterator[Problem]:
    """UEs' addresses are theirs alone."""
    nets = [(f"{n}'s loopback", a) for n, node in topology.nodes.items() for a in getattr(node, "loopbacks", ())]
    nets += [
        (f"{end.node}:{end.interface}", address)
        for link in topology.links.values()
        for end in link.endpoints
        for address in end.addresses
    ]
    for name, dnn in it.dnns.items():
        for index, text in enumerate(dnn.subnets):
            subnet = ip_network(text)
            clash = next((f"{a} of {what}" for what, a in nets if a.version == subnet.version and
                          a.network.overlaps(subnet)), None)  # fmt: skip
            if clash is not None:
                expected = f"expected a subnet that does not overlap {clash}"
                yield Problem(("dnns", name, "subnets", index), text, expected)


def _guaranteed(topology: Topology, it: Core) -> Iterator[Problem]:
    """Where a base station has one link beside those to its UEs, what is guaranteed under it fits in."""
    ues = {name for name, node in topology.nodes.items() if node.kind == "ue"}
    for name, gnb in it.gnbs.items():
        wires = [(one, {end.node for end in one.endpoints}) for one in topology.links.values()]
        links = [one for one, nodes in wires if gnb.node in nodes and not nodes & ues]
        if len(links) != 1:
            continue
        up, down = links[0].forward, links[0].backward
        if links[0].endpoints[1].node == gnb.node:
            up, down = down, up
        for way, impairment in (("down", down), ("up", up)):
            wanted = _wanted(it, name, way)
            if impairment.rate is not None and wanted > impairment.rate:
                rate, all_ = units.show(impairment.rate, units.RATE), units.show(wanted, units.RATE)
                expected = (
                    f"expected guarantees (`gbr`, {way}) that fit in its link's {rate}; its subscribers' are {all_}"
                )
                yield Problem(("gnbs", name), None, expected)


def _wanted(it: Core, gnb: str, way: str) -> float:
    return sum(
        getattr(it.slices[name].gbr, way) * one.count
        for one in it.subscribers.values()
        if one.gnb == gnb
        for name in one.slices
        if name in it.slices and it.slices[name].gbr is not None
    )
