"""A containerlab file as a topology."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from testbed.errors import BadInput, nearest
from testbed.exchange.base import Findings
from testbed.exchange.containerlab.keys import check_file
from testbed.exchange.containerlab.links import End, Wire, joined, wiring_of
from testbed.exchange.containerlab.merge import levels_of
from testbed.exchange.containerlab.nodes import NodeReader, Wired
from testbed.exchange.containerlab.variables import Magic, expand
from testbed.exchange.names import Names, slug
from testbed.model.source import Tree, parse_yaml, read_text, shown
from testbed.model.topology import Topology
from testbed.model.validated import validated


def read(source: str, findings: Findings) -> Topology:
    """Read a containerlab file and the files bound into its FRR nodes.

    Raises:
        BadInput: it is wrong; what cannot be kept is told by `findings`.
    """
    file = Path(source)
    text = read_text(file, "containerlab file")
    if "{{" in text:
        line = text[: text.index("{{")].count("\n") + 1
        raise BadInput(f"{file}:{line}:1: a template cannot be read: render it first (containerlab's Go templates)")
    tree = parse_yaml(expand(text, source, os.environ, findings), source)
    _merge_keys(tree)
    check_file(tree, findings)
    topology = tree.child("topology")
    if topology is None or not isinstance(topology.value, dict):
        findings.refuse((topology or tree).place, "topology: expected a mapping with nodes and links")
    if findings.wrong or topology is None:
        raise BadInput("\n".join(findings.wrong))
    result = _topology(tree, topology, file, findings)
    left = result.value["nodes"].value
    told = findings.wrong if left else [*findings.wrong, *findings.unsupported]
    return validated(result, Topology, told, context=None)


def _merge_keys(tree: Tree) -> None:
    """`<<: *other` (YAML 1.1) takes over the keys of another mapping that are not there."""
    for part in tree.walk():
        if isinstance(part.value, dict) and "<<" in part.value:
            merged = part.value.pop("<<")
            for other in merged.value if isinstance(merged.value, list) else [merged]:
                part.value.update({k: v for k, v in (other.value or {}).items() if k not in part.value})


def _topology(tree: Tree, topology: Tree, file: Path, findings: Findings) -> Tree:
    name = tree.child("name") or replace(tree, value=None)
    lab = str(name.text or "")
    given = topology.child("nodes")
    nodes: dict[str, Tree] = given.value if given is not None and isinstance(given.value, dict) else {}
    called = _names(nodes, findings)
    levels = {node: levels_of(topology, tree, findings) for node, tree in nodes.items()}
    kept = {node for node in nodes if levels[node].can_be_kept(findings)}
    wiring = wiring_of(topology, findings)
    wires = [wire for wire in wiring.wires if _between(wire, wiring.lost, nodes, kept, findings)]
    reader = NodeReader(file, Magic(lab, file), wires, wiring.lost, findings)
    read_all = {node: reader.read(node, called[node], levels[node]) for node in nodes if node in kept}
    keys = {
        "name": replace(name, value=slug(lab) or name.value),
        "nodes": replace(
            given or topology, value={wired.name: _node(nodes[n], wired) for n, wired in read_all.items()}
        ),
        "links": replace(topology, value=_links(wires, read_all, called)),
    }
    return replace(tree, value=keys)


def _names(nodes: dict[str, Tree], findings: Findings) -> dict[str, str]:
    fit = Names()
    called = {node: fit.take(node, "node") for node in sorted(nodes, key=lambda node: slug(node) != node)}
    for node, tree in nodes.items():
        if called[node] != node:
            findings.note(tree.key or tree.place, f"node {node} is called {called[node]} here")
    return called


def _node(tree: Tree, wired: Wired) -> Tree:
    keys = dict(wired.keys)
    if loopbacks := wired.addresses.get("lo"):
        keys["loopbacks"] = replace(loopbacks[0], value=loopbacks, text=None)
    if wired.commands:
        keys["exec"] = replace(wired.commands[0], value=wired.commands, text=None)
    return replace(tree, value=keys)


def _links(wires: list[Wire], kept: dict[str, Wired], called: dict[str, str]) -> dict[str, Tree]:
    addresses = {(n, port): given for n, wired in kept.items() for port, given in wired.addresses.items()}
    fit, links = Names(), {}
    for wire in wires:
        first, second = (called[end.node] for end in wire.ends)
        name = fit.take(wire.name, "link") if wire.name else fit.link(first, second)
        links[name] = joined(wire, called, addresses)
    return links


def _between(
    wire: Wire, lost: set[tuple[str, str]], nodes: dict[str, Tree], kept: set[str], findings: Findings
) -> bool:
    """Whether both ends are nodes of the file, and kept."""
    there = [_there(end, wire, nodes, kept, findings) for end in wire.ends]
    lost |= set() if all(there) else {(end.node, end.interface) for end in wire.ends}
    return all(there)


def _there(end: End, wire: Wire, nodes: dict[str, Tree], kept: set[str], findings: Findings) -> bool:
    node = end.keys.get("node")
    if node is None:
        findings.refuse(wire.tree.place, f"{wire.tree.where}: expected node and interface for each endpoint")
    elif end.node not in nodes:
        findings.refuse(node.place, f"{node.where}: {shown(node)}expected a node of the file{nearest(end.node, nodes)}")
    elif end.node not in kept:
        findings.cannot(wire.tree.place, f"{wire.tree.where}: the link to {end.node} goes with it")
    return node is not None and end.node in kept
