"""Topologies as graphs whose nodes and edges have flat attributes: what GraphML and GML can say.

Our own attributes are SI numbers and words: `delay` is for both directions, `forward_delay` for one; lists are words
with spaces between them, commands a JSON list. A graph of another tool has none of them: its nodes become OSPF routers
with addresses, and the names that Topology Zoo, yEd and networkx give to things are understood.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from testbed.errors import nearest
from testbed.exchange import addressing
from testbed.exchange.base import EVERYTHING, Findings
from testbed.exchange.names import Names, slug
from testbed.model.impairment import GilbertElliott, Impairment
from testbed.model.source import Place, Tree, shown
from testbed.model.topology import Link, Topology
from testbed.model.validated import validated

HOLDS = EVERYTHING - {"demands", "load", "slices", "steering", "core", "guest"}
Attributes = dict[str, Any]


@dataclass(slots=True)
class Item:
    """A graph, a node or an edge as read: its attributes with their places."""

    place: Place
    attributes: dict[str, Tree] = field(default_factory=dict)


@dataclass(slots=True)
class Graph(Item):
    """A graph as read: nodes by their identity in the file, edges with those of their ends."""

    nodes: dict[str, Item] = field(default_factory=dict)
    edges: list[tuple[str, str, Item]] = field(default_factory=list)


# --- a topology, flat ---

_WAYS = ("forward", "backward")
_SIDES = ("source", "target")


@dataclass(frozen=True, slots=True)
class Flat:
    """A graph to write: attributes of the whole, of nodes by name, of edges with their ends."""

    attributes: Attributes
    nodes: dict[str, Attributes]
    edges: list[tuple[str, str, Attributes]]


def flat(topology: Topology) -> Flat:
    """Flatten a topology."""
    nodes = {}
    for name, node in topology.nodes.items():
        keys = {
            key: getattr(node, key)
            for key, info in type(node).model_fields.items()
            if getattr(node, key) != info.default
        }
        x, y = keys.pop("position", (None, None))
        nodes[name] = {key: _word(key, value) for key, value in keys.items()} | _given({"x": x, "y": y})
    edges = [
        (link.endpoints[0].node, link.endpoints[1].node, {"name": name, **_edge(link)})
        for name, link in topology.links.items()
    ]
    about = {"name": topology.name, **({"description": topology.description} if topology.description else {})}
    return Flat(about, nodes, edges)


def _edge(link: Link) -> Attributes:
    keys: Attributes = {}
    for side, end in zip(_SIDES, link.endpoints, strict=True):
        lists = {key: _word(key, getattr(end, key)) or None for key in ("addresses", "trunk")}
        parts = {"interface": end.interface, "cost": end.cost, "vlan": end.vlan, **lists}
        keys |= {f"{side}_{key}": value for key, value in _given(parts).items()}
    forward, backward = _impairment(link.forward), _impairment(link.backward)
    for key in dict.fromkeys([*forward, *backward]):
        if forward.get(key) == backward.get(key):
            keys[key] = forward[key]
        else:
            ways = zip(_WAYS, (forward, backward), strict=True)
            keys |= {f"{way}_{key}": given[key] for way, given in ways if key in given}
    return keys | _given({"mtu": link.mtu, "up": link.up, "medium": link.medium})


def _impairment(one: Impairment) -> Attributes:
    """What is not as it would be anyway."""
    plain = {
        key: value
        for key, info in Impairment.model_fields.items()
        if key != "burst" and (value := getattr(one, key)) != info.default
    }
    burst = {f"burst_{key}": getattr(one.burst, key) for key in GilbertElliott.model_fields} if one.burst else {}
    return plain | burst


def _given(keys: Attributes) -> Attributes:
    return {key: value for key, value in keys.items() if value is not None}


_LISTS = frozenset({"protocols", "loopbacks", "daemons"})


def _word(key: str, value: Any) -> Any:
    if key == "exec":
        return json.dumps(value, ensure_ascii=False)
    return " ".join(str(item) for item in value) if isinstance(value, tuple) else value


# --- a graph, as a topology ---

_NODE_KEYS = frozenset(
    {"kind", "gateway", "loopbacks", "exec", "protocols", "config", "asn", "daemons", "x", "y", "name", "label"}
    | {"stp", "vlan_filtering", "datapath", "controller", "fail_mode", "openflow", "dpid"}
)
_END_KEYS = ("interface", "addresses", "cost", "vlan", "trunk")
_LINK_KEYS = frozenset({"name", "mtu", "up", "medium"})
_IMPAIRMENT_KEYS = frozenset(
    {*(set(Impairment.model_fields) - {"burst"}), *(f"burst_{key}" for key in GilbertElliott.model_fields)}
)
_EDGE_KEYS = (
    _LINK_KEYS
    | _IMPAIRMENT_KEYS
    | {f"{way}_{key}" for way in _WAYS for key in _IMPAIRMENT_KEYS}
    | {f"{side}_{key}" for side in _SIDES for key in _END_KEYS}
)
_ALIASES = {
    "node": {"Longitude": "x", "Latitude": "y", "longitude": "x", "latitude": "y", "lon": "x", "lat": "y"},
    "edge": {"LinkSpeedRaw": "rate", "key": "name", "id": "name"},
}
_DESCRIBING = frozenset(
    {
        *("Country", "Internal", "type", "hyperedge", "id", "Network", "LinkType", "LinkLabel", "LinkNote"),
        *("LinkSpeed", "LinkSpeedUnits", "GeoLocation", "Note", "Type", "GeoExtent", "Provenance", "Access"),
        *("Source", "Creator", "Version", "DateObtained", "NetworkDate", "Layer", "Testbed", "Developed"),
        *("Backbone", "Commercial", "Transit", "Customer", "SourceGitVersion", "ToolsetVersion", "Toolset"),
        *("DateType", "DateYear", "DateMonth", "DateModifier", "LastAccess", "LastProcessed", "Classification"),
        *("IX", "directed", "multigraph", "weight", "comment", "Comments", "key", "label", "node_default"),
        *("edge_default", "stylesheet", "graphics", "LabelGraphics"),
    }
)
"""What Topology Zoo, yEd and networkx say beside the network itself."""


def topology_of(graph: Graph, source: str, findings: Findings) -> Topology:
    """Make a topology of a graph.

    Args:
        source: the file's name without its folder and ending, for a graph that has no name.

    Raises:
        BadInput: it is not valid, each problem with its place.
    """
    ours = any("kind" in node.attributes for node in graph.nodes.values())
    called = _called(graph, findings)
    nodes = {called[key]: _node(item, index, ours, findings) for index, (key, item) in enumerate(graph.nodes.items())}
    links = dict(_links(graph, called, ours, findings))
    _tell_unknown("the graph", graph, frozenset({"name", "description"}), findings)
    name = graph.attributes.get("name") or graph.attributes.get("label")
    text = slug(str(name.text)) if name is not None else ""
    here = Tree(text or slug(source) or "graph", graph.place, "name", text=text)
    keys = {"name": here, "nodes": _tree(graph, nodes), "links": _tree(graph, links)}
    if "description" in graph.attributes:
        keys["description"] = graph.attributes["description"]
    return validated(Tree(keys, graph.place), Topology, findings.wrong, context=None)


def _tree(item: Item, value: Any) -> Tree:
    return Tree(value, item.place)


def _called(graph: Graph, findings: Findings) -> dict[str, str]:
    """A node is called as its name, its label or its identity says; one that fits already keeps it."""
    wanted = {}
    for key, item in graph.nodes.items():
        said = item.attributes.get("name") or item.attributes.get("label")
        wanted[key] = str(said.text) if said is not None and slug(str(said.text)) else key
    fit = Names()
    called = {
        key: fit.take(wanted[key], "node") for key in sorted(wanted, key=lambda key: slug(wanted[key]) != wanted[key])
    }
    for key, item in graph.nodes.items():
        if called[key] != wanted[key]:
            findings.note(item.place, f"node {wanted[key]} is called {called[key]} here")
    return called


def _tell_unknown(what: str, item: Item, known: frozenset[str], findings: Findings) -> None:
    for key, value in item.attributes.items():
        if key in known or key in _DESCRIBING:
            continue
        findings.cannot(value.place, f"attribute {key!r} of {what}: cannot be kept{nearest(key, known)}")


def _renamed(what: str, item: Item) -> dict[str, Tree]:
    return {_ALIASES[what].get(key, key): value for key, value in item.attributes.items()}


def _node(item: Item, index: int, ours: bool, findings: Findings) -> Tree:
    keys = _renamed("node", item)
    _tell_unknown("a node", Item(item.place, keys), _NODE_KEYS, findings)
    kept = {key: keys[key] for key in keys if key in _NODE_KEYS - {"x", "y", "name", "label"}}
    for key in kept.keys() & _LISTS:
        kept[key] = _listed(kept[key])
    if "exec" in kept:
        kept["exec"] = _commands(kept["exec"], findings)
    if "x" in keys and "y" in keys:
        kept["position"] = replace(keys["x"], value=[keys["x"], keys["y"]], text=None)
    if not ours:
        loopback = str(addressing.loopback(index))
        kept["kind"] = Tree("router", item.place)
        kept["loopbacks"] = _tree(item, [Tree(loopback, item.place, text=loopback)])
    return _tree(item, kept)


def _listed(value: Tree) -> Tree:
    return replace(value, value=[replace(value, value=word, text=word) for word in str(value.text).split()], text=None)


def _commands(value: Tree, findings: Findings) -> Tree:
    try:
        lines = json.loads(str(value.text))
    except ValueError:
        lines = None
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        findings.refuse(value.place, f'exec: {shown(value)}expected a JSON list of commands, such as ["true"]')
        lines = []
    return replace(value, value=[replace(value, value=line, text=line) for line in lines], text=None)


def _links(graph: Graph, called: Mapping[str, str], ours: bool, findings: Findings) -> Iterator[tuple[str, Tree]]:
    fit, ports = Names(), Counter[str]()
    for index, (*written, item) in enumerate(graph.edges):
        for end in written:
            if end not in graph.nodes:
                expected = f"expected a node of the graph{nearest(end, graph.nodes)}"
                findings.refuse(item.place, f"an edge's end {end!r}: {expected}")
        if not graph.nodes.keys() >= set(written):
            continue
        keys = _renamed("edge", item)
        _tell_unknown("an edge", Item(item.place, keys), _EDGE_KEYS, findings)
        names = [called[end] for end in written]
        ports.update(names)
        ends = [_end(item, keys, side, name) for side, name in zip(_SIDES, names, strict=True)]
        for end, address in zip(ends, addressing.wire(index), strict=True):
            end.value.setdefault("interface", Tree(f"eth{ports[end.value['node'].value]}", item.place))
            if not ours:
                end.value.setdefault("addresses", _tree(item, [Tree(str(address), item.place, text=str(address))]))
        link = {key: keys[key] for key in keys.keys() & (_LINK_KEYS - {"name"})} | _both_ways(item, keys)
        yield _link_name(keys.get("name"), names, fit, ours), _tree(item, link | {"endpoints": _tree(item, ends)})


def _link_name(said: Tree | None, ends: list[str], fit: Names, ours: bool) -> str:
    """A number is what networkx calls an edge between two nodes, and no name."""
    wanted = slug(str(said.text)) if said is not None and (ours or not str(said.text).isdigit()) else ""
    return fit.take(wanted, "link") if wanted else fit.link(*ends)


def _end(item: Item, keys: dict[str, Tree], side: str, node: str) -> Tree:
    own = {key: keys[f"{side}_{key}"] for key in _END_KEYS if f"{side}_{key}" in keys}
    if "addresses" in own:
        own["addresses"] = _listed(own["addresses"])
    if "trunk" in own:
        own["trunk"] = _listed(own["trunk"])
        own["trunk"].value[:] = [replace(one, value=_number(str(one.text))) for one in own["trunk"].value]
    return _tree(item, own | {"node": Tree(node, item.place, text=node)})


def _both_ways(item: Item, keys: dict[str, Tree]) -> dict[str, Tree]:
    ways = {}
    for way in _WAYS:
        own = {key: keys[key] for key in keys.keys() & _IMPAIRMENT_KEYS}
        own |= {key: keys[f"{way}_{key}"] for key in _IMPAIRMENT_KEYS if f"{way}_{key}" in keys}
        burst = {key.removeprefix("burst_"): own.pop(key) for key in list(own) if key.startswith("burst_")}
        if burst:
            own["burst"] = _tree(item, burst)
        if own:
            ways[way] = _tree(item, own)
    return ways


# --- text, as what it stands for ---


def typed(text: str, place: Place, key: str) -> Tree:
    """Return an attribute's text as a number or boolean where our attribute of this name is one."""
    value: Any = text
    base = key.removeprefix("forward_").removeprefix("backward_")
    if _ALIASES["edge"].get(key) == "rate" or base in _NUMBERS:
        value = _number(text)
    elif key in ("up", "stp", "vlan_filtering"):
        value = {"true": True, "false": False, "1": True, "0": False}.get(text.strip().lower(), text)
    return Tree(value, place, key, text=text)


_NUMBERS = (_IMPAIRMENT_KEYS - {"distribution"}) | {"asn", "mtu", "dpid", "x", "y"}
_NUMBERS |= set(_ALIASES["node"]) | {f"{side}_{key}" for side in _SIDES for key in ("cost", "vlan")}


def _number(text: str) -> float | int | str:
    """What is no number stays text, for the model to read as a quantity with its unit or to refuse."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
