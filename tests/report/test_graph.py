import json
import math
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model.load import load_topology, loads
from testbed.model.topology import END_SYSTEMS, Topology
from testbed.report.drawio import to_drawio
from testbed.report.graph import to_graphviz, to_json, to_mermaid, to_svg
from testbed.report.layout import layout

NODES = {"core1": "router", "core2": "router", "agg1": "router", "h1": "host", "lan": "bridge"}
TEXT = """
name: demo
nodes:
  core1: {kind: router}
  core2: {kind: router}
  agg1: {kind: router}
  h1: {kind: host}
  lan: {kind: bridge}
links:
  core1-core2: {endpoints: [core1:eth1, core2:eth1], medium: "fibre <40> & 'km'", impairment: {delay: 196us}}
  core1-agg1: {endpoints: [core1:eth2, agg1:eth1], forward: {delay: 6ms, jitter: 1ms, loss: 0.05%, rate: 100Mbit}}
  core2-agg1: {endpoints: [core2:eth2, agg1:eth2], up: false}
  core1-lan: {endpoints: [core1:eth3, lan:p1]}
  h1-lan: {endpoints: [h1:eth0, lan:p2]}
  second: {endpoints: [core2:eth9, core1:eth9]}
"""
DEMO = loads(TEXT, Topology)
METRO = Path(__file__).parents[2] / "topologies" / "racks" / "metro" / "rack.yaml"
SVG = "{http://www.w3.org/2000/svg}"


def svg(topology, **options):
    return ElementTree.fromstring(to_svg(topology, **options))


def texts(tree):
    return [text.text for text in tree.iter(f"{SVG}text")]


def wires(tree):
    return {
        title.text.split(":")[0]: path
        for path in tree.iter(f"{SVG}path")
        if (title := path.find(f"{SVG}title")) is not None
    }


def ring(count):
    nodes = {f"r{i}": {"kind": "router"} for i in range(count)}
    links = {
        f"l{i}": {"endpoints": [{"node": f"r{i}", "interface": "a"}, {"node": f"r{(i + 1) % count}", "interface": "b"}]}
        for i in range(count)
    }
    return Topology.model_validate({"name": "ring", "nodes": nodes, "links": links})


def test_svg_shows_every_node_in_its_kinds_look():
    tree = svg(DEMO)
    looks = {}
    for group in tree.iter(f"{SVG}g"):
        shape = next(child for child in group if "node" in child.get("class", "").split())
        looks[group.findtext(f"{SVG}text")] = shape.get("class", "").split()[1]
    assert looks == NODES


def test_svg_shows_every_link_with_its_medium_and_what_it_does():
    tree = svg(DEMO)
    assert set(wires(tree)) == set(DEMO.links)
    assert {"fibre <40> & 'km'", "196us", "core1 → 6ms ±1ms · 0.05% loss · 100Mbit/s", "agg1 → 0s", "down"} <= set(
        texts(tree)
    )


def test_svg_marks_links_that_are_down_whoever_says_so():
    def down(**options):
        return {name for name, path in wires(svg(DEMO, **options)).items() if "down" in path.get("class", "")}

    assert down() == {"core2-agg1"}
    assert down(states={"core2-agg1": True, "h1-lan": False}) == {"h1-lan"}


def test_svg_highlights_links_on_top_of_the_rest():
    found = wires(svg(DEMO, highlight={"core1-core2": "#d97706"}))
    assert {name for name, path in found.items() if "marked" in path.get("class", "")} == {"core1-core2"}
    assert found["core1-core2"].get("style") == "stroke:#d97706"
    assert list(found)[-1] == "core1-core2"


@pytest.mark.parametrize("draw", [to_svg, to_mermaid, to_graphviz])
def test_a_colour_cannot_carry_markup(draw):
    with pytest.raises(ValueError, match="expected a CSS colour"):
        draw(DEMO, highlight={"core1-core2": '"><script>'})


