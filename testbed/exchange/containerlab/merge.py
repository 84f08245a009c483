"""Defaults, kinds, groups and nodes of a containerlab file, merged as containerlab merges them.

From containerlab's manual (Topology definition, "Groups") and what its releases do: a node's value comes before its
group's, its kind's and the defaults'; lists are put together from the defaults on, each item once; mappings are put
together key by key. A node's group may come from its kind or the defaults, its kind from its group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.errors import nearest
from testbed.exchange.base import Findings
from testbed.model.source import Tree, shown

KINDS = ("linux", "bridge")


@dataclass(frozen=True, slots=True)
class Levels:
    """What may be said of one node, from the defaults to the node itself."""

    node: Tree
    kind: str
    levels: tuple[Tree, ...]

    def can_be_kept(self, findings: Findings) -> bool:
        """Whether its kind is one of ours; what is not is told."""
        found = self.one("kind")
        if self.kind not in KINDS and found is not None:
            text = f"{found.where}: {shown(found)}of node {self.node.where.rpartition('.')[2]}: only linux and bridge"
            findings.cannot(found.place, f"{text} can be kept")
        elif self.kind not in KINDS:
            place = self.node.key or self.node.place
            findings.refuse(place, f"{self.node.where}: missing key 'kind': expected one of {', '.join(KINDS)}")
        return self.kind in KINDS

    def one(self, key: str) -> Tree | None:
        """Return the value of the most specific level that has one."""
        found = [tree for tree in self._all(key) if tree.value not in (None, "", 0)]
        return found[-1] if found else None

    def items(self, key: str, findings: Findings) -> list[Tree]:
        """Return the items of a list of all levels, each once."""
        items: dict[str, Tree] = {}
        for tree in self._all(key):
            for item in listed(tree, findings):
                items.setdefault(str(item.text), item)
        return list(items.values())

    def mapping(self, key: str, findings: Findings) -> dict[str, Tree]:
        """Return the entries of a mapping of all levels."""
        merged: dict[str, Tree] = {}
        for tree in self._all(key):
            if isinstance(tree.value, dict):
                merged |= tree.value
            elif tree.value is not None:
                findings.refuse(tree.place, f"{tree.where}: {shown(tree)}expected a mapping (key: value)")
        return merged

    def _all(self, key: str) -> Iterator[Tree]:
        yield from (found for level in self.levels if (found := level.child(key)) is not None)


def listed(tree: Tree, findings: Findings) -> list[Tree]:
    """Return the items of a list of texts."""
    if tree.value is None:
        return []
    if not isinstance(tree.value, list):
        findings.refuse(tree.place, f"{tree.where}: {shown(tree)}expected a list")
        return []
    for item in tree.value:
        if item.text is None:
            findings.refuse(item.place, f"{item.where}: expected text")
    return [item for item in tree.value if item.text is not None]


def levels_of(topology: Tree, node: Tree, findings: Findings) -> Levels:
    """Find what is said of a node; an unknown group is refused (containerlab goes on without it)."""
    defaults = topology.child("defaults")
    kind = _text(node, "kind") or _kind_of_group(topology, _text(node, "group"))
    kind = kind or _kind_of_group(topology, _text(defaults, "group")) or _text(defaults, "kind")
    of_kind = _named(topology, "kinds", kind)
    group = _text(node, "group") or _text(of_kind, "group") or _text(defaults, "group")
    of_group = _named(topology, "groups", group)
    if group and of_group is None:
        _refuse_group(topology, node, group, findings)
    found = (defaults, of_kind, of_group, node)
    return Levels(node, kind.lower(), tuple(level for level in found if level is not None))


def _refuse_group(topology: Tree, node: Tree, group: str, findings: Findings) -> None:
    groups = topology.child("groups")
    known = list(groups.value) if groups is not None and isinstance(groups.value, dict) else []
    written = node.child("group") or node
    findings.refuse(written.place, f"{written.where}: value {group!r}: expected a group{nearest(group, known)}")


def _kind_of_group(topology: Tree, group: str) -> str:
    return _text(_named(topology, "groups", group), "kind")


def _named(topology: Tree, family: str, name: str) -> Tree | None:
    found = topology.child(family)
    return found.child(name) if found is not None and name else None


def _text(tree: Tree | None, key: str) -> str:
    found = tree.child(key) if tree is not None else None
    return found.text if found is not None and found.text is not None and found.value is not None else ""
