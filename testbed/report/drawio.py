"""A topology as a drawing for draw.io (diagrams.net): mxGraph XML, in the places of its nodes or in ours."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from statistics import median

from testbed.model.topology import Link, Node, Topology
from testbed.report.graph import label, look, node_width, printable
from testbed.report.layout import Points, layout

_SHAPES = {
    "router": "ellipse;fillColor=#dbe9ff;strokeColor=#2563eb",
    "host": "rounded=0;fillColor=#dcf5e3;strokeColor=#15803d",
    "bridge": "shape=hexagon;perimeter=hexagonPerimeter2;fixedSize=1;fillColor=#fdeccb;strokeColor=#b45309",
    "switch": "shape=hexagon;perimeter=hexagonPerimeter2;fixedSize=1;fillColor=#efe3fd;strokeColor=#7c3aed",
}
_HOP = 210.0
_HEIGHT = 40.0
_ROOT = {"0": {}, "1": {"parent": "0"}}
"""Every mxGraph has these two cells: the root and its first layer."""


def to_drawio(topology: Topology) -> str:
    """Draw a topology for draw.io: every node and link an object of its own, to be moved and changed there."""
    file = ET.Element("mxfile", {"host": "testbed"})
    model = ET.SubElement(ET.SubElement(file, "diagram", {"name": topology.name}), "mxGraphModel", {"grid": "1"})
    cells = ET.SubElement(model, "root")
    for identity, given in _ROOT.items():
        ET.SubElement(cells, "mxCell", {"id": identity, **given})
    places = _places(topology)
    for name, node in topology.nodes.items():
        _node(cells, name, node, places[name])
    for name, link in topology.links.items():
        _link(cells, name, link)
    ET.indent(file)
    return ET.tostring(file, encoding="unicode") + "\n"


def _places(topology: Topology) -> Points:
    """The nodes' own positions where all have one (theirs grow upwards), else ours; neighbours a hop apart."""
    given = {name: node.position for name, node in topology.nodes.items() if node.position is not None}
    own = {name: (x, -y) for name, (x, y) in given.items()}
    places = own if len(own) == len(topology.nodes) else layout(topology)
    lengths = sorted(_length(places, link) for link in topology.links.values())
    scale = _HOP / (median([length for length in lengths if length > 0] or [1.0]))
    left, top = (min(place[axis] for place in places.values()) for axis in (0, 1))
    return {name: ((x - left) * scale, (y - top) * scale) for name, (x, y) in places.items()}


def _length(places: Points, link: Link) -> float:
    (x1, y1), (x2, y2) = (places[end.node] for end in link.endpoints)
    return ((x1 - x2) ** 2 + (y1 - y2) ** 2) ** 0.5


def _node(cells: ET.Element, name: str, node: Node, place: tuple[float, float]) -> None:
    style = f"{_SHAPES[look(node.kind)]};whiteSpace=wrap;html=0"
    cell = ET.SubElement(
        cells, "mxCell", {"id": f"node-{name}", "value": name, "style": style, "vertex": "1", "parent": "1"}
    )
    x, y = (f"{value:.1f}" for value in place)
    size = {"width": f"{node_width(name):.0f}", "height": f"{_HEIGHT:.0f}"}
    ET.SubElement(cell, "mxGeometry", {"x": x, "y": y, **size, "as": "geometry"})


def _link(cells: ET.Element, name: str, link: Link) -> None:
    first, second = (f"node-{end.node}" for end in link.endpoints)
    style = "endArrow=none;html=0" + ("" if link.up else ";dashed=1;strokeColor=#c81e1e")
    about = {"id": f"link-{name}", "value": printable("\n".join(label(link, link.up))), "style": style}
    cell = ET.SubElement(cells, "mxCell", {**about, "edge": "1", "parent": "1", "source": first, "target": second})
    ET.SubElement(cell, "mxGeometry", {"relative": "1", "as": "geometry"})
