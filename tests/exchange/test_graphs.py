"""GraphML and GML: of our own making, of networkx', and wrong."""

import json
from importlib.resources import files

import networkx as nx
import pytest

from testbed.errors import BadInput
from testbed.exchange.registry import export_to, import_from
from testbed.model.impairment import Impairment
from testbed.model.topology import Router

READERS = {"graphml": nx.read_graphml, "gml": nx.read_gml}
WRITERS = {"graphml": nx.write_graphml, "gml": nx.write_gml}
FORMATS = sorted(READERS)


def read(tmp_path, name, text, skip=False):
    file = tmp_path / name
    file.write_text(text)
    return import_from(str(file), skip_unsupported=skip)


@pytest.mark.parametrize("format", FORMATS)
def test_networkx_reads_what_we_write(tmp_path, format):
    topology = import_from("topohub:sndlib/polska").topology
    file = tmp_path / f"polska.{format}"
    file.write_text(export_to(topology, format, skip_unsupported=True).files[""])
    graph = READERS[format](file)
    assert list(graph.nodes) == list(topology.nodes)
    wires = {link: tuple(end.node for end in one.endpoints) for link, one in topology.links.items()}
    assert {data["name"]: {a, b} for a, b, data in graph.edges(data=True)} == {n: set(w) for n, w in wires.items()}
    for one, other, data in graph.edges(data=True):
        assert data["delay"] == topology.links[data["name"]].forward.delay, (one, other)
    assert graph.nodes["gdansk"]["y"] == 54.2


@pytest.mark.parametrize("format", FORMATS)
def test_a_graph_of_networkx_becomes_routers_with_addresses(tmp_path, format):
    graph = nx.MultiGraph(name="Three")
    graph.add_node("A b", Longitude=1.5, Latitude=2.0)
    graph.add_edges_from([("A b", "c", {"LinkSpeedRaw": 1e9}), ("A b", "c", {"delay": 0.001}), ("c", "d", {})])
    file = tmp_path / f"x.{format}"
    WRITERS[format](graph, file)
    imported = import_from(str(file))
    topology = imported.topology
    assert list(topology.nodes) == ["a-b", "c", "d"]
    assert any("node A b is called a-b here" in note for note in imported.notes)
    assert topology.nodes["a-b"].position == (1.5, 2.0)
    assert all(isinstance(node, Router) and len(node.loopbacks) == 1 for node in topology.nodes.values())
    assert sorted((link.forward for link in topology.links.values()), key=str) == sorted(
        [Impairment(rate=1e9), Impairment(delay=0.001), Impairment()], key=str
    )
    ends = [f"{e.node}:{e.interface} {e.addresses[0]}" for link in topology.links.values() for e in link.endpoints]
    assert ends == ["a-b:eth1 10.0.0.0/31", "c:eth1 10.0.0.1/31", "a-b:eth2 10.0.0.2/31", "c:eth2 10.0.0.3/31",
                    "c:eth3 10.0.0.4/31", "d:eth1 10.0.0.5/31"]  # fmt: skip


@pytest.mark.parametrize("format", FORMATS)
def test_a_graph_of_topohub_survives_networkx(tmp_path, format):
    data = json.loads((files("topohub") / "data" / "topozoo" / "Abilene.json").read_text())
    graph = nx.Graph()
    graph.add_nodes_from((node["id"], {"name": node["name"]}) for node in data["nodes"])
    graph.add_edges_from((edge["source"], edge["target"]) for edge in data["edges"])
    file = tmp_path / f"abilene.{format}"
    WRITERS[format](graph, file)
    ours, theirs = import_from(str(file)).topology, import_from("topohub:topozoo/Abilene").topology
    assert set(ours.nodes) == set(theirs.nodes)
    assert {frozenset(end.node for end in link.endpoints) for link in ours.links.values()} == {
        frozenset(end.node for end in link.endpoints) for link in theirs.links.values()
    }


HEAD = '<graphml><key id="d" for="edge" attr.name="{}"/><graph>\n<node id="a"/><node id="b"/>\n'
EDGE = '<edge source="a" target="b"><data key="d">{}</data></edge>\n</graph></graphml>\n'
GML = 'graph [\n  node [ id 1 label "a" ]\n  node [ id 2 label "b" ]\n  edge [ source 1 target 2 {} ]\n]\n'

