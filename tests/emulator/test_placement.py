"""Nodes are put into guests evenly, with few links between guests, the same way every time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.emulator.messages import Build, WireEnd, WireLink, WireNode
from testbed.emulator.placement import WEIGHTS, place
from testbed.emulator.spread import split
from testbed.emulator.trunks import TRUNK_MTU, VLAN_TAG
from testbed.errors import BadInput


@st.composite
def networks(draw) -> tuple[dict[str, str], list[tuple[str, str]]]:
    kinds = draw(st.lists(st.sampled_from(sorted(WEIGHTS)), min_size=1, max_size=20))
    nodes = {f"n{number}": kind for number, kind in enumerate(kinds)}
    ends = st.sampled_from(sorted(nodes))
    pairs = draw(st.lists(st.tuples(ends, ends), max_size=40))
    return nodes, [(one, other) for one, other in pairs if one != other]


def crossing(placed: dict[str, int], links: list[tuple[str, str]]) -> int:
    return sum(placed[one] != placed[other] for one, other in links)


def weights(nodes: dict[str, str]) -> dict[str, float]:
    return {name: WEIGHTS[kind] for name, kind in nodes.items()}


def ring(count: int) -> list[tuple[str, str]]:
    return [(f"n{i}", f"n{(i + 1) % count}") for i in range(count)]


@settings(max_examples=50, deadline=None)
@given(networks(), st.integers(1, 6))
def test_every_node_has_a_place_no_guest_is_left_out_and_none_has_too_much(network, guests):
    nodes, links = network
    placed = place(weights(nodes), links, guests)
    assert placed.keys() == nodes.keys()
    assert set(placed.values()) == set(range(1, min(guests, len(nodes)) + 1))
    load = dict.fromkeys(placed.values(), 0.0)
    for name, guest in placed.items():
        load[guest] += weights(nodes)[name]
    share = sum(weights(nodes).values()) / min(guests, len(nodes))
    assert max(load.values()) <= share + max(weights(nodes).values()) + 1e-9


@settings(max_examples=50, deadline=None)
@given(networks(), st.integers(1, 6), st.randoms())
def test_the_place_does_not_depend_on_the_order_in_which_nodes_and_links_are_named(network, guests, order):
    nodes, links = network
    before = place(weights(nodes), links, guests)
    names = list(nodes)
    order.shuffle(names)
    order.shuffle(links)
    assert place({name: weights(nodes)[name] for name in names}, links, guests) == before


@pytest.mark.parametrize(("count", "guests"), [(4, 2), (20, 2), (20, 3), (30, 4)])
def test_a_ring_is_cut_as_often_as_there_are_guests(count, guests):
    placed = place({f"n{i}": 1.0 for i in range(count)}, ring(count), guests)
    assert crossing(placed, ring(count)) == guests


def test_two_rings_joined_by_one_link_are_cut_there():
    links = ring(8) + [(f"m{one}", f"m{other}") for one, other in zip(range(8), [*range(1, 8), 0], strict=True)]
    names = {name for link in links for name in link}
    placed = place(dict.fromkeys(names, 4.0), [*links, ("n3", "m5")], 2)
    assert crossing(placed, [*links, ("n3", "m5")]) == 1


def test_a_host_goes_with_its_router():
    hosts = [(f"h{i}", f"n{i}") for i in range(8)]
    load = {f"n{i}": 4.0 for i in range(8)} | {f"h{i}": 1.0 for i in range(8)}
    placed = place(load, ring(8) + hosts, 2)
    assert all(placed[host] == placed[router] for host, router in hosts)


def chain(mtu: int = 1500) -> Build:
    nodes = tuple(WireNode(name=f"n{i}", kind="router", addresses=(f"10.255.0.{i}/32",)) for i in range(4))
    links = tuple(
        WireLink(
            name=f"l{i}",
            ends=(
                WireEnd(node=f"n{i}", interface="right", addresses=(f"10.0.{i}.1/30",)),
                WireEnd(node=f"n{i + 1}", interface="left", addresses=(f"10.0.{i}.2/30",)),
            ),
            mtu=mtu,
        )
        for i in range(3)
    )
    return Build(nodes=nodes, links=links)


@given(st.integers(1, 4))
def test_the_parts_of_a_lab_are_the_whole_lab(guests):
    whole = chain()
    parts = split(whole, guests)
    assert len(parts) == guests
    assert sorted(node.name for part in parts for node in part.nodes) == ["n0", "n1", "n2", "n3"]
    for part in parts:
        here = {node.name for node in part.nodes}
        assert here | part.elsewhere.keys() == {"n0", "n1", "n2", "n3"}
        for link in part.links:
            assert (link.trunk is None) == all(end.node in here for end in link.ends)
    far = {address for part in parts for addresses in part.elsewhere.values() for address in addresses}
    assert far == (set() if guests == 1 else {a for n in whole.nodes for a in n.addresses} | {
        a for link in whole.links for end in link.ends for a in end.addresses})  # fmt: skip


def test_both_guests_of_a_link_name_the_same_vlan_of_their_wire():
    seen: dict[str, set[tuple[frozenset[int], int]]] = {}
    for part in split(chain(), 3):
        for link in part.links:
            if link.trunk is not None:
                wire = frozenset((part.guest, link.trunk.guest))
                seen.setdefault(link.name, set()).add((wire, link.trunk.vlan))
    assert seen
    assert all(len(ways) == 1 for ways in seen.values())
    assert len({way for ways in seen.values() for way in ways}) == len(seen)


def test_a_link_too_big_for_the_wire_between_guests_is_refused_by_name():
    largest = TRUNK_MTU - VLAN_TAG
    assert len(split(chain(largest), 2)) == 2
    with pytest.raises(BadInput, match=rf"link l\d is between .*mtu is {largest + 1}; expected at most {largest}"):
        split(chain(largest + 1), 2)
    assert len(split(chain(largest + 1), 1)) == 1
