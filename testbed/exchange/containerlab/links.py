"""Containerlab's links, brief and extended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from testbed.errors import nearest
from testbed.exchange.base import Findings
from testbed.exchange.containerlab.keys import check_link
from testbed.exchange.containerlab.merge import listed
from testbed.model.source import Tree, shown

NAME_LABEL = "testbed-link"
"""The label that carries a link's name, which containerlab's links do not have."""
DEFAULT_MTU = 9500
_WIRES = ("veth", "veth-stitch")
_WHY = "a lab here has no ends outside of it"
_OUTWARD = ("host", "mgmt-net", "macvlan", "vxlan", "vxlan-stitch", "dummy", "bridge")


@dataclass(frozen=True, slots=True)
class End:
    """One end as written: `keys` become ours."""

    node: str
    interface: str
    keys: dict[str, Tree]


@dataclass(frozen=True, slots=True)
class Wire:
    """A link between two nodes of the file."""

    tree: Tree
    ends: tuple[End, End]
    name: str | None

    @property
    def mtu(self) -> Tree:
        found = self.tree.child("mtu")
        return found if found is not None and found.value not in (None, 0) else replace(self.tree, value=DEFAULT_MTU)


@dataclass(slots=True)
class Wiring:
    """The links of a file that join two nodes, and the ends (node, interface) of those that cannot be kept."""

    wires: list[Wire] = field(default_factory=list)
    lost: set[tuple[str, str]] = field(default_factory=set)


def wiring_of(topology: Tree, findings: Findings) -> Wiring:
    """Read the links; those that lead out of the lab are told."""
    links, wiring = topology.child("links"), Wiring()
    if links is None or links.value is None:
        return wiring
    if not isinstance(links.value, list):
        findings.refuse(links.place, f"{links.where}: {shown(links)}expected a list")
        return wiring
    for link in links.value:
        if isinstance(link.value, dict):
            _read(link, wiring, findings)
        else:
            findings.refuse(link.place, f"{link.where}: {shown(link)}expected a mapping with endpoints")
    return wiring


def _read(link: Tree, wiring: Wiring, findings: Findings) -> None:
    kind = link.child("type")
    word = str(kind.text) if kind is not None else ""
    if kind is not None and word in _OUTWARD:
        findings.cannot(kind.place, f"{kind.where}: {shown(kind)}only {' and '.join(_WIRES)} can be kept: {_WHY}")
        ends = [_extended(end) for end in link.walk() if isinstance(end.value, dict) and "interface" in end.value]
        wiring.lost |= {(end.node, end.interface) for end in ends}
    elif kind is not None and word not in (*_WIRES, "brief"):
        expected = f"expected one of {', '.join((*_WIRES, *_OUTWARD))}{nearest(word, (*_WIRES, *_OUTWARD))}"
        findings.refuse(kind.place, f"{kind.where}: {shown(kind)}{expected}")
    else:
        check_link(link, findings)
        _join(link, wiring, findings)


def _join(link: Tree, wiring: Wiring, findings: Findings) -> None:
    written = link.child("endpoints")
    if written is None or not isinstance(written.value, list) or len(written.value) != 2:
        place = (written or link).place
        findings.refuse(
            place, f"{(written or link).where}: expected endpoints: two of them, such as [r1:eth1, r2:eth1]"
        )
        return
    first, second = (_extended(end) if isinstance(end.value, dict) else _brief(end, findings) for end in written.value)
    if first is None or second is None:
        wiring.lost |= {(end.node, end.interface) for end in (first, second) if end is not None}
        return
    for version in ("ipv4", "ipv6"):
        _addresses(link.child(version), (first, second), findings)
    wiring.wires.append(Wire(link, (first, second), _label(link, findings)))


def _brief(end: Tree, findings: Findings) -> End | None:
    node, colon, interface = str(end.text or "").partition(":")
    if not colon or not node or not interface:
        findings.refuse(end.place, f"{end.where}: {shown(end)}expected an endpoint such as r1:eth1")
        return None
    if node in _OUTWARD:
        findings.cannot(end.place, f"{end.where}: {shown(end)}cannot be kept: {_WHY}")
        return None
    parts = {"node": node, "interface": interface}
    return End(node, interface, {key: replace(end, value=text, text=text) for key, text in parts.items()})


def _extended(end: Tree) -> End:
    keys = {key: end.value[key] for key in ("node", "interface") if key in end.value}
    node, interface = (str(keys[key].text) if key in keys else "" for key in ("node", "interface"))
    given = [found for key in ("ipv4", "ipv6") if (found := end.child(key)) is not None and found.value]
    return End(node, interface, keys | ({"addresses": replace(end, value=given, text=None)} if given else {}))


def _addresses(written: Tree | None, ends: tuple[End, End], findings: Findings) -> None:
    """`ipv4: [A, B]` of a brief link: the first is the first end's; an empty one is none."""
    items = listed(written, findings) if written is not None else []
    if written is not None and len(items) > 2:
        findings.refuse(written.place, f"{written.where}: expected at most two addresses, one for each end")
    for end, item in zip(ends, items, strict=False):
        if str(item.text).strip():
            end.keys.setdefault("addresses", replace(item, value=[], text=None)).value.append(item)


def _label(link: Tree, findings: Findings) -> str | None:
    labels = link.child("labels")
    if labels is None or not isinstance(labels.value, dict):
        return None
    for key, label in labels.value.items():
        if key != NAME_LABEL:
            findings.note(label.key or label.place, f"{label.where}: means nothing here")
    return labels.value[NAME_LABEL].text if NAME_LABEL in labels.value else None


def joined(wire: Wire, names: Mapping[str, str], addresses: Mapping[tuple[str, str], list[Tree]]) -> Tree:
    """Return one of our links.

    Args:
        names: ours, by those in the file. addresses: what commands give to (node, interface).
    """
    ends = []
    for end in wire.ends:
        node = end.keys["node"]
        keys = end.keys | {"node": replace(node, value=names[end.node], text=names[end.node])}
        more = addresses.get((end.node, end.interface), [])
        if more:
            given = keys["addresses"].value if "addresses" in keys else []
            keys["addresses"] = replace(more[0], value=[*given, *more], text=None)
        ends.append(replace(node, value=keys, text=None))
    both = replace(wire.tree, value=ends)
    return replace(wire.tree, value={"endpoints": both, "mtu": wire.mtu})
