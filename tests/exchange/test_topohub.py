"""Every graph of topohub becomes a topology that is valid as it stands."""

import gc
import json
from collections import Counter
from importlib.resources import files

import pytest

from testbed.emulator.lower import build_of
from testbed.errors import BadInput
from testbed.exchange import topohub
from testbed.exchange.base import Findings
from testbed.exchange.registry import import_from
from testbed.model.dump import dump
from testbed.model.load import loads
from testbed.model.topology import Topology

GROUPS = {name.split("/")[0] for name in topohub.names()}


def graph_of(name: str):
    return json.loads((files("topohub") / "data" / f"{name}.json").read_text())


@pytest.fixture
def without_collector():
    """A million small models make the garbage collector a quarter of the work."""
    gc.disable()
    yield
    gc.enable()


def degrees(edges) -> list[int]:
    return sorted(Counter(end for edge in edges for end in edge).values())


def test_the_groups_that_the_page_names_are_there():
    assert {"backbone", "caida", "gabriel", "sndlib", "topozoo"} == GROUPS


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_every_graph_is_a_valid_topology_of_the_same_shape(group, without_collector):
    """The model validates itself when it is made: addresses, interfaces, names, subnets."""
    for name in topohub.names():
        if name.startswith(f"{group}/"):
            data = graph_of(name)
            topology = topohub.topology_of(name, data)
            wires = [[end.node for end in link.endpoints] for link in topology.links.values()]
            assert len(topology.nodes) == len(data["nodes"]), name
            assert degrees(wires) == degrees((edge["source"], edge["target"]) for edge in data["edges"]), name
            assert all(node.kind == "router" and node.loopbacks for node in topology.nodes.values()), name


@pytest.mark.parametrize("name", ["sndlib/geant", "topozoo/Abilene", "gabriel/10/0", "caida/2024-08/1103"])
def test_a_graph_survives_our_file_and_can_be_built(name):
    topology = topohub.read(f"topohub:{name}", Findings())
    assert loads(dump(topology), Topology) == topology
    build = build_of(topology)
    assert all(node.daemons == ("zebra", "staticd", "ospfd") for node in build.nodes)


def test_delays_are_those_of_fibre_and_places_and_demands_are_kept():
    topology = import_from("topohub:sndlib/polska").topology
    data = graph_of("sndlib/polska")
    by_name = {node["name"].lower(): node for node in data["nodes"]}
    assert topology.nodes["gdansk"].position == tuple(by_name["gdansk"]["pos"]) == (18.6, 54.2)
    edge = next(e for e in data["edges"] if (e["source"], e["target"]) == (0, 10))
    link = topology.links["gdansk-warsaw"]
    assert link.forward == link.backward
    assert link.forward.delay == pytest.approx(edge["dist"] * 1000 / (299_792_458 / 1.468), rel=0.001)
    assert topology.demands["gdansk"]["warsaw"] == data["graph"]["demands"]["0"]["10"]
    assert sum(len(row) for row in topology.demands.values()) == 66


def test_the_same_graph_always_gets_the_same_addresses():
    first, again = (import_from("topohub:sndlib/geant").topology for _ in range(2))
    assert first == again
    ends = [str(address) for link in first.links.values() for end in link.endpoints for address in end.addresses]
    assert ends[:3] == ["10.0.0.0/31", "10.0.0.1/31", "10.0.0.2/31"]
    assert len(set(ends)) == len(ends)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sndlib/gaent", "the nearest are sndlib/geant"),
        ("geant", "sndlib/geant"),
        ("SNDLIB/GEANT", "sndlib/geant"),
        ("sndlib", "it has sndlib/abilene"),
        ("", "gabriel/... (360)"),
        ("../../../etc/passwd", "it has backbone/"),
        ("sndlib/geant.json", "sndlib/geant"),
    ],
)
def test_a_name_that_is_not_there_lists_the_nearest(name, said):
    with pytest.raises(BadInput) as refused:
        import_from(f"topohub:{name}")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
