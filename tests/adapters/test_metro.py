"""The metro rack's files mean what its comments and changes say."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import networkx as nx
import pytest

from adapters import frr_config
from testbed.model.change import Change, InterfaceStep
from testbed.model.load import load_change, load_topology
from testbed.model.topology import Router, Topology

METRO = Path(__file__).resolve().parents[2] / "topologies/racks/metro"


@pytest.fixture(scope="module")
def metro() -> Topology:
    return load_topology(METRO / "rack.yaml")


def cost(topology: Topology, device: str, interface: str) -> int:
    node = topology.nodes[device]
    assert isinstance(node, Router)
    lines = frr_config.parse(node.config or "")[(f"interface {interface}",)]
    return next(int(line.rpartition(" ")[2]) for line in lines if line.startswith("ip ospf cost"))


def way(topology: Topology, source: str, target: str, change: Change | None = None) -> list[str]:
    """The one shortest path by the routers' own costs, after a change's."""
    steps = [step for step in change.steps if isinstance(step, InterfaceStep)] if change else []
    changed = {(step.device, step.interface): step.cost for step in steps}
    graph = nx.DiGraph()
    for link in topology.links.values():
        for here, there in (link.endpoints, link.endpoints[::-1]):
            place = (here.node, here.interface)
            graph.add_edge(here.node, there.node, weight=changed.get(place) or cost(topology, *place))
    (path,) = nx.all_shortest_paths(graph, source, target, weight="weight")
    return path


def test_the_urgent_slice_goes_by_the_short_fibre(metro: Topology) -> None:
    assert way(metro, "cell1", "core1") == ["cell1", "agg1", "core1"]
    assert way(metro, "core1", "cell1") == ["core1", "agg1", "cell1"]


def test_the_careless_drain_ends_on_the_microwave_and_the_careful_one_does_not(metro: Topology) -> None:
    careless = load_change(METRO / "changes/drain-agg1-careless.yaml")
    careful = load_change(METRO / "changes/drain-agg1.yaml")
    assert way(metro, "cell1", "core1", careless) == ["cell1", "agg3", "core1"]
    assert way(metro, "cell1", "core1", careful) == ["cell1", "agg2", "core2", "core1"]
    assert way(metro, "core1", "cell1", careful) == ["core1", "core2", "agg2", "cell1"]


def test_nothing_uses_the_microwave_from_day_to_day(metro: Topology) -> None:
    for source in metro.nodes:
        for target in set(metro.nodes) - {source}:
            path = way(metro, source, target)
            assert {"agg3", "cell1"} not in [set(hop) for hop in itertools.pairwise(path)]


def test_fibre_delays_are_those_of_their_lengths(metro: Topology) -> None:
    for name, link in metro.links.items():
        length = re.fullmatch(r"fibre (\d+) km", link.medium or "")
        if length:
            assert link.forward.delay == link.backward.delay == pytest.approx(int(length[1]) * 4.9e-6), name


def test_every_wire_is_described_at_both_ends(metro: Topology) -> None:
    for link in metro.links.values():
        for here, there in (link.endpoints, link.endpoints[::-1]):
            node = metro.nodes[here.node]
            assert isinstance(node, Router)
            lines = frr_config.parse(node.config or "")[(f"interface {here.interface}",)]
            assert f"description to {there.node}, {link.medium}" in lines


def test_the_slice_change_loads() -> None:
    assert load_change(METRO / "changes/announce-slice.yaml").name == "announce-slice"
