"""Bridges with spanning tree and VLANs, judged by packets."""

from __future__ import annotations

import sys

import pytest

from testbed.emulator.lower import build_of
from testbed.emulator.messages import LinkChange, SetLinks, Survey, Surveyed
from testbed.errors import BadInput
from tests.emulator.segments import BROKEN, COUNTERS, bring_up, broken, heard_of_broadcasts, network, reaches, settled

ALONE = {"b1": {"kind": "bridge"}}
RING = [("b1", "b2"), ("b2", "b3"), ("b3", "b1")]


def ring(**settings):
    return network({f"b{i}": {"kind": "bridge", **settings} for i in (1, 2, 3)}, RING, {"h1": "b1", "h2": "b2"})


def test_a_ring_with_a_spanning_tree_is_ready_when_its_ports_are_and_does_not_storm(agent):
    topology = ring(stp=True)
    agent.call(build_of(topology))
    first = agent.call(Survey())
    assert isinstance(first, Surveyed)
    assert "b1: port eth0 is listening (STP)" in first.unready
    bring_up(agent, topology)
    assert reaches(agent, "h1", "h2", count=10) == 10
    assert 5 <= heard_of_broadcasts(agent, "h1", "h2") < 100  # one that circles comes back thousands of times


def test_a_ring_goes_on_around_a_cut(agent):
    bring_up(agent, ring(stp=True))
    assert reaches(agent, "h1", "h2") == 3
    agent.call(SetLinks(changes=(LinkChange(link="b1-b2", up=False),)))
    settled(agent)
    assert reaches(agent, "h1", "h2") == 3


def test_a_ring_in_which_nothing_breaks_the_circle_is_refused():
    with pytest.raises(BadInput, match=r"link b3-b1 closes a ring of bridges .* give one of them `stp: true`"):
        build_of(ring())


def test_one_bridge_with_a_spanning_tree_is_enough_for_a_ring():
    segments = {f"b{i}": {"kind": "bridge", "stp": i == 1} for i in (1, 2, 3)}
    build_of(network(segments, RING, {}))


def test_a_bridge_forwards_what_a_router_would_not(agent):
    """Where the kernel lets netfilter look at bridged frames, as beside Docker, it would drop them."""
    bring_up(agent, network(ALONE, [], {"h1": "b1", "h2": "b1"}))
    agent.run("h1", [sys.executable, "-c", BROKEN.replace("INTERFACE", "eth0")])
    while broken(agent.run("h2", ["cat", COUNTERS]).stdout.decode()) < 20:  # at the test's own deadline at the latest
        pass


def vlans():
    """Hosts 1 and 2 in VLAN 10, 3 and 4 in VLAN 20, on two bridges joined by a trunk."""
    segments = {name: {"kind": "bridge", "vlan_filtering": True} for name in ("b1", "b2")}
    ports = {"h1": ("b1", 10), "h2": ("b2", 10), "h3": ("b1", 20), "h4": ("b2", 20)}
    hosts = {h: {"node": bridge, "vlan": vlan} for h, (bridge, vlan) in ports.items()}
    return network(segments, [("b1", "b2")], hosts, trunk=[10, 20])


@pytest.mark.guest
def test_vlans_are_kept_apart_and_a_trunk_carries_both(guest_client):
    bring_up(guest_client, vlans())
    assert reaches(guest_client, "h1", "h2") == 3
    assert reaches(guest_client, "h3", "h4") == 3
    assert reaches(guest_client, "h1", "h3") == 0
    assert reaches(guest_client, "h1", "h4") == 0
