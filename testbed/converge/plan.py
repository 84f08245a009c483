"""What it takes to make a running lab into another topology: shown by `--dry-run`, carried out by `carry_out`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adapters import frr_config
from testbed.converge.difference import Edit, applied, difference
from testbed.converge.observe import as_it_runs, strayed
from testbed.emulator.loading import LoadFlow
from testbed.emulator.lower import build_of, topology_tracks
from testbed.emulator.messages import Build, Converge, Observed, WireNode
from testbed.emulator.playing import Track
from testbed.emulator.revision import Given
from testbed.emulator.spread import split
from testbed.emulator.standing import RouterChange
from testbed.errors import BadInput
from testbed.load import declared_flows
from testbed.model.topology import Bridge, Switch, Topology


@dataclass(frozen=True, slots=True)
class Plan:
    """How a lab becomes another one.

    Attributes:
        saved: what the lab was brought up with. seen: what it is now. before: the lab as it runs, made of the two.
        goal: what it shall be.
        edits: of the topology. order: what the agent is told of them.
        routers: those that stay and whose configuration changes, because of the edits or back from changes by hand.
        tracks: traces that begin. commands: (node, line) to run.
        load: what the lab's load shall be; None where it stays as it is.
    """

    saved: Topology
    seen: Observed
    before: Topology
    goal: Topology
    edits: tuple[Edit, ...]
    order: Converge
    routers: tuple[RouterChange, ...]
    tracks: tuple[Track, ...]
    commands: tuple[tuple[str, str], ...]
    load: tuple[LoadFlow, ...] | None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.edits and not self.routers

    @property
    def reroutes(self) -> bool:
        """Whether more changes than links' settings, so that the network has to become ready again."""
        settings = {"forward", "backward", "trace", "medium"}
        return bool(self.routers) or any(
            edit.path[0] in ("nodes", "links") and not (len(edit.path) > 2 and edit.path[2] in settings)
            for edit in self.edits
        )


def planned(saved: Topology, given: Given, wanted: Topology, seen: Observed, keep_runtime: bool = False) -> Plan:
    """Work out how a running lab becomes `wanted`.

    Args:
        saved: what the lab was brought up with, built of `given`. seen: what it is now.
        keep_runtime: what was changed while it ran stays, unless the topology says something new about it.

    Raises:
        BadInput: it cannot be changed into this while it runs.
    """
    before = as_it_runs(saved, seen)
    goal = applied(difference(saved, wanted), before) if keep_runtime else wanted
    _refuse_substrate(before, goal)
    like = saved, given.build
    build, old = build_of(goal, like), given.build if before is saved else build_of(before, like)
    _refuse_moves(old, build, goal.guest.guests)
    edits = difference(before, goal)
    _refuse_switches(before, goal, edits)
    retraced = _retraced(before, goal)
    silence = tuple(name for name in retraced if name in before.links and before.links[name].trace is not None)
    return Plan(
        saved=saved,
        seen=seen,
        before=before,
        goal=goal,
        edits=edits,
        order=Converge(goal=given.revision(build) if seen.given else build, silence=silence),
        routers=_routers(old, build, {} if keep_runtime else strayed(seen)),
        tracks=tuple(track for track in topology_tracks(goal) if track.link in retraced),
        commands=tuple(_commands(before, goal)),
        load=declared_flows(goal) if declared_flows(before) != declared_flows(goal) else None,
    )


def _refuse_substrate(before: Topology, goal: Topology) -> None:
    for what in ("guests", "memory"):
        old, new = getattr(before.guest, what), getattr(goal.guest, what)
        if old != new:
            raise BadInput(
                f"guest.{what}: value {new}: the lab runs with {old}, which cannot change while it runs; "
                "`testbed down` first, then `testbed up`"
            )


def _refuse_switches(before: Topology, goal: Topology, edits: Iterable[Edit]) -> None:
    """In several guests switches, and what is plugged into them, are made with the lab; links' settings may change."""
    told = _outside(before)
    for name in _outside(goal) - told:
        raise BadInput(
            f"controller {name}: the lab came up without a way to it; `testbed down` first, then `testbed up`"
        )
    if goal.guest.guests == 1:
        return
    for edit in edits:
        if _of_switches(edit, before, goal):
            raise BadInput(
                f"{'.'.join(map(str, edit.path))}: in a lab of {goal.guest.guests} guests switches, their slices and "
                "what is plugged into them stay as they were made; `testbed down` first, then `testbed up`"
            )


def _of_switches(edit: Edit, before: Topology, goal: Topology) -> bool:
    kind, *rest = edit.path
    if kind == "slices":
        return True
    kinds = {name: node.kind for topology in (before, goal) for name, node in topology.nodes.items()}
    if kind == "links" and (len(rest) == 1 or rest[1] in ("endpoints", "mtu")):
        links = (topology.links.get(str(rest[0])) for topology in (before, goal))
        return any(kinds[end.node] == "switch" for link in links if link for end in link.endpoints)
    return kind == "nodes" and kinds.get(str(rest[0])) == "switch"


def _outside(topology: Topology) -> set[str]:
    """Return the controllers that are named beside our own."""
    switches = (node for node in topology.nodes.values() if isinstance(node, Switch))
    return {node.controller for node in switches} - {"testbed", "none"}


def _refuse_moves(old: Build, new: Build, guests: int) -> None:
    """No node or wire can move from one guest to another."""
    if guests == 1:
        return
    now, then = split(old, guests), split(new, guests)
    for guest, (before, after) in enumerate(zip(now, then, strict=True), 1):
        moved = {node.name for node in before.nodes} & after.elsewhere.keys()
        wires = {link.name: link.trunk for link in before.links}
        moved |= {link.name for link in after.links if wires.get(link.name, link.trunk) != link.trunk}
        if moved:
            raise BadInput(
                f"{', '.join(sorted(moved)[:5])} would have to leave guest {guest} of {guests}, which cannot be done "
                "while the lab runs; `testbed down` first, then `testbed up`"
            )


def _routers(old: Build, new: Build, back: dict[str, str]) -> tuple[RouterChange, ...]:
    before = {node.name: node for node in old.nodes if node.kind == "router"}
    stay = [node for node in new.nodes if node.kind == "router" and node.name in before]
    changes = (_router(before[node.name], node, back.get(node.name, "")) for node in stay)
    return tuple(change for change in changes if change is not None)


def _router(old: WireNode, new: WireNode, back: str) -> RouterChange | None:
    if (old.config, old.daemons) == (new.config, new.daemons) and not back:
        return None
    lines = frr_config.difference(frr_config.parse(old.config), frr_config.parse(new.config))
    return RouterChange(node=new.name, daemons=new.daemons, config=new.config, lines=back + lines)


def _retraced(before: Topology, goal: Topology) -> set[str]:
    """Return links whose traces end or begin: another trace, other settings below it, or a wire made anew."""

    def played(topology: Topology, name: str) -> object:
        link = topology.links.get(name)
        if link is None or link.trace is None:
            return None
        ends = tuple((end.node, end.interface, topology.nodes[end.node].kind) for end in link.endpoints)
        return link.trace, link.forward, link.backward, ends

    names = {**before.links, **goal.links}
    return {name for name in names if played(before, name) != played(goal, name)}


def _commands(before: Topology, goal: Topology) -> Iterator[tuple[str, str]]:
    """Give the lines of new nodes, and those that nodes which stay have more."""
    for name, node in goal.nodes.items():
        old = before.nodes.get(name)
        if not isinstance(node, Bridge | Switch):
            had = old.exec if isinstance(old, type(node)) else ()
            yield from ((name, line) for line in node.exec if line not in had)
