"""FRR configuration lines, read far enough to know what they touch: interfaces, costs, addresses, shutdowns.

Only what the checks and the prediction need; the devices themselves are what accepts or rejects a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_interface, ip_network

from testbed.model.change import Change, ConfigurationStep, InterfaceStep, Step
from testbed.model.topology import Address, Link, Node, Router, Topology
from testbed.validate.places import endpoints

MANAGEMENT = "mgmt"
DEFAULT_COST = 10

_BLOCK = re.compile(r"(router|route-map|line|vrf|key|segment-routing|pbr-map|nexthop-group|rpki|bfd)\b")
_GLOBAL = re.compile(r"(hostname|log|service|ip (route|prefix-list|forwarding)|ipv6 (route|prefix-list)|access-list)\b")
_MENTION = re.compile(r"passive-interface (?!default)([A-Za-z]\S*)|ip route \S+ (?:[0-9.]+ )?([a-z]\S*)")
_NOT_INTERFACES = {"blackhole", "reject", "table", "tag", "label", "nexthop-vrf", "vrf", "color"}


@dataclass(frozen=True, slots=True)
class Edit:
    """One line in its place.

    Attributes:
        line: without a leading `no`. context: the block's own line, or empty.
        offset: where the line begins in the text it was read from, in characters.
    """

    device: str
    context: str
    line: str
    negated: bool = False
    offset: int = field(default=0, compare=False)

    @property
    def interface(self) -> str | None:
        """The interface whose block the line stands in."""
        words = self.context.split()
        return words[1] if words[:1] == ["interface"] and len(words) > 1 else None


@dataclass(slots=True)
class Port:
    """What a node's interface is set to. `cost` None: the protocol's default."""

    cost: int | None = None
    shut: bool = False
    addresses: set[str] = field(default_factory=set)


Ports = dict[tuple[str, str], Port]


def read(device: str, text: str) -> Iterator[Edit]:
    """Yield the lines of a configuration with the block each stands in; comments and `exit` yield nothing."""
    context, following = "", 0
    for raw in text.splitlines(keepends=True):
        offset, following = following, following + len(raw)
        line = " ".join(raw.split())
        if not line or line.startswith(("!", "#")):
            continue
        if line.split()[0] in {"exit", "end", "configure", "conf"} or line.startswith("exit-"):
            context = context if line.startswith("exit-") else ""
            continue
        negated = line.startswith("no ")
        body = line.removeprefix("no ")
        if body.startswith("interface ") or _BLOCK.match(body):
            context = "" if negated else body
            yield Edit(device, body, "", negated, offset)
            continue
        if _GLOBAL.match(body):
            context = ""
        yield Edit(device, context, body, negated, offset)


def of_step(step: Step) -> Iterator[Edit]:
    """Yield what a step sets, as lines in their place; what steers switches has none."""
    if isinstance(step, ConfigurationStep):
        yield from read(step.device, step.configuration)
    elif isinstance(step, InterfaceStep):
        yield from _of_interface(step)


def _of_interface(step: InterfaceStep) -> Iterator[Edit]:
    block = f"interface {step.interface}"
    yield Edit(step.device, block, "")
    if step.cost is not None:
        yield Edit(step.device, block, f"ip ospf cost {step.cost}")
    if step.enabled is not None:
        yield Edit(step.device, block, "shutdown", negated=step.enabled)
    if step.description is not None:
        yield Edit(step.device, block, f"description {step.description}")
    if step.mtu is not None:
        yield Edit(step.device, block, f"mtu {step.mtu}")


def of_change(change: Change) -> list[Edit]:
    """Return the lines of all steps, in order."""
    return [edit for step in change.steps for edit in of_step(step)]


def is_typed(step: Step) -> bool:
    """Tell whether an adapter renders this step, so that its bytes are not in the change file."""
    return isinstance(step, InterfaceStep)


def mentioned(edit: Edit) -> list[str]:
    """Return the interfaces a line speaks of, the one of its block among them."""
    own = [edit.interface] if edit.interface else []
    found = [name for match in _MENTION.finditer(edit.line) for name in match.groups() if name]
    return own + [name for name in found if name not in _NOT_INTERFACES and name != "Null0"]


def running(topology: Topology) -> list[Edit]:
    """Return the lines of every router's present configuration, where the topology holds one."""
    routers = ((name, node) for name, node in topology.nodes.items() if isinstance(node, Router))
    return [edit for name, node in routers for edit in read(name, node.config or "")]