WRONG = [
    ("x.graphml", "", "1:1", "not XML: no element found"),
    ("x.graphml", "<graphml>\n <graph></graphml>", "2:11", "mismatched tag"),
    ("x.graphml", "<svg/>", "1:1", "expected graphml"),
    ("x.graphml", "<graphml/>", "1:1", "with a graph in it"),
    ("x.graphml", '<!DOCTYPE x [<!ENTITY a "b">]><graphml/>', "1:25", "without entities of its own"),
    ("x.graphml", "<graphml><graph><node/></graph></graphml>", "1:17", "missing attribute 'id'"),
    (
        "x.graphml",
        "<graphml><graph>\n<node id='a'/>\n<node id='a'/></graph></graphml>",
        "3:1",
        "the first is in line 2",
    ),
    ("x.graphml", HEAD.format("delay") + EDGE.format("often"), "3:29", "'often': expected a number with a unit"),
    ("x.graphml", HEAD.format("delay") + EDGE.format("-1"), "3:29", "not negative"),
    ("x.graphml", HEAD.format("dealy") + EDGE.format("1"), "3:29", "did you mean 'delay'?"),
    ("x.graphml", HEAD.format("up") + EDGE.format("perhaps"), "3:29", "true or false"),
    ("x.graphml", HEAD.format("x") + EDGE.format("1").replace('"d"', '"e"'), "3:29", "a key that the file declares"),
    ("x.graphml", HEAD.format("x") + '<edge source="a" target="bb"/></graph></graphml>', "3:1", "did you mean 'b'?"),
    ("x.graphml", HEAD.format("mtu") + EDGE.format("1"), "3:29", "at least 68"),
    ("x.gml", "", "1:1", "expected `graph [ ... ]`"),
    ("x.gml", "graph [\n  node [ id 1 ]\n", "x.gml", "expected ] for every ["),
    ("x.gml", "graph [\n  node [ id ]\n]", "2:13", "expected a number, a text in quotes or ["),
    ("x.gml", "graph [\n  node [ label 1 ]\n]", "2:8", "missing key 'id'"),
    ("x.gml", 'graph [ name "x\n ]', "1:14", "text that ends"),
    ("x.gml", "graph [ % ]", "1:9", "expected a key"),
    ("x.gml", "graph " + "[ a " * 60, "1:", "nested less deeply"),
    ("x.gml", GML.format('delay "often"'), "4:34", "'often': expected a number with a unit"),
    ("x.gml", GML.format("mtu 1"), "4:32", "at least 68"),
    ("x.gml", GML.format("dealy 1"), "4:34", "did you mean 'delay'?"),
    ("x.gml", GML.format("").replace("target 2", "target 3"), "4:8", "expected a node of the graph"),
    ("x.gml", "graph [ ]", "1:7", "at least 1"),
    ("x.gml", "graph [ directed 1 node [ id 1 ] ]", "1:18", "goes both ways"),
]


@pytest.mark.parametrize(("name", "text", "place", "said"), WRONG, ids=[f"{one[0]} {one[3][:24]}" for one in WRONG])
def test_bad_input_is_refused_where_it_is(tmp_path, name, text, place, said):
    with pytest.raises(BadInput) as refused:
        read(tmp_path, name, text)
    lines = str(refused.value).splitlines()
    assert any(f"{name}:{place}" in line.replace("x.gml: ", "x.gml:x.gml: ") and said in line for line in lines), lines


def test_what_topology_zoo_says_beside_the_network_is_no_error(tmp_path):
    text = GML.format('LinkLabel "155 Mbps" LinkSpeedRaw 155000000.0').replace("graph [", 'graph [ Creator "x"')
    (link,) = read(tmp_path, "zoo.gml", text).topology.links.values()
    assert (link.forward.rate, link.backward.rate) == (155e6, 155e6)


def test_what_is_unknown_may_be_left_out(tmp_path):
    imported = read(tmp_path, "x.gml", GML.format('colour "red"'), skip=True)
    assert next(note for note in imported.notes if "'colour'" in note).endswith(": left out")


def test_text_that_xml_cannot_hold_is_refused():
    topology = import_from("topohub:topozoo/Renam").topology.model_copy(update={"description": "a\x00b"})
    with pytest.raises(BadInput, match=r"description: character U\+0000"):
        export_to(topology, "graphml", skip_unsupported=True)
