"""A topology as a drawing: SVG, Mermaid, Graphviz, JSON."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from itertools import count
from math import dist
from statistics import median

from testbed import units
from testbed.model.impairment import Impairment
from testbed.model.topology import END_SYSTEMS, Link, Node, Topology
from testbed.report.labels import LINE, Box, Wire, place
from testbed.report.layout import Points, layout

_HOP = 210.0
"""Pixels between most neighbours; so much that a label fits."""
_SCALES = (1.0, 1.15, 1.3, 1.5, 1.75)
"""Tried one after the other, until there is room for every label."""
_MARGIN = 46.0
_NODE_HEIGHT = 32.0
_MOST_LABELS = 80
"""Links; above, labels would hide the drawing and only the tooltips tell."""

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_STYLE = """
.tb-graph{--paper:#ffffff;--ink:#1f2933;--soft:#5b6875;--wire:#8a97a5;--down:#c81e1e;
--router:#dbe9ff;--router-edge:#2563eb;--host:#dcf5e3;--host-edge:#15803d;--bridge:#fdeccb;--bridge-edge:#b45309;
--switch:#efe3fd;--switch-edge:#7c3aed;
font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
@media(prefers-color-scheme:dark){.tb-graph{--paper:#12181f;--ink:#e6edf3;--soft:#a4b1bf;--wire:#6b7a89;--down:#ff7b72;
--router:#172c4f;--router-edge:#6ea8fe;--host:#14351f;--host-edge:#56d364;--bridge:#40300f;--bridge-edge:#e3b341;
--switch:#2c1f47;--switch-edge:#b794f6}}
.tb-graph .paper{fill:var(--paper)}
.tb-graph .wire{fill:none;stroke:var(--wire);stroke-width:2.5;stroke-linecap:round}
.tb-graph .marked{stroke-width:6}
.tb-graph .down{stroke:var(--down);stroke-dasharray:3 8}
.tb-graph .cut{stroke:var(--down);stroke-width:3.5;stroke-linecap:round}
.tb-graph text{fill:var(--ink);text-anchor:middle;dominant-baseline:central}
.tb-graph .name{font-size:14px;font-weight:600}
.tb-graph .label{font-size:11px}
.tb-graph .back{fill:var(--paper);opacity:.9}
.tb-graph .medium{fill:var(--soft)}
.tb-graph .router{fill:var(--router);stroke:var(--router-edge)}
.tb-graph .host{fill:var(--host);stroke:var(--host-edge)}
.tb-graph .bridge{fill:var(--bridge);stroke:var(--bridge-edge)}
.tb-graph .switch{fill:var(--switch);stroke:var(--switch-edge)}
.tb-graph .node{stroke-width:2}
.tb-graph .key{font-size:11px;text-anchor:start;fill:var(--soft)}
"""


def to_svg(
    topology: Topology, highlight: Mapping[str, str] | None = None, states: Mapping[str, bool] | None = None
) -> str:
    """Draw a topology as self-contained SVG, for light and dark pages; the same topology gives the same bytes.

    Args:
        topology: what to draw.
        highlight: link name to CSS colour; such links are drawn thick.
        states: link name to whether it is up, where that differs from the topology's own `up`.
    """
    alive = {name: (states or {}).get(name, link.up) for name, link in topology.links.items()}
    boxes, wires, labels = _roomy(topology, {name: label(link, alive[name]) for name, link in topology.links.items()})
    everything = [*boxes.values(), *labels.values()]
    width = max(box.x + box.width / 2 for box in everything) + _MARGIN
    height = max(box.y + box.height / 2 for box in everything) + _MARGIN + 14
    shown = sorted(topology.links, key=lambda name: name in (highlight or {}))  # the marked ones on top
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tb-graph" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}" role="img" style="max-width:100%;height:auto"'
        f' aria-label="{_xml("topology " + topology.name)}">',
        f"<title>{_xml(topology.name)}</title><style>{_STYLE}</style>",
        f'<rect class="paper" width="{width:.0f}" height="{height:.0f}" rx="10"/>',
        *(_svg_wire(topology.links[n], n, wires[n], alive[n], (highlight or {}).get(n)) for n in shown),
        *_svg_labels(topology, labels, alive),
        *(_svg_node(name, node, boxes[name]) for name, node in topology.nodes.items()),
        *_svg_key(topology, height),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def to_mermaid(
    topology: Topology, highlight: Mapping[str, str] | None = None, states: Mapping[str, bool] | None = None
) -> str:
    """Write a topology as a Mermaid flow chart; the arguments are those of `to_svg`."""
    ids = {name: f"n{index}" for index, name in enumerate(topology.nodes)}
    shape = {"router": ("([", "])"), "bridge": ("{{", "}}"), "switch": ("{{", "}}")}
    lines = ["graph LR"]
    for name, node in topology.nodes.items():
        left, right = shape.get(node.kind, ("[", "]"))
        lines.append(f"  {ids[name]}{left}{_mermaid(name)}{right}:::{look(node.kind)}")
    for name, link in topology.links.items():
        arrow = "---" if (states or {}).get(name, link.up) else "-.-"
        text = "<br>".join(label(link)) or name
        first, second = (ids[end.node] for end in link.endpoints)
        lines.append(f"  {first} {arrow}|{_mermaid(text)}| {second}")
    for index, name in enumerate(topology.links):
        if colour := (highlight or {}).get(name):
            lines.append(f"  linkStyle {index} stroke:{_colour(colour)},stroke-width:4px")
    lines += [
        "  classDef router fill:#dbe9ff,stroke:#2563eb,color:#1f2933",
        "  classDef host fill:#dcf5e3,stroke:#15803d,color:#1f2933",
        "  classDef bridge fill:#fdeccb,stroke:#b45309,color:#1f2933",
        "  classDef switch fill:#efe3fd,stroke:#7c3aed,color:#1f2933",
    ]
    return "\n".join(lines) + "\n"


def to_graphviz(
    topology: Topology, highlight: Mapping[str, str] | None = None, states: Mapping[str, bool] | None = None
) -> str:
    """Write a topology in Graphviz' DOT language; the arguments are those of `to_svg`."""
    looks = {
        "router": ("ellipse", "#dbe9ff"),
        "host": ("box", "#dcf5e3"),
        "bridge": ("hexagon", "#fdeccb"),
        "switch": ("hexagon", "#efe3fd"),
    }
    lines = [f"graph {_dot(topology.name)} {{", '  layout=neato; overlap=false; node [style=filled, fontname="sans"];']
    for name, node in topology.nodes.items():
        shape, colour = looks[look(node.kind)]
        lines.append(f'  {_dot(name)} [shape={shape}, fillcolor="{colour}"];')
    for name, link in topology.links.items():
        first, second = link.endpoints
        text = "\n".join(label(link))
        extra = "" if (states or {}).get(name, link.up) else ', style=dashed, color="#c81e1e"'
        if marked := (highlight or {}).get(name):
            extra += f", color={_dot(_colour(marked))}, penwidth=4"
        ends = f"taillabel={_dot(first.interface)}, headlabel={_dot(second.interface)}"
        lines.append(f"  {_dot(first.node)} -- {_dot(second.node)} [label={_dot(text)}, {ends}{extra}];")
    return "\n".join([*lines, "}"]) + "\n"


def to_json(
    topology: Topology, highlight: Mapping[str, str] | None = None, states: Mapping[str, bool] | None = None
) -> str:
    """Write a topology as JSON for drawing programs: nodes with places (in hops), links with SI settings."""
    places = layout(topology)
    nodes = [
        {"name": name, "kind": node.kind, "x": round(places[name][0], 3), "y": round(places[name][1], 3)}
        for name, node in topology.nodes.items()
    ]
    links = [
        {
            "name": name,
            "source": link.endpoints[0].node,
            "target": link.endpoints[1].node,
            "up": (states or {}).get(name, link.up),
            "highlight": (highlight or {}).get(name),
            **link.model_dump(mode="json", exclude={"up"}),
        }
        for name, link in topology.links.items()
    ]
    return json.dumps({"name": topology.name, "nodes": nodes, "links": links}, indent=2) + "\n"


Drawn = tuple[Mapping[str, Box], Mapping[str, Wire], Mapping[str, Box]]
"""Nodes, wires and labels on paper."""


def _roomy(topology: Topology, texts: Mapping[str, list[str]]) -> Drawn:
    """Draw larger until no label hides a node, another label or another's wire, as far as that helps."""
    if len(topology.links) > _MOST_LABELS:
        return _drawn(topology, {}, _HOP / 2)[0]
    tried = (_drawn(topology, texts, _HOP * scale) for scale in _SCALES)
    first, clear = next(tried)
    return first if clear else next((drawn for drawn, clear in tried if clear), first)


def _drawn(topology: Topology, texts: Mapping[str, list[str]], hop: float) -> tuple[Drawn, bool]:
    places = _pixels(topology, hop)
    boxes = {name: Box(*places[name], node_width(name), _NODE_HEIGHT) for name in topology.nodes}
    wires = dict(_wires(topology, places))
    labels, clear = place(texts, wires, list(boxes.values()))
    return (boxes, wires, labels), clear


def _pixels(topology: Topology, hop: float) -> Points:
    places = layout(topology)
    left = min(x for x, _ in places.values())
    top = min(y for _, y in places.values())
    side = max(node_width(name) for name in places) / 2 + _MARGIN
    up = _NODE_HEIGHT / 2 + _MARGIN
    scale = hop / median(_lengths(topology, places) or [1.0])
    return {name: ((x - left) * scale + side, (y - top) * scale + up) for name, (x, y) in places.items()}


def _lengths(topology: Topology, places: Points) -> list[float]:
    return [dist(*(places[end.node] for end in link.endpoints)) for link in topology.links.values()]


def look(kind: str) -> str:
    """Return the kind of node that one is drawn as: all end systems are drawn as hosts."""
    return "host" if kind in END_SYSTEMS else kind


def node_width(name: str) -> float:
    """Return how many pixels a node needs for its name."""
    return max(64.0, len(name) * 8.6 + 26)


def _wires(topology: Topology, places: Points) -> Iterator[tuple[str, Wire]]:
    """Links between the same two nodes are bent apart."""
    pairs = {name: tuple(sorted(end.node for end in link.endpoints)) for name, link in topology.links.items()}
    total, seen = Counter(pairs.values()), {pair: count() for pair in pairs.values()}
    for name, link in topology.links.items():
        pair = pairs[name]
        (x1, y1), (x2, y2) = places[pair[0]], places[pair[1]]
        off = (next(seen[pair]) - (total[pair] - 1) / 2) * 56
        length = max(((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5, 1e-6)
        bend = ((x1 + x2) / 2 - (y2 - y1) / length * off, (y1 + y2) / 2 + (x2 - x1) / length * off)
        first, second = (places[end.node] for end in link.endpoints)
        yield name, Wire(first, bend, second)


def _svg_wire(link: Link, name: str, wire: Wire, up: bool, colour: str | None) -> str:
    (x1, y1), (bx, by), (x2, y2) = wire.start, wire.bend, wire.end
    kind = "wire" + (" marked" if colour else "") + ("" if up else " down")
    style = f' style="stroke:{_xml(_colour(colour))}"' if colour else ""
    path = f'<path class="{kind}"{style} d="M{x1:.1f} {y1:.1f}Q{bx:.1f} {by:.1f} {x2:.1f} {y2:.1f}">'
    mark = ""
    if not up:
        x, y = wire.at(0.28)
        mark = f'<path class="cut" d="M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12"/>'
    return f"{path}<title>{_xml(_tooltip(name, link, up))}</title></path>{mark}"


def _svg_labels(topology: Topology, places: Mapping[str, Box], alive: Mapping[str, bool]) -> Iterator[str]:
    for name, box in places.items():
        link = topology.links[name]
        lines = label(link, alive[name])
        yield _rectangle(box, "back", 4)
        for index, line in enumerate(lines):
            y = box.y + (index - (len(lines) - 1) / 2) * LINE
            medium = " medium" if line == link.medium else ""
            yield f'<text class="label{medium}" x="{box.x:.1f}" y="{y:.1f}">{_xml(line)}</text>'


def _svg_node(name: str, node: Node, box: Box) -> str:
    title = f"<title>{_xml(f'{node.kind} {name}')}</title>"
    text = f'<text class="name" x="{box.x:.1f}" y="{box.y:.1f}">{_xml(name)}</text>'
    return f"<g>{title}{_shape(node.kind, box)}{text}</g>"


def _shape(kind: str, box: Box) -> str:
    """Routers are pills, hosts rectangles, bridges and switches hexagons."""
    if kind in ("bridge", "switch"):
        left, half = box.x - box.width / 2, box.height / 2
        path = f"M{left:.1f} {box.y:.1f}l{half / 2} {-half}h{box.width - half:.1f}l{half / 2} {half}l{-half / 2} {half}"
        return f'<path class="node {kind}" d="{path}h{half - box.width:.1f}z"/>'
    return _rectangle(box, f"node {look(kind)}", box.height / 2 if kind == "router" else 4)


def _rectangle(box: Box, style: str, radius: float) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    size = f'width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius}"'
    return f'<rect class="{style}" x="{left:.1f}" y="{top:.1f}" {size}/>'


def _svg_key(topology: Topology, height: float) -> Iterator[str]:
    """What the shapes mean, for the kinds that are there."""
    there = {node.kind for node in topology.nodes.values()}
    kinds = [kind for kind in ("router", *reversed(END_SYSTEMS), "bridge", "switch") if kind in there]
    for index, kind in enumerate(kinds):
        box = Box(26 + index * 74, height - 16, 20, 11)
        yield f'{_shape(kind, box)}<text class="key" x="{box.x + 15:.0f}" y="{box.y:.0f}">{kind}</text>'


def label(link: Link, up: bool = True) -> list[str]:
    """What stands on a link: its medium, then what it does to packets, then `down`."""
    medium = [link.medium] if link.medium else []
    there, back = _settings(link.forward), _settings(link.backward)
    first, second = (end.node for end in link.endpoints)
    both = (
        there if there == back else [f"{first} → {' · '.join(there) or '0s'}", f"{second} → {' · '.join(back) or '0s'}"]
    )
    return [*medium, *both, *([] if up else ["down"])]


def _settings(one: Impairment) -> list[str]:
    """Delay and jitter, then loss and rate; a line for each where they would be long."""
    delay = units.show(one.delay, units.TIME) if one.delay else ""
    jitter = f"±{units.show(one.jitter, units.TIME)}" if one.jitter else ""
    loss = f"{units.show(one.loss, units.SHARE)} loss" if one.loss else ("burst loss" if one.burst else "")
    rate = f"{units.show(one.rate, units.RATE)}/s" if one.rate else ""
    lines = [f"{delay} {jitter}".strip(), " · ".join(part for part in (loss, rate) if part)]
    return [line for line in lines if line]


def _tooltip(name: str, link: Link, up: bool) -> str:
    ends = " to ".join(f"{end.node}:{end.interface}" for end in link.endpoints)
    return "\n".join([f"{name}: {ends}", *label(link, up)])


def _colour(colour: str) -> str:
    """A CSS colour and nothing that could end the attribute or statement it stands in."""
    if not re.fullmatch(r"[#\w(),.% -]{1,64}", colour, re.ASCII):
        raise ValueError(f"expected a CSS colour such as #c81e1e, not {colour!r}")
    return colour


def printable(text: str) -> str:
    """Replace control characters, which XML 1.0 has no way to write at all."""
    return NOT_XML.sub("\ufffd", text)


def _xml(text: str) -> str:
    return escape(printable(text))


def _dot(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _mermaid(text: str) -> str:
    plain = " ".join(text.split()).replace("#", "#35;").replace('"', "#quot;").replace("<br>", "\0")
    return '"' + plain.replace("<", "#lt;").replace(">", "#gt;").replace("\0", "<br>") + '"'
