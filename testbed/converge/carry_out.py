"""A plan carried out on a running lab: journal first, then act, then the new topology takes the place of the old one.

Broken off at any moment, the journal has what the lab was: this command undoes what it did, and where it was killed the
next one does so before anything else. So what the folder says and what the kernel has never differ for long.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from testbed.converge.observe import back_to, reread
from testbed.converge.plan import Plan, planned
from testbed.emulator.client import Client
from testbed.emulator.loading import SetLoad
from testbed.emulator.lower import build_of, topology_tracks
from testbed.emulator.messages import Converge, ListNodes, Observed
from testbed.emulator.playing import Play
from testbed.emulator.revision import Given
from testbed.emulator.standing import Observe, Reconfigure, RouterChange, RouterText
from testbed.errors import AgentError, BadInput, TestbedError, Unable
from testbed.lab import Lab, OnProgress, only_progress, run_commands, substrate_for, wait_until_ready
from testbed.load import declared_flows
from testbed.model.topology import Bridge, Switch, Topology
from testbed.substrate.folder import LabFolder, write_atomically
from testbed.substrate.spawn import look


class Journal(msgspec.Struct, frozen=True):
    """What a lab was before it was changed: its topology, as JSON, and its routers' configurations.

    `load`: whether its load is changed, too.
    """

    topology: msgspec.Raw
    routers: dict[str, RouterText]
    load: bool = False


def _journal(folder: LabFolder) -> Path:
    return folder.path / "converge.json"


def converge(
    lab: Lab,
    wanted: Topology,
    *,
    substrate: str = "auto",
    keep_runtime: bool = False,
    dry_run: bool = False,
    progress: OnProgress | None = None,
    ready_timeout: float = 90.0,
) -> Plan:
    """Make a running lab into `wanted`, changing only what differs.

    Args:
        substrate: what was asked for; another one than the lab's is refused.
        keep_runtime: see `planned`. dry_run: only work it out.
        progress: called with each event. ready_timeout: seconds until routing has settled.

    Returns:
        What was done, or with `dry_run` would be.

    Raises:
        BadInput: it cannot be changed into this while it runs; nothing was changed.
        Unable: it is dead, has no agent, or is being changed by another command.
        NotReady: it was changed, and the network does not become ready; the message names what is missing.
        TestbedError: a step failed; what was done is undone.
    """
    _refuse(lab, substrate, wanted)
    with lab.folder.lock(), lab.agent() as agent:
        if not dry_run:
            recover(lab.folder, agent)
        saved = reread(lab.folder.topology.read_bytes(), like=wanted)
        given = Given(build_of(saved))
        plan = planned(saved, given, wanted, agent.call(Observe(given=given.fingerprint)), keep_runtime)
        if not dry_run and not plan.empty:
            _change(lab, agent, plan, progress)
            if plan.reroutes:
                wait_until_ready(lab.name, agent, ready_timeout, progress)
    return plan


def _refuse(lab: Lab, substrate: str, wanted: Topology) -> None:
    if lab.kind != "lab":
        raise BadInput(f"{lab.name!r} is a {lab.kind}, which is not changed by `up`; take another name with --name")
    if substrate not in ("auto", lab.substrate):
        raise BadInput(
            f"lab {lab.name!r} runs on {lab.substrate}; to have it on {substrate}, `testbed down {lab.name}` first"
        )
    lab.substrate_object.reach(lab.folder)
    state = look(lab.folder)  # whether its agent answers will show at once
    if not state.alive:
        raise Unable(f"lab {lab.name!r} is dead ({state.reason}); `testbed down {lab.name}`, then bring it up again")
    substrate_for(wanted, lab.substrate)


def _change(lab: Lab, agent: Client, plan: Plan, progress: OnProgress | None) -> None:
    _write_journal(lab.folder, plan)
    try:
        agent.call(plan.order, on_event=only_progress(progress))
        if plan.routers:
            agent.call(Reconfigure(routers=plan.routers), on_event=only_progress(progress))
        run_commands(agent, plan.commands, progress)
        if plan.tracks:
            agent.call(Play(tracks=plan.tracks))
        if plan.load is not None:
            agent.call(SetLoad(flows=plan.load, measured=True))
        write_atomically(lab.folder.topology, plan.goal.model_dump_json(indent=1).encode())
    except BaseException as problem:
        _undo_for(problem, lab.folder, agent)
        raise
    _journal(lab.folder).unlink()


def _undo_for(problem: BaseException, folder: LabFolder, agent: Client) -> None:
    try:
        recover(folder, agent)
    except TestbedError as second:
        raise AgentError(
            f"{problem or 'interrupted'}; what was done could not be undone: {second}. `testbed up` tries that again, "
            f"`testbed down {folder.name}` takes all away"
        ) from problem


def _write_journal(folder: LabFolder, plan: Plan) -> None:
    as_saved = plan.before is plan.saved
    topology = folder.topology.read_bytes() if as_saved else plan.before.model_dump_json().encode()
    journal = Journal(msgspec.Raw(topology), plan.seen.routers, plan.load is not None)
    write_atomically(_journal(folder), msgspec.json.encode(journal))


def recover(folder: LabFolder, agent: Client) -> None:
    """Undo a change that was broken off, so that the lab is what it was before; do nothing where none was.

    Raises:
        TestbedError: it cannot be undone.
    """
    path = _journal(folder)
    if not path.exists():
        return
    journal = msgspec.json.decode(path.read_bytes(), type=Journal)
    before = Topology.model_validate_json(bytes(journal.topology))
    there = {node.name: node.kind for node in agent.call(ListNodes()).nodes}
    now = agent.call(Observe())
    silence = tuple(_retraced_since(before, now))
    agent.call(Converge(goal=build_of(before), silence=silence))
    _set_routers_back(agent, before, journal.routers)
    anew = {name for name, node in before.nodes.items() if there.get(name) != node.kind}
    lines = ((name, line) for name in sorted(anew) for line in _exec_of(before, name))
    run_commands(agent, lines, None)
    _play_missing(agent, before)
    if journal.load:
        agent.call(SetLoad(flows=declared_flows(before), measured=True))
    write_atomically(folder.topology, before.model_dump_json(indent=1).encode())
    path.unlink()


def _exec_of(topology: Topology, name: str) -> tuple[str, ...]:
    node = topology.nodes[name]
    return () if isinstance(node, Bridge | Switch) else node.exec


def _retraced_since(before: Topology, now: Observed) -> Iterable[str]:
    """Give the links on which something plays that did not play before."""
    for traced in now.traces:
        trace = before.links[traced.link].trace if traced.link in before.links else None
        if trace is None or (traced.end, traced.source) not in trace.ways():
            yield traced.link


def _play_missing(agent: Client, before: Topology) -> None:
    playing = {(trace.link, trace.end) for trace in agent.call(Observe()).traces}
    tracks = tuple(track for track in topology_tracks(before) if (track.link, track.end) not in playing)
    if tracks:
        agent.call(Play(tracks=tracks))


def _set_routers_back(agent: Client, before: Topology, texts: dict[str, RouterText]) -> None:
    now = agent.call(Observe()).routers
    wires = {node.name: node for node in build_of(before).nodes}
    changes = [
        RouterChange(
            node=name,
            daemons=wires[name].daemons,
            config=wires[name].config,
            lines=back_to(text.running, now[name].running),
            given=text.given,
        )
        for name, text in texts.items()
        if name in now and now[name] != text
    ]
    if changes:
        agent.call(Reconfigure(routers=tuple(changes)))
