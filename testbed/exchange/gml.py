"""GML, the Graph Modelling Language (Himsolt 1996), as networkx, Gephi and Topology Zoo write it.

networkx reads it too, but forgets where things stand; a file is refused by line and column here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

from testbed.errors import BadInput
from testbed.exchange.base import Files, Findings, Format
from testbed.exchange.flat import HOLDS, Attributes, Graph, Item, flat, topology_of, typed
from testbed.model.source import Place, read_text
from testbed.model.topology import Topology

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*)|(?P<key>[A-Za-z][0-9A-Za-z_]*)|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |"(?P<text>[^"]*)"|(?P<open>\[)|(?P<close>\])""",
    re.VERBOSE,
)
_DEEPEST = 50


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    place: Place


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key with its value: text, or entries."""

    key: str
    value: Any
    place: Place


def read(source: str, findings: Findings) -> Topology:
    """Read a GML file.

    Raises:
        BadInput: it is no GML, or no valid topology; what cannot be kept is told by `findings`.
    """
    text = read_text(Path(source), "GML file")
    entries = _entries(_tokens(text, source), source, 0)
    graph = next((entry for entry in entries if entry.key == "graph" and isinstance(entry.value, list)), None)
    if graph is None:
        raise BadInput(f"{source}:1:1: expected `graph [ ... ]`")
    return topology_of(_graph(graph, findings), Path(source).stem, findings)


def _tokens(text: str, file: str) -> Iterator[_Token]:
    at, line, begin = 0, 1, 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        place = Place(file, line, at - begin + 1)
        if match is None or match.lastgroup is None:
            what = "text that ends with a quote" if text[at] == '"' else "a key, a number, a text, [ or ]"
            raise BadInput(f"{place}: {text[at]!r}: expected {what}")
        if match.lastgroup != "space":
            yield _Token(match.lastgroup, match[match.lastgroup], place)
        line += match[0].count("\n")
        if "\n" in match[0]:
            begin = at + match[0].rindex("\n") + 1
        at = match.end()


def _entries(tokens: Iterator[_Token], file: str, depth: int) -> list[_Entry]:
    """Read keys with values up to the bracket that closes them."""
    found = []
    for token in tokens:
        if token.kind == "close" and depth:
            return found
        if token.kind != "key":
            raise BadInput(f"{token.place}: {token.text!r}: expected a key")
        value = next(tokens, None)
        if value is None or value.kind in ("key", "close"):
            place = value.place if value else token.place
            raise BadInput(f"{place}: key {token.text!r}: expected a number, a text in quotes or [ after it")
        if value.kind == "open" and depth >= _DEEPEST:
            raise BadInput(f"{value.place}: expected brackets that are nested less deeply")
        inside = _entries(tokens, file, depth + 1) if value.kind == "open" else unescape(value.text)
        found.append(_Entry(token.text, inside, value.place))
    if depth:
        raise BadInput(f"{file}: expected ] for every [ before the end of the file")
    return found


def _graph(entry: _Entry, findings: Findings) -> Graph:
    graph = Graph(entry.place)
    for child in entry.value:
        if child.key == "node" and isinstance(child.value, list):
            _node(child, graph, findings)
        elif child.key == "edge" and isinstance(child.value, list):
            source, target = (_said(child, side) for side in ("source", "target"))
            graph.edges.append((source, target, _item(child, {"source", "target"})))
        elif child.key == "directed" and child.value == "1":
            findings.cannot(child.place, "directed 1: each edge becomes a link that goes both ways")
        elif not isinstance(child.value, list):
            graph.attributes[child.key] = typed(child.value, child.place, child.key)
    return graph


def _node(entry: _Entry, graph: Graph, findings: Findings) -> None:
    name = _said(entry, "id")
    if name in graph.nodes:
        first = graph.nodes[name].place.line
        findings.refuse(entry.place, f"node {name} a second time; the first is in line {first}")
    graph.nodes.setdefault(name, _item(entry, {"id"}))


def _said(entry: _Entry, key: str) -> str:
    found = next((child.value for child in entry.value if child.key == key and not isinstance(child.value, list)), None)
    if found is None:
        raise BadInput(f"{entry.place}: {entry.key}: missing key {key!r}")
    return found


def _item(entry: _Entry, without: set[str]) -> Item:
    """Lists of numbers (`graphics`) are entries of entries: only their names are kept, to be told."""
    kept = [child for child in entry.value if child.key not in without]
    texts = {child.key: child.value if isinstance(child.value, str) else "" for child in kept}
    return Item(entry.place, {child.key: typed(texts[child.key], child.place, child.key) for child in kept})


# --- writing ---


def write(topology: Topology) -> Files:
    """Write a topology as an undirected GML graph; node numbers are in the topology's order."""
    graph = flat(topology)
    numbers = {name: index for index, name in enumerate(graph.nodes)}
    lines = ["graph [", "  multigraph 1", *_lines(graph.attributes, 2)]
    for name, attributes in graph.nodes.items():
        lines += _block("node", {"id": numbers[name], "label": name, **attributes})
    for source, target, attributes in graph.edges:
        lines += _block("edge", {"source": numbers[source], "target": numbers[target], **attributes})
    return {"": "\n".join([*lines, "]"]) + "\n"}


def _block(kind: str, attributes: Attributes) -> list[str]:
    return [f"  {kind} [", *_lines(attributes, 4), "  ]"]


def _lines(attributes: Attributes, indent: int) -> Iterator[str]:
    for name, value in attributes.items():
        if isinstance(value, str):
            yield f'{" " * indent}{name} "{_escaped(value)}"'
        else:
            yield f"{' ' * indent}{name} {int(value) if isinstance(value, bool) else repr(value)}"


def _escaped(text: str) -> str:
    """GML is ASCII; all else, quotes and ampersands are written as in HTML."""
    return "".join(c if " " <= c <= "~" and c not in '"&' else f"&#{ord(c)};" for c in text)


FORMAT = Format(
    name="gml",
    about="GML (networkx, Gephi, Topology Zoo)",
    recognises=lambda source: source.lower().endswith(".gml"),
    read=read,
    write=write,
    holds=HOLDS,
)
