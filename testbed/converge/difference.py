"""What differs between two topologies, field by field; pure, so that it can be shown and carried over to a third.

A topology is taken as its JSON: mappings of names (nodes, links, demands) and models. What is in one mapping and not in
the other was added or removed as a whole; models are compared field by field; the 5G core is replaced as a whole, as is
anything else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from testbed.model.topology import Topology

Path = tuple[str | int, ...]
"""Keys and indexes from the topology inwards: `("links", "a-b", "forward", "delay")`."""

_NAMED = ("nodes", "links", "demands", "slices")


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing that differs. Values are JSON in SI units; `old` is None of an addition, `new` of a removal."""

    op: Literal["add", "remove", "change"]
    path: Path
    old: Any = None
    new: Any = None


def difference(before: Topology, after: Topology) -> tuple[Edit, ...]:
    """Return what turns `before` into `after`; nothing exactly where they are equal.

    A node that becomes one of another kind is replaced as a whole. Nodes and links that are the same objects are equal.
    """
    same = {name: _shared(getattr(before, name), getattr(after, name)) for name in ("nodes", "links")}
    old, new = (topology.model_dump(mode="json", exclude=same) for topology in (before, after))
    return tuple(_compared((), old, new))


def _shared(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name, value in before.items() if after.get(name) is value}


def _compared(path: Path, old: Any, new: Any) -> Iterator[Edit]:
    if old == new:
        return
    if path and path[0] in _NAMED and len(path) <= _depth(path):
        yield from _names(path, old, new)
    elif path != ("core",) and isinstance(old, dict) and isinstance(new, dict) and old.get("kind") == new.get("kind"):
        for key in old:
            yield from _compared((*path, key), old[key], new[key])
    elif path[-1] == "endpoints":
        for index in (0, 1):
            yield from _compared((*path, index), old[index], new[index])
    else:
        yield Edit("change", path, old, new)


def _depth(path: Path) -> int:
    """Return how many keys deep the names of a mapping go: demands are by source and by target."""
    return 2 if path[0] == "demands" else 1


def _names(path: Path, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Edit]:
    for key, value in old.items():
        if key not in new:
            yield Edit("remove", (*path, key), old=value)
    for key, value in new.items():
        if key not in old:
            yield Edit("add", (*path, key), new=value)
        else:
            yield from _compared((*path, key), old[key], value)


def applied(edits: Sequence[Edit], topology: Topology) -> Topology:
    """Return the topology with these edits made; what they do not name stays as it is.

    An edit inside something that is not there, and a removal of what is not there, do nothing.

    Raises:
        ValidationError: what comes out is no topology.
    """
    tree = topology.model_dump(mode="json")
    for edit in edits:
        _apply(edit, tree)
    return Topology.model_validate(tree)


def _apply(edit: Edit, tree: Any) -> None:
    *way, last = edit.path
    for key in way:
        tree = tree.get(key) if isinstance(tree, dict) else tree[key]
        if tree is None:
            return
    if edit.op == "remove":
        tree.pop(last, None)
    else:
        tree[last] = deepcopy(edit.new)
