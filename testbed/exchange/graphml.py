"""GraphML, as networkx, Gephi, yEd and Topology Zoo write it (graphml.graphdrawing.org).

networkx reads it too, but forgets where things stand; a file is refused by line and column here.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from testbed.errors import BadInput
from testbed.exchange.base import Files, Findings, Format
from testbed.exchange.flat import HOLDS, Attributes, Flat, Graph, Item, flat, topology_of, typed
from testbed.model.source import Place, read_text
from testbed.model.topology import Topology
from testbed.report.graph import NOT_XML

_NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_TYPES: dict[type, str] = {bool: "boolean", int: "long", float: "double", str: "string"}
_STRUCTURE = frozenset({"graphml", "key", "graph", "node", "edge", "data", "default", "desc", "port"})


def read(source: str, findings: Findings) -> Topology:
    """Read a GraphML file.

    Raises:
        BadInput: it is no GraphML, or no valid topology; what cannot be kept is told by `findings`.
    """
    text = read_text(Path(source), "GraphML file")
    return topology_of(_Reader(source, findings).parse(text), Path(source).stem, findings)


@dataclass(slots=True)
class _Key:
    name: str
    owner: str
    default: str | None = None


@dataclass(slots=True)
class _Reader:
    """Takes what expat finds: `open` is what the parser is inside of, `text` is of the innermost element."""

    file: str
    findings: Findings
    keys: dict[str, _Key] = field(default_factory=dict)
    graph: Graph | None = None
    open: list[tuple[str, Any]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    parser: expat.XMLParserType = field(default_factory=lambda: expat.ParserCreate(namespace_separator=" "))

    def parse(self, text: str) -> Graph:
        parser = self.parser
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self.text.append
        parser.EntityDeclHandler = self._entity
        try:
            parser.Parse(text.encode(), True)
        except expat.ExpatError as error:
            place = Place(self.file, error.lineno, error.offset + 1)
            raise BadInput(f"{place}: not XML: {expat.errors.messages[error.code]}") from None
        if self.graph is None:
            raise BadInput(f"{self.file}:1:1: expected a graphml element with a graph in it")
        self._defaults(self.graph)
        return self.graph

    def _here(self) -> Place:
        return Place(self.file, self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1)

    def _entity(self, name: str, *_: object) -> None:
        raise BadInput(f"{self._here()}: entity {name!r}: expected XML without entities of its own")

    def _start(self, qualified: str, given: dict[str, str]) -> None:
        name, place = qualified.rpartition(" ")[2], self._here()
        self.text.clear()
        if not self.open and name != "graphml":
            raise BadInput(f"{place}: element {name!r}: expected graphml")
        item: Any = self._begin(name, given, place) if name in _STRUCTURE else None
        self.open.append((name, item))

    def _begin(self, name: str, given: dict[str, str], place: Place) -> Any:
        if name == "key":
            key = _Key(given.get("attr.name") or given.get("id", ""), given.get("for", "all"))
            self.keys[self._need(given, "id", name, place)] = key
            return key
        if name == "data":
            return self._need(given, "key", name, place), place
        if name == "graph":
            return self._graph(given, place)
        if name in ("node", "edge") and self.graph is None:
            raise BadInput(f"{place}: element {name!r}: expected it in a graph")
        return self._node(given, place) if name == "node" else self._edge(given, place) if name == "edge" else None

    def _graph(self, given: dict[str, str], place: Place) -> Graph:
        if self.graph is not None:
            raise BadInput(f"{place}: expected one graph, and none inside of nodes")
        if given.get("edgedefault") == "directed":
            self.findings.cannot(place, "edgedefault 'directed': each edge becomes a link that goes both ways")
        self.graph = Graph(place)
        return self.graph

    def _node(self, given: dict[str, str], place: Place) -> Item:
        assert self.graph is not None
        name = self._need(given, "id", "node", place)
        if name in self.graph.nodes:
            first = self.graph.nodes[name].place.line
            self.findings.refuse(place, f"node {name!r} a second time; the first is in line {first}")
        return self.graph.nodes.setdefault(name, Item(place))

    def _edge(self, given: dict[str, str], place: Place) -> Item:
        assert self.graph is not None
        item = Item(place)
        source, target = (self._need(given, side, "edge", place) for side in ("source", "target"))
        self.graph.edges.append((source, target, item))
        return item

    def _need(self, given: dict[str, str], key: str, element: str, place: Place) -> str:
        if key not in given:
            raise BadInput(f"{place}: element {element!r}: missing attribute {key!r}")
        return given[key]

    def _end(self, qualified: str) -> None:
        name, item = self.open.pop()
        if name == "data":
            self._data(item, "".join(self.text))
        elif name == "default" and self.open[-1][0] == "key":
            self.open[-1][1].default = "".join(self.text)

    def _data(self, given: tuple[str, Place], text: str) -> None:
        key, place = given
        owner = self.open[-1][1]
        if key not in self.keys:
            self.findings.refuse(place, f"data of key {key!r}: expected a key that the file declares")
        elif isinstance(owner, Item):
            name = self.keys[key].name or key
            owner.attributes[name] = typed(text, place, name)

    def _defaults(self, graph: Graph) -> None:
        items = {"node": list(graph.nodes.values()), "edge": [item for *_, item in graph.edges]}
        for key in self.keys.values():
            for item in items.get(key.owner, []) if key.default is not None else []:
                item.attributes.setdefault(key.name, typed(str(key.default), item.place, key.name))


# --- writing ---


def write(topology: Topology) -> Files:
    """Write a topology as an undirected GraphML graph."""
    return {"": _document(flat(topology))}


def _document(graph: Flat) -> str:
    root = ET.Element("graphml", {"xmlns": _NAMESPACE})
    edges = [attributes for *_, attributes in graph.edges]
    groups = {"graph": [graph.attributes], "node": list(graph.nodes.values()), "edge": edges}
    keys = {(owner, name): value for owner, items in groups.items() for item in items for name, value in item.items()}
    ids = {key: f"d{index}" for index, key in enumerate(keys)}
    for (owner, name), value in keys.items():
        about = {"id": ids[owner, name], "for": owner, "attr.name": name, "attr.type": _TYPES[type(value)]}
        ET.SubElement(root, "key", about)
    body = ET.SubElement(root, "graph", {"edgedefault": "undirected"})
    _put(body, "graph", graph.attributes, ids)
    for name, attributes in graph.nodes.items():
        _put(ET.SubElement(body, "node", {"id": name}), "node", attributes, ids)
    for source, target, attributes in graph.edges:
        _put(ET.SubElement(body, "edge", {"source": source, "target": target}), "edge", attributes, ids)
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode").replace("\r", "&#13;")  # else a reader takes it for a line's end
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _put(element: ET.Element, owner: str, attributes: Attributes, ids: dict[tuple[str, str], str]) -> None:
    for name, value in attributes.items():
        data = ET.SubElement(element, "data", {"key": ids[owner, name]})
        data.text = str(value).lower() if isinstance(value, bool) else str(value)
        if odd := NOT_XML.search(data.text):
            raise BadInput(f"{name}: character U+{ord(odd[0]):04X}: expected text that XML can hold")


FORMAT = Format(
    name="graphml",
    about="GraphML (networkx, Gephi, yEd, Topology Zoo)",
    recognises=lambda source: source.lower().endswith((".graphml", ".xml")),
    read=read,
    write=write,
    holds=HOLDS,
)