@pytest.mark.parametrize("draw", [to_svg, to_mermaid, to_graphviz, to_json])
def test_a_drawing_is_the_same_every_time(draw):
    assert draw(DEMO) == draw(loads(TEXT, Topology))


def test_svg_needs_nothing_from_elsewhere():
    text = to_svg(DEMO).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"href|url\(|http|<script|@import", text)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_escaped(text):
    link = DEMO.links["core1-core2"].model_copy(update={"medium": text})
    topology = DEMO.model_copy(update={"links": {"core1-core2": link}})
    assert wires(svg(topology)).keys() == {"core1-core2"}
    assert json.loads(to_json(topology))["links"][0]["medium"] == text
    assert sum(" --- " in line or " -- " in line for line in to_mermaid(topology).splitlines()) <= 1


def test_parallel_links_do_not_lie_on_each_other():
    found = wires(svg(DEMO))
    curves = [found[name].get("d", "") for name in ("core1-core2", "second")]
    bends = {re.findall(r"Q([\d.]+) ([\d.]+)", curve)[0] for curve in curves}
    assert len(bends) == 2


@pytest.mark.parametrize("count", [2, 3, 8, 30, 120])
def test_nodes_of_a_ring_do_not_lie_on_each_other(count):
    places = layout(ring(count)) if count > 2 else layout(DEMO)
    assert min(math.dist(a, b) for a, b in combinations(places.values(), 2)) > 0.4


def test_a_grid_is_drawn_without_crossing_links():
    size = 4
    cells = [(x, y) for x in range(size) for y in range(size)]
    pairs = [((x, y), other) for x, y in cells for other in ((x + 1, y), (x, y + 1)) if other in cells]
    ends = [[{"node": f"n{x}{y}", "interface": f"i{i}"} for x, y in pair] for i, pair in enumerate(pairs)]
    links = {f"l{i}": {"endpoints": pair} for i, pair in enumerate(ends)}
    nodes = {f"n{x}{y}": {"kind": "router"} for x, y in cells}
    places = layout(Topology.model_validate({"name": "grid", "nodes": nodes, "links": links}))

    def side(a, b, c):
        return (b[0] - a[0]) * (c[1] - a[1]) > (b[1] - a[1]) * (c[0] - a[0])

    lines = [(places[f"n{a[0]}{a[1]}"], places[f"n{b[0]}{b[1]}"]) for a, b in pairs]
    for (a, b), (c, d) in combinations(lines, 2):
        if len({a, b, c, d}) == 4:
            assert not (side(a, b, c) != side(a, b, d) and side(c, d, a) != side(c, d, b))


def test_all_of_the_drawing_is_inside_its_frame():
    tree = svg(ring(30))
    width, height = float(tree.get("width", "")), float(tree.get("height", ""))
    for shape in tree.iter(f"{SVG}rect"):
        x, y = float(shape.get("x", "0")), float(shape.get("y", "0"))
        assert x >= 0
        assert y >= 0
        assert x + float(shape.get("width", "")) <= width
        assert y + float(shape.get("height", "")) <= height


def test_one_node_and_unconnected_nodes_are_drawn_too():
    for nodes in ("{a: {kind: host}}", "{a: {kind: host}, b: {kind: host}, c: {kind: bridge}}"):
        topology = loads(f"name: x\nnodes: {nodes}\n", Topology)
        assert set(topology.nodes) <= set(texts(svg(topology)))


def test_mermaid_has_every_node_and_link():
    lines = to_mermaid(DEMO, highlight={"second": "red"}).splitlines()
    assert lines[0] == "graph LR"
    assert sum(":::" in line for line in lines) == len(DEMO.nodes)
    assert sum("---" in line for line in lines) == len(DEMO.links) - 1
    assert sum("-.-" in line for line in lines) == 1
    assert "  linkStyle 5 stroke:red,stroke-width:4px" in lines


def test_graphviz_has_every_node_and_link():
    text = to_graphviz(DEMO)
    assert text.startswith('graph "demo" {')
    assert text.count(" -- ") == len(DEMO.links)
    assert text.count("fillcolor") == len(DEMO.nodes)
    assert text.count("style=dashed") == 1


