"""A lab spread over several guests: from one `Build` to a part for each guest, the links between them as VLANs."""

from __future__ import annotations

from collections import Counter

from msgspec import structs

from testbed.emulator.control import control_of
from testbed.emulator.messages import Build, LinkPatch, Trunk, WireLink
from testbed.emulator.placement import WEIGHTS, place
from testbed.emulator.trunks import TRUNK_MTU, VLAN_TAG, VLANS
from testbed.errors import BadInput


def split(build: Build, guests: int) -> list[Build]:
    """Return each guest's part of a lab, in the order of their numbers.

    Raises:
        BadInput: a link between two guests that their wire cannot carry; the message names it.
    """
    ends = [(link.ends[0].node, link.ends[1].node) for link in build.links]
    placed = place({node.name: WEIGHTS[node.kind] for node in build.nodes}, ends, guests)
    used: Counter[frozenset[int]] = Counter()
    links: dict[int, list[WireLink]] = {guest: [] for guest in range(1, guests + 1)}
    for link in build.links:
        first, second = (placed[end.node] for end in link.ends)
        if first == second:
            links[first].append(link)
            continue
        used[frozenset((first, second))] += 1
        vlan = used[frozenset((first, second))]
        _check(link, vlan, guests)
        links[first].append(structs.replace(link, trunk=Trunk(guest=second, vlan=vlan), backward=LinkPatch()))
        links[second].append(structs.replace(link, trunk=Trunk(guest=first, vlan=vlan), forward=LinkPatch()))
    addresses = _addresses(build)
    parts = [
        Build(
            nodes=tuple(node for node in build.nodes if placed[node.name] == guest),
            links=tuple(links[guest]),
            slices=build.slices,
            policy=build.policy,
            guest=guest,
            elsewhere={name: addresses[name] for name in placed if placed[name] != guest},
        )
        for guest in links
    ]
    control = control_of(parts)
    return [structs.replace(part, control=control) for part in parts]


def _addresses(build: Build) -> dict[str, tuple[str, ...]]:
    found = {node.name: node.addresses for node in build.nodes}
    for end in (end for link in build.links for end in link.ends):
        found[end.node] += end.addresses
    return found


def _check(link: WireLink, vlan: int, guests: int) -> None:
    most = TRUNK_MTU - VLAN_TAG
    where = f"link {link.name} is between two of {guests} guests"
    if link.mtu > most:
        raise BadInput(f"{where} and its mtu is {link.mtu}; expected at most {most} there: lower it, or use one guest")
    if vlan > VLANS:
        raise BadInput(f"{where}, which are joined by more than {VLANS} links: use fewer guests, or another topology")