def ports(topology: Topology, edits: Iterable[Edit] = ()) -> Ports:
    """Return every wired interface as it is set once the running configuration and then `edits` have been applied."""
    table: Ports = {}
    for _, _, _, end in endpoints(topology):
        table[end.node, end.interface] = Port(end.cost, False, {str(a) for a in end.addresses})
    for node, model in topology.nodes.items():
        table[node, "lo"] = Port(addresses={str(a) for a in getattr(model, "loopbacks", ())})
    for edit in [*running(topology), *edits]:
        if edit.interface and edit.line:
            _apply(table.setdefault((edit.device, edit.interface), Port()), edit)
    return table


def _apply(port: Port, edit: Edit) -> None:
    words = edit.line.split()
    if words == ["shutdown"]:
        port.shut = not edit.negated
    elif words[:3] == ["ip", "ospf", "cost"]:
        port.cost = None if edit.negated or len(words) < 4 or not words[3].isdigit() else int(words[3])
    elif words[:2] in (["ip", "address"], ["ipv6", "address"]) and len(words) > 2:
        (port.addresses.discard if edit.negated else port.addresses.add)(words[2])


def with_addresses(topology: Topology, edits: Iterable[Edit] = ()) -> Topology:
    """Return the topology with all addresses of the running configurations and of further lines; none is taken away.

    So it is known who answers for an address that is only in a device's own lines, or that a change adds or removes.
    """
    added: dict[tuple[str, str], list[Address]] = {}
    for edit in [*running(topology), *edits]:
        words = edit.line.split()
        if edit.interface and not edit.negated and words[1:2] == ["address"] and _is_interface(words[2:3]):
            added.setdefault((edit.device, edit.interface), []).append(ip_interface(words[2]))
    nodes = {name: _on_loopback(node, added.get((name, "lo"), ())) for name, node in topology.nodes.items()}
    links = {name: _on_ends(link, added) for name, link in topology.links.items()}
    return topology.model_copy(update={"nodes": nodes, "links": links})


def _on_loopback(node: Node, new: Iterable[Address]) -> Node:
    if not isinstance(node, Router):
        return node
    return node.model_copy(update={"loopbacks": tuple(dict.fromkeys((*node.loopbacks, *new)))})


def _on_ends(link: Link, added: Mapping[tuple[str, str], Iterable[Address]]) -> Link:
    ends = (
        end.model_copy(
            update={"addresses": tuple(dict.fromkeys((*end.addresses, *added.get((end.node, end.interface), ()))))}
        )
        for end in link.endpoints
    )
    return link.model_copy(update={"endpoints": tuple(ends)})


def is_prefix(text: str) -> bool:
    """Tell whether text is an IPv4 or IPv6 prefix."""
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _is_interface(words: list[str]) -> bool:
    try:
        ip_interface(*words)
    except (TypeError, ValueError):  # no word at all, or none that is an address: the device will reject the line
        return False
    return True


def predictable(edits: Iterable[Edit]) -> list[str]:
    """Return the lines whose effect on routing a shortest-path calculation over costs does not cover."""
    return [("no " if edit.negated else "") + edit.line for edit in edits if edit.line and not _covered(edit)]


def _covered(edit: Edit) -> bool:
    return edit.interface is not None and edit.line.startswith(("ip ospf cost", "shutdown", "description"))


def keeps_adjacencies(edits: Iterable[Edit]) -> bool:
    """Tell whether no line can make a neighbour time out: then routes settle as fast as flooding goes."""
    return all(_covered(edit) for edit in edits if edit.line)
