"""One client for a lab spread over several guests: each request goes to the agents it concerns, answers are joined."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import structs

from testbed.control.messages import Policy
from testbed.emulator import clocks, messages, playing, standing
from testbed.emulator.client import AgentClient, Client, LivenessLike, OnEvent
from testbed.emulator.loading import FlowReport
from testbed.emulator.messages import Build, LinkChange, LinkState, Request
from testbed.emulator.parts import FlowStop
from testbed.emulator.probes import load, stamp, stream, throughput
from testbed.emulator.probes.base import Ask
from testbed.emulator.ready import wait_ready
from testbed.emulator.spread import split
from testbed.errors import AgentError, BadInput, NotReady, Unable, nearest


class JoinedClient(Client):
    """A connection to all agents of a lab.

    Args:
        folder: the lab folder. endpoints: of the agents, guest by guest.
        liveness, starved: see `AgentClient`; they get the number of the guest that is asked.
    """

    def __init__(
        self,
        folder: Path,
        endpoints: Sequence[str],
        liveness: Callable[[int], LivenessLike],
        starved: Callable[[int], float],
    ) -> None:
        self._agents = {
            number: AgentClient(folder, endpoint, partial(liveness, number), partial(starved, number))
            for number, endpoint in enumerate(endpoints, 1)
        }
        self._pool = ThreadPoolExecutor(len(self._agents), thread_name_prefix="guest")
        self._asked: dict[int, Future[Any]] = {}
        self._nodes: dict[str, int] = {}
        self._links: dict[str, tuple[str, str]] = {}
        self._controls = 0
        self._ways: Mapping[type, Callable[[Any, OnEvent | None, float | None], Any]] = {
            messages.Hello: self._hello,
            messages.Build: self._build,
            messages.Converge: self._converge,
            standing.Reconfigure: self._reconfigure,
            standing.Observe: self._observe,
            messages.WaitReady: self._wait_ready,
            messages.Survey: self._survey,
            messages.SetLinks: self._set_links,
            messages.GetLinks: self._get_links,
            messages.Locate: self._locate,
            messages.ListNodes: self._list_nodes,
            messages.Power: self._power,
            messages.Stamp: self._stamp,
            messages.Throughput: self._throughput,
            messages.StreamStart: self._start_stream,
            messages.StreamStop: self._stop_stream,
            messages.SetLoad: self._set_load,
            messages.ReadLoad: self._read_load,
            playing.Play: self._play,
            playing.StopPlay: self._stop_play,
            playing.PlayStatus: self._play_status,
            messages.Steer: self._ask_controller,
            messages.CountSwitches: self._ask_controller,
            messages.ReadSwitches: self._ask_controller,
            messages.Arrange: self._ask_controller,
            messages.Shutdown: self._shutdown,
        }

    def close(self) -> None:
        """See `Client.close`; an agent that is still being asked, after an interrupt, is left when it has answered."""
        for guest, agent in self._agents.items():
            asked = self._asked.get(guest)
            if asked is None or asked.done():
                agent.close()
            else:
                asked.add_done_callback(lambda _, agent=agent: agent.close())
        self._pool.shutdown(wait=False)

    def call(self, request: Request, on_event: OnEvent | None = None, timeout: float | None = None) -> Any:
        """See `Client.call`; `timeout` holds for each agent that is asked."""
        way = self._ways.get(type(request))
        if way is not None:
            return way(request, on_event, timeout)
        return self._owner(request).call(request, on_event, timeout)

    def _owner(self, request: Any) -> AgentClient:
        """Return the agent of the one node that a request, or a half of a probe, is about."""
        return self._agents[self._guest_of(request.source if hasattr(request, "source") else request.node)]

    def _ask(
        self, requests: Mapping[int, Request], on_event: OnEvent | None = None, timeout: float | None = None
    ) -> dict[int, Any]:
        """Ask several agents at the same time; all have answered before the first error is raised."""
        if len(requests) == 1:
            ((guest, request),) = requests.items()
            return {guest: self._agents[guest].call(request, on_event, timeout)}
        turn = threading.Lock()

        def tell(event: Any) -> None:
            if on_event is not None:
                with turn:
                    on_event(event)

        self._asked = {
            guest: self._pool.submit(self._agents[guest].call, request, tell, timeout)
            for guest, request in requests.items()
        }
        problems = [future.exception() for future in self._asked.values()]
        for problem in problems:
            if problem is not None:
                raise problem
        return {guest: future.result() for guest, future in self._asked.items()}

    def _ask_all(self, request: Request, on_event: OnEvent | None = None, timeout: float | None = None) -> list[Any]:
        return list(self._ask(dict.fromkeys(self._agents, request), on_event, timeout).values())

    # --- who has what ---

    def _locate(
        self, request: Request, on_event: OnEvent | None = None, timeout: float | None = None
    ) -> messages.Located:
        answers = self._ask(dict.fromkeys(self._agents, request), on_event, timeout)
        self._nodes = {name: guest for guest, here in answers.items() for name in here.nodes}
        self._links = {name: ends for here in answers.values() for name, ends in here.links.items()}
        self._controls = next((guest for guest, here in answers.items() if here.controls), 0)
        return messages.Located(nodes=tuple(self._nodes), links=self._links, controls=self._controls > 0)

    def _guest_of(self, node: str) -> int:
        if node not in self._nodes:
            self._locate(messages.Locate())
        if node not in self._nodes:
            raise _unknown("node", node, self._nodes)
        return self._nodes[node]

    def _ends_of(self, link: str) -> tuple[int, int]:
        """Return the guests of a link's first and second end."""
        if link not in self._links:
            self._locate(messages.Locate())
        if link not in self._links:
            raise _unknown("link", link, self._links)
        first, second = self._links[link]
        return self._nodes[first], self._nodes[second]

    # --- the whole lab ---

    def _hello(self, request: Request, on_event: OnEvent | None, timeout: float | None) -> messages.Welcome:
        return self._ask_all(request, on_event, timeout)[0]

    def _ask_controller(self, request: Request, on_event: OnEvent | None, timeout: float | None) -> Any:
        """Ask the guest that our own controller runs in; without one any says so."""
        self._locate(messages.Locate())
        return self._agents[self._controls or 1].call(request, on_event, timeout)

    def _shutdown(self, request: Request, on_event: OnEvent | None, timeout: float | None) -> messages.Ok:
        return self._ask_all(request, on_event, timeout)[0]

    def _build(self, request: Build, on_event: OnEvent | None, timeout: float | None) -> messages.Built:
        started = time.monotonic()
        parts = dict(enumerate(split(request, len(self._agents)), 1))
        clocks.align(self._agents.values())
        try:
            self._ask(parts, on_event, timeout)
            if (control := parts[1].control) is not None and control.others:  # its switches are all there now
                self._ask_controller(messages.Steer(), on_event, timeout)
        except (BadInput, Unable, AgentError, NotReady):
            self._ask_all(Build(nodes=(), links=()))  # the guests live, and nothing of it is left in any
            raise
        self._locate(messages.Locate())
        took = time.monotonic() - started
        return messages.Built(nodes=len(request.nodes), links=len(request.links), seconds=took)

    def _converge(self, request: messages.Converge, on_event: OnEvent | None, timeout: float | None) -> messages.Built:
        """Each guest goes all the way or stays; who asked sends all of them back where one did not."""
        started = time.monotonic()
        assert isinstance(request.goal, Build)  # none of the agents was given what this could be a revision of
        parts = enumerate(split(request.goal, len(self._agents)), 1)
        wanted = request.goal.policy or Policy()
        self._locate(messages.Locate())
        now = self._ask_controller(messages.Steer(), None, timeout).after if self._controls else wanted
        try:
            asked = {guest: structs.replace(request, goal=part) for guest, part in parts}
            self._ask(asked, on_event, timeout)
            if now != wanted:
                self._ask_controller(messages.Steer.between(now, wanted), None, timeout)
        finally:
            self._nodes, self._links = {}, {}  # asked anew when next needed
        goal, took = request.goal, time.monotonic() - started
        return messages.Built(nodes=len(goal.nodes), links=len(goal.links), seconds=took)

    def _reconfigure(
        self, request: standing.Reconfigure, on_event: OnEvent | None, timeout: float | None
    ) -> messages.Ok:
        shares: dict[int, list[standing.RouterChange]] = {}
        for change in request.routers:
            shares.setdefault(self._guest_of(change.node), []).append(change)
        asked = {guest: standing.Reconfigure(routers=tuple(share)) for guest, share in shares.items()}
        self._ask(asked, on_event, timeout)
        return messages.Ok()

    def _observe(self, request: standing.Observe, on_event: OnEvent | None, timeout: float | None) -> messages.Observed:
        """Each was given a part, so all are asked for all of it."""
        self._locate(messages.Locate())
        asked = structs.replace(request, given="")
        answers = self._ask(dict.fromkeys(self._agents, asked), on_event, timeout)
        found = {guest: {state.name: state for state in seen.links} for guest, seen in answers.items()}
        seen = list(answers.values())
        return messages.Observed(
            links=tuple(self._whole(name, found) for name in self._links),
            traces=tuple(trace for here in seen for trace in here.traces),
            routers={name: text for here in seen for name, text in here.routers.items()},
            addresses={name: given for here in seen for name, given in here.addresses.items()},
            dark=tuple(name for here in seen for name in here.dark),
            policy=next((here.policy for here in seen if here.policy is not None), None),
        )

    def _survey(
        self, request: Request, on_event: OnEvent | None = None, timeout: float | None = None
    ) -> messages.Surveyed:
        answers: list[messages.Surveyed] = self._ask_all(request, on_event, timeout)
        wires: dict[str, messages.SeenWire] = {}
        for wire in (wire for seen in answers for wire in seen.wires):
            lit = wire.lit and (wire.name not in wires or wires[wire.name].lit)
            wires[wire.name] = structs.replace(wire, lit=lit)
        return messages.Surveyed(
            reports={name: report for seen in answers for name, report in seen.reports.items()},
            unready=tuple(line for seen in answers for line in seen.unready),
            nodes={name: kind for seen in answers for name, kind in seen.nodes.items()},
            wires=tuple(wires.values()),
        )

    def _wait_ready(
        self, request: messages.WaitReady, on_event: OnEvent | None, timeout: float | None
    ) -> messages.Readiness:
        del timeout  # the request has its own
        look = partial(self._survey, messages.Survey())
        return wait_ready(look, request.deadline, on_event or _nobody, threading.Event())

    def _list_nodes(self, request: Request, on_event: OnEvent | None, timeout: float | None) -> messages.Nodes:
        return messages.Nodes(
            nodes=tuple(node for here in self._ask_all(request, on_event, timeout) for node in here.nodes)
        )

    def _power(self, request: messages.Power, on_event: OnEvent | None, timeout: float | None) -> messages.Ok:
        """First the far ends of its wires lose or regain carrier, then the node itself."""
        owner = self._guest_of(request.node)
        guests = {guest for link, ends in self._links.items() if request.node in ends for guest in self._ends_of(link)}
        self._ask(dict.fromkeys(guests - {owner}, request), on_event, timeout)
        return self._agents[owner].call(request, on_event, timeout)

    # --- links ---

    def _set_links(
        self, request: messages.SetLinks, on_event: OnEvent | None, timeout: float | None
    ) -> messages.LinksSet:
        parts = self._shared_out(request.changes)
        if len(parts) > 1 or request.check_only:
            self._ask({guest: structs.replace(part, check_only=True) for guest, part in parts.items()})
        answers = [] if request.check_only else self._ask(parts, on_event, timeout).values()
        moment = max((answer.time for answer in answers), default=time.time())
        return messages.LinksSet(applied=len(request.changes), time=moment)

    def _shared_out(self, changes: Iterable[LinkChange]) -> dict[int, messages.SetLinks]:
        """Settings go to the guest that the packets leave from, carrier to both ends'."""
        shares: dict[int, list[LinkChange]] = {}
        for change in changes:
            ends = self._ends_of(change.link)
            near, far = ends[change.end], ends[1 - change.end]
            shares.setdefault(near, []).append(change)
            if far != near and change.up is not None:
                shares.setdefault(far, []).append(LinkChange(link=change.link, up=change.up))
        return {guest: messages.SetLinks(changes=tuple(share)) for guest, share in shares.items()}

    def _play(self, request: playing.Play, on_event: OnEvent | None, timeout: float | None) -> playing.PlayState:
        shares: dict[int, list[playing.Track]] = {}
        for track in request.tracks:
            shares.setdefault(self._ends_of(track.link)[track.end], []).append(track)
        self._ask(
            {guest: structs.replace(request, tracks=tuple(share)) for guest, share in shares.items()}, on_event, timeout
        )
        return self._play_status(playing.PlayStatus(), on_event, timeout)

    def _stop_play(
        self, request: playing.StopPlay, on_event: OnEvent | None, timeout: float | None
    ) -> playing.PlayState:
        """Of named links only the guests of their ends know; without names all are asked."""
        shares: dict[int, list[str]] = {} if request.links else {guest: [] for guest in self._agents}
        for link in request.links:
            for guest in set(self._ends_of(link)):
                shares.setdefault(guest, []).append(link)
        self._ask(
            {guest: structs.replace(request, links=tuple(share)) for guest, share in shares.items()}, on_event, timeout
        )
        return self._play_status(playing.PlayStatus(), on_event, timeout)

    def _play_status(self, request: Request, on_event: OnEvent | None, timeout: float | None) -> playing.PlayState:
        answers: list[playing.PlayState] = self._ask_all(request, on_event, timeout)
        return playing.PlayState(
            playing=tuple(sorted({link for state in answers for link in state.playing})),
            applied=sum(state.applied for state in answers),
            late=dict(sum((Counter(state.late) for state in answers), Counter())),
            failed=tuple(line for state in answers for line in state.failed),
        )

    def _get_links(
        self, request: messages.GetLinks, on_event: OnEvent | None, timeout: float | None
    ) -> messages.LinkStates:
        if not request.names:
            self._locate(messages.Locate())
        names = request.names or tuple(self._links)
        wanted: dict[int, list[str]] = {}
        for name in names:
            for guest in set(self._ends_of(name)):
                wanted.setdefault(guest, []).append(name)
        asked = {guest: messages.GetLinks(names=tuple(own)) for guest, own in wanted.items()}
        answers = self._ask(asked, on_event, timeout)
        found = {guest: {state.name: state for state in answer.links} for guest, answer in answers.items()}
        return messages.LinkStates(links=tuple(self._whole(name, found) for name in names))

    def _whole(self, name: str, found: Mapping[int, Mapping[str, LinkState]]) -> LinkState:
        first, second = (found[guest][name] for guest in self._ends_of(name))
        return LinkState(name=name, up=first.up and second.up, forward=first.forward, backward=second.backward)

    # --- probes: put together here, whichever guests the two nodes are in ---

    def _asker(self, on_event: OnEvent | None, timeout: float | None) -> Ask:
        return lambda part: self._owner(part).call(part, on_event, timeout)

    def _stamp(self, request: messages.Stamp, on_event: OnEvent | None, timeout: float | None) -> messages.StampResult:
        result = stamp.carry_out(request, self._asker(on_event, timeout), on_event or _nobody)
        source, reflector = (self._agents[self._guest_of(name)] for name in (request.source, request.reflector))
        if source is reflector:
            return result
        return structs.replace(result, clock_error=clocks.apart(clocks.read(source), clocks.read(reflector)))

    def _throughput(
        self, request: messages.Throughput, on_event: OnEvent | None, timeout: float | None
    ) -> messages.ThroughputResult:
        return throughput.carry_out(request, self._asker(on_event, timeout))

    def _start_stream(
        self, request: messages.StreamStart, on_event: OnEvent | None, timeout: float | None
    ) -> messages.StreamStarted:
        """The number of a stream also tells its source's guest, for whoever stops it."""
        started = stream.start(request, self._asker(on_event, timeout), on_event or _nobody)
        guest = self._guest_of(request.source)
        return messages.StreamStarted(stream=started.stream * len(self._agents) + guest - 1)

    def _stop_stream(
        self, request: messages.StreamStop, on_event: OnEvent | None, timeout: float | None
    ) -> messages.StreamResult:
        number, guest = divmod(request.stream, len(self._agents))

        def ask(part: Any) -> Any:
            agent = self._agents[guest + 1] if isinstance(part, FlowStop) else self._owner(part)
            return agent.call(part, on_event, timeout)

        return stream.stop(number, ask, on_event or _nobody)

    def _set_load(self, request: messages.SetLoad, on_event: OnEvent | None, timeout: float | None) -> messages.Ok:
        return load.carry_out(request, self._guest_of, self._asks(on_event, timeout))

    def _read_load(
        self, request: messages.ReadLoad, on_event: OnEvent | None, timeout: float | None
    ) -> messages.LoadReport:
        report = load.read(request, self._asks(on_event, timeout))
        clock = {guest: clocks.read(agent) for guest, agent in self._agents.items()} if report.flows else {}
        return structs.replace(report, flows=tuple(self._with_error(flow, clock) for flow in report.flows))

    def _with_error(self, report: FlowReport, clock: Mapping[int, clocks.Reading]) -> FlowReport:
        """Round trips of TCP are timed by one clock alone."""
        source, sink = self._guest_of(report.flow.source), self._guest_of(report.flow.sink)
        if source == sink or report.flow.protocol == "tcp":
            return report
        return structs.replace(report, clock_error=clocks.apart(clock[source], clock[sink]))

    def _asks(self, on_event: OnEvent | None, timeout: float | None) -> dict[int, Ask]:
        return {guest: partial(agent.call, on_event=on_event, timeout=timeout) for guest, agent in self._agents.items()}


def _unknown(what: str, name: str, known: Iterable[str]) -> BadInput:
    listing = ", ".join(sorted(known)[:20])
    return BadInput(f"no {what} called {name!r}{nearest(name, known)} (known: {listing})")


def _nobody(event: messages.Progress | messages.Output) -> None:
    """Nobody wants to know."""
