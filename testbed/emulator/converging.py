"""A running lab made into another one: only what differs is touched; all of it is done, or what was done is undone.

The lab's own record (its nodes and wires) changes with each step, so that wherever a step fails the way back is again
the difference, from what there is to what there was.
"""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from testbed.control.messages import Policy
from testbed.emulator import messages, netem, netlink
from testbed.emulator.messages import Build, LinkChange, LinkState, Progress, Revision, WireLink, WireNode
from testbed.emulator.netem import Netem
from testbed.emulator.netlink import NetlinkError, Request
from testbed.emulator.nodes import LOOPBACK, Laboratory, Node, check
from testbed.emulator.patch import LinkPatch
from testbed.emulator.playback import Player
from testbed.emulator.revision import Given
from testbed.errors import AgentError, BadInput, TestbedError

Tell = Callable[[Progress], None]
_GONE_ALREADY = frozenset({errno.ESRCH, errno.EADDRNOTAVAIL, errno.ENODEV, errno.EEXIST})
"""An address, route or interface that went with another one, or is there already."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What turns one build into another, in the order that it is done.

    Attributes:
        kept: nodes that stay and whose addresses, gateway or links change. altered: wires whose addresses or MTU do.
        changes: settings of wires that stay.
    """

    gone_links: tuple[str, ...]
    gone_nodes: tuple[str, ...]
    new_nodes: tuple[WireNode, ...]
    new_links: tuple[WireLink, ...]
    kept: tuple[WireNode, ...]
    altered: tuple[WireLink, ...]
    changes: tuple[LinkChange, ...]


def steps(before: Build, goal: Build) -> Steps:
    """Compare two builds; a node of another kind is made anew with its links, as is a link with other ends.

    Raises:
        BadInput: a setting that no link can have.
    """
    old_nodes, nodes = ({node.name: node for node in build.nodes} for build in (before, goal))
    old_links, links = ({link.name: link for link in build.links} for build in (before, goal))
    stay = {name for name, node in nodes.items() if name in old_nodes and _same_machine(old_nodes[name], node)}
    here = stay | (before.elsewhere.keys() & goal.elsewhere.keys())
    whole = {name for name, link in links.items() if name in old_links and _same_wire(old_links[name], link, here)}
    for link in links.values():
        if link != old_links.get(link.name):
            _states(link)  # refuses what no link can have
    altered = [links[name] for name in whole if _shape(old_links[name]) != _shape(links[name])]
    new_links = tuple(link for name, link in links.items() if name not in whole)
    touched = {end.node for link in (*altered, *new_links) for end in link.ends}
    touched |= {end.node for name, link in old_links.items() if name not in whole for end in link.ends}
    touched |= {name for name in stay if _own(old_nodes[name]) != _own(nodes[name])}
    return Steps(
        gone_links=tuple(name for name in old_links if name not in whole),
        gone_nodes=tuple(name for name in old_nodes if name not in stay),
        new_nodes=tuple(node for name, node in nodes.items() if name not in stay),
        new_links=new_links,
        kept=tuple(nodes[name] for name in nodes if name in stay & touched),
        altered=tuple(altered),
        changes=tuple(change for name in links if name in whole for change in _changes(old_links[name], links[name])),
    )


def _same_machine(old: WireNode, new: WireNode) -> bool:
    return (old.kind, old.sshd, old.segment) == (new.kind, new.sshd, new.segment)


def _same_wire(old: WireLink, new: WireLink, here: set[str]) -> bool:
    ends = [tuple((end.node, end.interface, end.vlan, end.trunk) for end in link.ends) for link in (old, new)]
    return ends[0] == ends[1] and old.trunk == new.trunk and all(end.node in here for end in new.ends)


def _shape(link: WireLink) -> object:
    return link.mtu, tuple(end.addresses for end in link.ends)


def _own(node: WireNode) -> object:
    return node.addresses, node.gateway


def _states(link: WireLink) -> tuple[Netem, Netem]:
    forward, backward = (
        netem.merge(Netem(), patch, f"{link.name} {way}")
        for patch, way in ((link.forward, "forward"), (link.backward, "backward"))
    )
    return forward, backward


def _changes(old: WireLink, new: WireLink) -> Iterator[LinkChange]:
    if old == new:
        return
    for end, (was, wanted) in enumerate(zip(_states(old), _states(new), strict=True)):
        differs = {name: value for name, value in wanted._asdict().items() if value != getattr(was, name)}
        if differs:
            yield LinkChange(link=new.name, end=1 if end else 0, patch=LinkPatch(**differs))
    if old.up != new.up:
        yield LinkChange(link=new.name, up=new.up)


