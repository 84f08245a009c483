"""Which rings of bridges and switches a lab may have: those in which something keeps frames from circling for ever.

The spanning tree protocol does, on one bridge of the ring or more: those that do not speak it pass its messages on. A
controller does among its switches, which flood along a tree; but they pass no spanning tree messages on, so that no
ring may lead through both.
"""

from __future__ import annotations

from testbed.errors import BadInput
from testbed.model.topology import SEGMENTS, Switch, Topology


class Groups:
    """Things that are joined to each other (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def _root(self, name: str) -> str:
        while (parent := self._parent.get(name, name)) != name:
            self._parent[name] = name = self._parent.get(parent, parent)
        return name

    def join(self, one: str, other: str) -> bool:
        """Join two groups; False where they were one already."""
        first, second = self._root(one), self._root(other)
        self._parent[first] = second
        return first != second


def refuse_rings(topology: Topology) -> None:
    """Refuse a topology with a ring in which frames would circle for ever.

    Raises:
        BadInput: there is one; the message names the link that closes it.
    """
    plain, mixed = Groups(), Groups()
    crossing = []
    segments = {name: node for name, node in topology.nodes.items() if isinstance(node, SEGMENTS)}
    for name, link in topology.links.items() if segments else ():
        ends = (link.endpoints[0].node, link.endpoints[1].node)
        one, other = (segments.get(end) for end in ends)
        if one is None or other is None:
            continue
        controlled = [isinstance(node, Switch) and not node.learns for node in (one, other)]
        if any(controlled) and not all(controlled):
            crossing.append((name, ends))
        else:
            mixed.join(*ends)
        if not any(controlled) and not one.stp and not other.stp and not plain.join(*ends):
            raise _ring(name, ends, "ring of bridges", "give one of them `stp: true`")
    for name, ends in crossing:
        if not mixed.join(*ends):
            raise _ring(name, ends, "ring through bridges and a controller's switches", "leave a link out")


def _ring(name: str, ends: tuple[str, str], what: str, mend: str) -> BadInput:
    return BadInput(f"link {name} closes a {what} ({', '.join(ends)}); frames would circle for ever: {mend}")