def test_json_has_places_and_settings():
    graph = json.loads(to_json(DEMO, states={"h1-lan": False}))
    assert {node["name"]: node["kind"] for node in graph["nodes"]} == NODES
    by_name = {link["name"]: link for link in graph["links"]}
    assert by_name["core1-agg1"]["forward"]["delay"] == 0.006
    assert by_name["h1-lan"]["up"] is False
    assert (by_name["h1-lan"]["source"], by_name["h1-lan"]["target"]) == ("h1", "lan")


def grid(wide, high):
    """A grid of routers whose links say as much as a mirrored microwave path does."""
    lines = ["name: grid", "nodes:"]
    lines += [f"  node{x}{y}: {{kind: router}}" for x in range(wide) for y in range(high)]
    lines.append("links:")
    more = 'medium: "microwave 18 GHz", impairment: {delay: 6.02ms, jitter: 500us, loss: 0.05%, rate: 100Mbit}'
    for x, y in ((x, y) for x in range(wide) for y in range(high)):
        ends = [(x + 1, y)] * (x + 1 < wide) + [(x, y + 1)] * (y + 1 < high)
        for number, (far, down) in enumerate(ends, 1):
            ports = f"node{x}{y}:e{number}, node{far}{down}:w{number}{x}"
            lines.append(f"  l{x}{y}{number}: {{endpoints: [{ports}], {more}}}")
    return loads("\n".join(lines), Topology)


def rectangles(drawing, kind):
    found = [one for one in drawing.iter(f"{SVG}rect") if kind in str(one.get("class")).split()]
    return [tuple(float(one.get(key) or 0) for key in ("x", "y", "width", "height")) for one in found]


def overlap(one, other):
    (x, y, wide, high), (x2, y2, wide2, high2) = one, other
    return min(x + wide, x2 + wide2) > max(x, x2) and min(y + high, y2 + high2) > max(y, y2)


@pytest.mark.parametrize("topology", [load_topology(METRO), grid(3, 3), grid(4, 3)], ids=["metro", "grid9", "grid12"])
def test_no_label_hides_a_node_another_label_or_the_wire_of_another_link(topology):
    drawing = svg(topology)
    labels, nodes = rectangles(drawing, "back"), rectangles(drawing, "node")
    assert len(labels) == len(topology.links)
    key = 1  # the key's own shape is a node, too
    assert len(nodes) == len(topology.nodes) + key
    assert [pair for pair in combinations([*labels, *nodes[: -key or None]], 2) if overlap(*pair)] == []
    wires = [list(map(float, re.findall(r"-?[\d.]+", str(one.get("d"))))) for one in drawing.iter(f"{SVG}path")]
    for label in labels:
        touching = sum(any(inside(label, at(wire, step / 60)) for step in range(61)) for wire in wires)
        assert touching <= 1


def at(wire, t):
    x, y, bend_x, bend_y, to_x, to_y = wire
    near, middle, far = (1 - t) ** 2, 2 * t * (1 - t), t * t
    return near * x + middle * bend_x + far * to_x, near * y + middle * bend_y + far * to_y


def inside(box, point):
    return box[0] < point[0] < box[0] + box[2] and box[1] < point[1] < box[1] + box[3]


def test_end_systems_of_a_5g_core_are_drawn_as_hosts_with_their_own_label():
    nodes = {kind: {"kind": kind} for kind in END_SYSTEMS}
    topology = Topology.model_validate({"name": "ends", "nodes": nodes})
    svg = to_svg(topology)
    assert svg.count('class="node host"') == 2 * len(END_SYSTEMS)  # each, and in the key
    assert all(f"<title>{kind} {kind}</title>" in svg for kind in END_SYSTEMS)
    assert to_mermaid(topology).count(":::host") == len(END_SYSTEMS)
    assert to_graphviz(topology).count("[shape=box") == len(END_SYSTEMS)
    assert to_drawio(topology).count("fillColor=#dcf5e3") == len(END_SYSTEMS)
