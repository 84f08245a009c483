"""A lab: a topology running on a substrate, from `up` to `down`, found again by name from any process."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from testbed.emulator.loading import LoadFlow, SetLoad
from testbed.emulator.messages import Build, Output, Progress, Readiness, WaitReady, encode
from testbed.emulator.playing import Play, Track
from testbed.errors import BadInput, CommandFailed, NotReady, Unable
from testbed.model.topology import Bridge, Switch, Topology
from testbed.substrate import needs
from testbed.substrate.base import Forward, Liveness, StartOptions, Substrate
from testbed.substrate.folder import Elsewhere, Kind, LabFolder, write_atomically
from testbed.substrate.processes import guest_starved
from testbed.substrate.registry import SUBSTRATES, find, pick
from testbed.substrate.spawn import look, take_down
from testbed.substrate.uml import problems

if TYPE_CHECKING:
    from testbed.emulator.client import Client

OnProgress = Callable[[Progress], None]
BUILD_FILE = "build.msgpack"
_COMMAND_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Lab:
    """A handle on one lab; its state is in its folder and substrate. As a context manager it goes down at the end."""

    folder: LabFolder

    # --- bringing up ---

    @classmethod
    def up(
        cls,
        topology: Topology,
        *,
        substrate: str = "auto",
        name: str | None = None,
        kind: Kind = "lab",
        progress: OnProgress | None = None,
        ready_timeout: float = 90.0,
        keep: bool = False,
    ) -> Self:
        """Bring a topology up; return when its network is ready.

        Args:
            topology: what to build. substrate: `auto`, `native`, `uml`, or a machine (`ssh:lab@server2`).
            name: the topology's when None.
            progress: called with each event.
            ready_timeout: seconds until daemons answer and adjacencies are full.
            keep: leave a lab that is not ready in time as it is, for looking into it.

        Raises:
            BadInput: the topology, the substrate or the name cannot be used; nothing was changed.
            Unable: this machine cannot run it; the message has the command that mends it.
            GuestFailed: the substrate died or hangs.
            CommandFailed: a command under a node's `exec` failed.
            NotReady: the network is not ready in time; the message names what is missing.
        """
        from testbed.emulator.lower import build_of, topology_tracks
        from testbed.emulator.spread import split
        from testbed.load import declared_flows

        build, tracks, flows = build_of(topology), topology_tracks(topology), declared_flows(topology)
        split(build, topology.guest.guests)  # refuses before anything is started what no guests can be joined by
        chosen, why = substrate_for(topology, substrate)
        lab = cls._create(name or topology.name, kind, chosen, topology)
        try:
            _tell(progress, f"starting {chosen.name}: {why}")
            chosen.start(lab.folder, StartOptions(topology.guest, controllers=outside_controllers(topology)))
            lab._build(build, progress, ready_timeout)
            lab._play(tracks)
            lab._load(flows)
            lab.folder.update(state="running")
        except BaseException as problem:
            if keep and isinstance(problem, NotReady):
                lab.folder.update(state="running")
            else:
                lab._abandon()
            raise
        return lab

    @classmethod
    def up_offline(
        cls,
        topology: Topology,
        build: Build,
        forwards: Sequence[Forward],
        *,
        substrate: str = "auto",
        name: str | None = None,
        kind: Kind = "rack",
        progress: OnProgress | None = None,
    ) -> Self:
        """Bring up a lab that builds itself and has no control channel: a rack, reached through `forwards` alone.

        Raises:
            As `up`; GuestFailed has the agent's own words when it could not build.
        """
        traced = [key for key, link in topology.links.items() if link.trace]
        if traced:
            raise BadInput(f"links {', '.join(traced[:5])} have a trace, which only labs play: a {kind} has no agent")
        if topology.load is not None:
            raise BadInput(f"{topology.name} has a `load`, which only labs send: a {kind} has no agent")
        chosen, why = substrate_for(topology, substrate, own_kernel=True)
        lab = cls._create(name or topology.name, kind, chosen, topology)
        try:
            _tell(progress, f"starting {chosen.name}: {why}")
            write_atomically(lab.folder.path / BUILD_FILE, encode(build))
            outside = outside_controllers(topology)
            chosen.start(lab.folder, StartOptions(topology.guest, tuple(forwards), BUILD_FILE, outside))
            lab.folder.update(state="running")
        except BaseException:
            lab._abandon()
            raise
        return lab

    @classmethod
    def _create(cls, name: str, kind: Kind, substrate: Substrate, topology: Topology) -> Self:
        folder = LabFolder.create(name, kind, substrate.name)
        write_atomically(folder.topology, topology.model_dump_json(indent=1).encode())
        return cls(folder)

    def _build(self, build: Build, progress: OnProgress | None, ready_timeout: float) -> None:
        with self.agent() as agent:
            agent.call(build, on_event=only_progress(progress))
            nodes = self.topology.nodes.items()
            lines = (
                (name, line) for name, node in nodes if not isinstance(node, Bridge | Switch) for line in node.exec
            )
            run_commands(agent, lines, progress)
            wait_until_ready(self.name, agent, ready_timeout, progress)

    def _play(self, tracks: tuple[Track, ...]) -> None:
        """Traces begin when the network is ready, so that none delays it and all of each is seen."""
        if tracks:
            with self.agent() as agent:
                agent.call(Play(tracks=tracks))

    def _load(self, flows: tuple[LoadFlow, ...]) -> None:
        if flows:
            with self.agent() as agent:
                agent.call(SetLoad(flows=flows, measured=True))

    def _abandon(self) -> None:
        """Take away what was half brought up."""
        self.substrate_object.stop(self.folder)
        self.folder.remove()

    # --- finding ---

    @classmethod
    def open(cls, name: str) -> Self:
        """Return an existing lab.

        Raises:
            BadInput: there is none of this name.
        """
        return cls(LabFolder.open(name))

    @classmethod
    def all(cls) -> list[Self]:
        """Return all labs there are, dead ones too, by name."""
        return [cls(folder) for folder in LabFolder.all()]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def kind(self) -> Kind:
        return self.folder.record().kind

    @property
    def substrate(self) -> str:
        return self.folder.record().substrate

    @property
    def substrate_object(self) -> Substrate:
        return find(self.substrate)

    @property
    def topology(self) -> Topology:
        """What was brought up."""
        return Topology.model_validate_json(self.folder.topology.read_bytes())

    # --- using ---

    def agent(self) -> Client:
        """Return a new client of this lab's agent or agents; one per thread, used as a context manager.

        Raises:
            Unable: the lab has no control channel (a rack), or its machine cannot be reached.
        """
        from testbed.emulator.client import AgentClient

        self.substrate_object.reach(self.folder)
        endpoints = self.folder.record().endpoints
        if not endpoints:
            raise Unable(f"{self.kind} {self.name!r} has no control channel: {self._why_no_channel()}")
        liveness, starved = partial(look, self.folder), partial(guest_starved, self.folder.record().id)
        if len(endpoints) == 1:
            return AgentClient(self.folder.path, endpoints[0], liveness, partial(starved, 1))
        from testbed.emulator.joined import JoinedClient  # with the controller's halves of all probes

        return JoinedClient(self.folder.path, endpoints, liveness, starved)

    def _why_no_channel(self) -> str:
        seen = look(self.folder)
        return "its devices are reached over SSH alone" if seen.alive else f"it is dead ({seen.reason})"

    def liveness(self) -> Liveness:
        """Say whether it lives; when not, why, with the last lines of its console.

        Takes 5 s at most, and longer, up to 30 s, only while this machine gives it no processor to answer with.
        """
        return self.substrate_object.liveness(self.folder)

    def down(self) -> None:
        """Take it down wholly: no process, namespace, port or file is left, whatever happened before.

        Raises:
            Unable: another command is bringing it up or taking it down.
        """
        with self.folder.lock():
            self.substrate_object.stop(self.folder)
            self.folder.remove()

    def elsewhere(self) -> Elsewhere:
        """Return where else it runs.

        Raises:
            BadInput: nowhere.
        """
        elsewhere = self.folder.record().elsewhere
        if elsewhere is None:
            raise BadInput(f"lab {self.name!r} has nothing on another machine: `testbed down {self.name}` removes it")
        return elsewhere

    def forget(self) -> str:
        """Remove what is here of a lab whose machine is gone for good.

        Returns:
            What may be left there, in words.

        Raises:
            BadInput: the lab has nothing on another machine.
        """
        elsewhere = self.elsewhere()
        with self.folder.lock():
            take_down(self.folder)
            self.folder.remove()
        host, name = elsewhere.host, elsewhere.lab
        return (
            f"on {host} a lab {name} may be left; should that machine come back, `testbed down {name}` there removes it"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


def run_commands(agent: Client, lines: Iterable[tuple[str, str]], progress: OnProgress | None) -> None:
    """Run what nodes have under `exec`, (node, line) after (node, line).

    Raises:
        CommandFailed: one did not end with 0; the message has its node, itself and what it said.
    """
    for name, line in lines:
        _tell(progress, f"{name}: {line}")
        done = agent.run(name, shlex.split(line), timeout=_COMMAND_PATIENCE)
        if done.code != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise CommandFailed(f"node {name}: exec {line!r} ended with {done.code}: {said or 'it said nothing'}")


def wait_until_ready(name: str, agent: Client, patience: float, progress: OnProgress | None) -> None:
    """Return when a lab's network is ready.

    Args:
        name: of the lab, for messages. patience: seconds.

    Raises:
        NotReady: it is not by then; the message names what is missing.
    """
    _tell(progress, "waiting for the network to be ready")
    readiness = agent.call(WaitReady(deadline=patience), on_event=only_progress(progress))
    assert isinstance(readiness, Readiness)
    if readiness.missing:
        raise NotReady(
            f"lab {name!r} is not ready after {patience:g} s: {'; '.join(readiness.missing)}. "
            "Look into the named nodes' configuration, or allow more time"
        )


def only_progress(progress: OnProgress | None) -> Callable[[Progress | Output], None]:
    """Return what passes an agent's events on, without the output of commands."""

    def report(event: Progress | Output) -> None:
        if progress is not None and isinstance(event, Progress):
            progress(event)

    return report


def _tell(progress: OnProgress | None, text: str) -> None:
    if progress is not None:
        progress(Progress(text=text))


def outside_controllers(topology: Topology) -> tuple[str, ...]:
    """Return the OpenFlow controllers that a topology names and the lab has to reach, each once."""
    told = (node.controller for node in topology.nodes.values() if isinstance(node, Switch))
    return tuple(dict.fromkeys(target for target in told if target not in ("testbed", "none")))


def substrate_for(topology: Topology, name: str, own_kernel: bool = False) -> tuple[Substrate, str]:
    """Pick a substrate that can really do what the topology asks, and say why; see `pick`.

    Raises:
        Unable: this machine, or the named substrate's kernel, lacks what it needs; the message names it.
    """
    chosen, why = pick(name, own_kernel)
    lacks = list(needs.missing_programs(topology)) if chosen.name in SUBSTRATES else []
    if chosen.name == "native" and not lacks:
        lacks = list(needs.kernel_lacks(topology))
        if lacks and name == "auto" and not problems():
            return find("uml"), f"guests can what this kernel cannot: {lacks[0]}"
    if lacks:
        raise Unable("; ".join(lacks))
    return chosen, why