class Converging:
    """Converges one lab; `player` plays its traces, if there are any."""

    def __init__(self, lab: Laboratory, player: Player | None) -> None:
        self._lab, self._player = lab, player

    def standing(self) -> Build:
        """Return what the lab is now, as what would build it; without what traces have set."""
        links = self._lab.wiring.made()
        if self._player is not None:
            links = tuple(self._player.beneath(links))
        nodes = tuple(node.wire for node in self._lab.nodes.values())
        given, policy = self._lab.given.build, self._lab.policy
        asked = policy if policy != Policy() else None
        return structs.replace(given, nodes=nodes, links=links, policy=asked, elsewhere=self._lab.elsewhere)

    def strayed(self, given: bool) -> tuple[LinkState, ...]:
        """Return the links' settings, without what traces have set; `given`: only where they are not as given."""
        known = {link.name: link for link in self._lab.given.build.links} if given else {}
        return tuple(
            LinkState(name=link.name, up=link.up, forward=link.forward, backward=link.backward)
            for link in self.standing().links
            if link != known.get(link.name)
        )

    def converge(self, request: messages.Converge, tell: Tell) -> Build:
        """Make the lab what the request wants.

        Returns:
            What it was made into.

        Raises:
            TestbedError: it cannot be; the lab is what it was before.
            AgentError: nor could what was done be undone; the message says so.
        """
        with self._lab.changing:
            goal = self._lab.given.revised(request.goal) if isinstance(request.goal, Revision) else request.goal
            check(goal)
            if self._player is not None and request.silence:
                self._player.stop(frozenset(request.silence), restore=True)
            before = self.standing()
            todo = steps(before, goal)
            self._refuse_dark(todo)
            if self._lab.fabric is not None:
                self._lab.fabric.refuse_open()
            try:
                self._go(todo, goal, tell)
            except BaseException as problem:
                self._back(before, problem)
                raise
            self._lab.given = Given(goal)
        return goal

    def _back(self, before: Build, problem: BaseException) -> None:
        try:
            self._go(steps(self.standing(), before), before, lambda _: None)
        except TestbedError as second:
            raise AgentError(
                f"{problem}; what was done by then could not be undone: {second}. Take the lab down and up again"
            ) from problem

    def _refuse_dark(self, todo: Steps) -> None:
        touched = {node.name for node in todo.kept} | {end.node for link in todo.new_links for end in link.ends}
        dark = sorted(name for name in touched if name in self._lab.nodes and not self._lab.nodes[name].powered)
        if dark:
            raise BadInput(f"{', '.join(dark)}: power is off, so nothing there can be changed; give it power first")

    def _go(self, todo: Steps, goal: Build, tell: Tell) -> None:
        lab, wiring = self._lab, self._lab.wiring
        had = {node.name: lab.addresses_of(node.name) for node in todo.kept}
        self._take_routes(todo.kept)
        lab.unplug([name for name in todo.gone_nodes if name in lab.nodes], frozenset(todo.gone_links))
        wiring.remove(todo.gone_links)
        lab.drop(todo.gone_nodes)
        if todo.gone_links or todo.gone_nodes:
            tell(Progress(text=f"removed {_counted(todo.gone_nodes, todo.gone_links)}"))
        lab.take_note(goal)
        lab.make_nodes(todo.new_nodes)
        wiring.extend(todo.new_links, dict(lab.nodes), goal.guest)
        wiring.alter(todo.altered)
        for node in todo.new_nodes:
            lab.configure(lab.nodes[node.name])
        fresh = _interfaces((*todo.new_links, *todo.altered))
        for wire in todo.kept:
            self._readdress(wire, had[wire.name], fresh[wire.name])
        if todo.new_links or todo.new_nodes:
            tell(Progress(text=f"made {_counted(todo.new_nodes, todo.new_links)}"))
        self._set(todo.changes)
        lab.switch(goal, tell)
        lab.start_services([lab.nodes[node.name] for node in todo.new_nodes], tell)

    def _set(self, changes: Sequence[LinkChange]) -> None:
        if changes and self._player is not None:
            self._player.claim(changes)
        self._lab.wiring.set(changes)

    def _take_routes(self, kept: Iterable[WireNode]) -> None:
        """Take the default routes away that are to be others, while their interfaces are still there."""
        for wire in kept:
            node = self._lab.nodes[wire.name]
            old = node.wire.gateway
            node.wire = structs.replace(wire, daemons=node.wire.daemons, config=node.wire.config, gateway=None)
            if old is not None and old != wire.gateway:
                _send(node, [netlink.delete_route(old)], [f"{wire.name}: default route by {old}"])
            node.wire = structs.replace(node.wire, gateway=wire.gateway)

    def _readdress(self, wire: WireNode, had: Mapping[str, Sequence[str]], fresh: set[str]) -> None:
        """Bring the interfaces up that are new, and give those that change their addresses."""
        node = self._lab.nodes[wire.name]
        if wire.kind == "bridge":
            self._lab.configure(node)
            return
        requests: list[Request] = [netlink.set_link(node.interfaces[name], up=True) for name in sorted(fresh)]
        names = [f"{wire.name}: {name} up" for name in sorted(fresh)]
        wanted = self._lab.addresses_of(wire.name)
        for interface, index in (("lo", LOOPBACK), *node.interfaces.items()):
            before, addresses = had.get(interface, ()), wanted.get(interface, ())
            if interface not in fresh and tuple(before) == tuple(addresses):
                continue
            gone = [text for text in before if text not in addresses]
            requests += [netlink.delete_address(index, text) for text in gone]
            names += [f"{wire.name}: address {text} off {interface}" for text in gone]
            requests += [netlink.address(index, text) for text in addresses]
            names += [f"{wire.name}: address {text} on {interface}" for text in addresses]
        if wire.gateway is not None:
            requests.append(netlink.add_route(wire.gateway))
            names.append(f"{wire.name}: default route by {wire.gateway}")
        _send(node, requests, names)


def _send(node: Node, requests: Sequence[Request], names: Sequence[str]) -> None:
    """Carry out messages; that something is as it should be already is no error."""
    try:
        with node.lock:
            node.netlink.run(requests)
    except NetlinkError as error:
        left = [failure for failure in error.failures if failure.errno not in _GONE_ALREADY]
        if left:
            raise netlink.explain(NetlinkError(left), names) from None


def _interfaces(links: Iterable[WireLink]) -> defaultdict[str, set[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for end in (end for link in links for end in link.ends):
        found[end.node].add(end.interface)
    return found


def _counted(nodes: Sequence[object], links: Sequence[object]) -> str:
    return f"{len(nodes)} node(s), {len(links)} link(s)"
