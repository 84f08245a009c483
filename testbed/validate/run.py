"""Try a change in a fork of the mirrored twin and say what came of it: before twice, change, after twice, and back."""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters import frr_config
from adapters.base import Adapter
from adapters.frr import FrrAdapter
from testbed.emulator.messages import Hello, Welcome
from testbed.errors import AgentError, GuestFailed, NotReady, TestbedError
from testbed.model.change import SWITCHES, Change, ConvergenceGap
from testbed.model.load import Written
from testbed.model.topology import Topology
from testbed.model.verdict import DeviceChange, Finding, Measured, Outcome, StaticFinding, Verdict
from testbed.twin.fork import fork as fork_twin
from testbed.twin.state import MirroredState
from testbed.twin.switches import SwitchAdapter
from testbed.twin.transport import AgentTransport
from testbed.validate import apply, fidelity, judge, lines, load, neighbours, references, routes, static
from testbed.validate.busy import tempered, watching
from testbed.validate.expectations import AFTER, convergence
from testbed.validate.rounds import run_round
from testbed.validate.scene import Callers, Scene
from testbed.validate.settle import Settled, settle

Tell = Callable[[str], None]
Fork = Callable[[MirroredState, str], Any]

QUICK_WINDOW = 1.5
SETTLE_DEADLINE = 45.0
# Enough packets before the event that a gap at its very start is seen.
STREAM_LEAD = 0.25


def validate(change: Change, state: MirroredState, progress: Tell | None = None, *, fork: Fork = fork_twin) -> Verdict:
    """Judge a change in a lab of its own; the live twin and the rack stay untouched.

    Args:
        change: what is proposed and what must hold afterwards.
        state: from `testbed.twin.state.current_state`.
        progress: told in words what is under way.
        fork: makes the lab; something else in tests.

    Returns:
        PASSED, FAILED or INCONCLUSIVE with all evidence. A fork that cannot be brought up or dies is INCONCLUSIVE.

    Raises:
        BadInput: the change speaks of what the twin has not; nothing was started.
        Unable: this machine cannot run a fork at all.
    """
    tell: Tell = progress or (lambda text: None)
    tell("checking the change without running anything")
    trial = Trial(notes=list(static.check(change, state.topology)))
    return _verdict(change, state, trial, _refusal(trial) or _try_out(change, state, trial, tell, fork))


def foresee(change: Change, state: MirroredState) -> Verdict:
    """Run the static checks and the prediction only.

    Returns:
        FAILED when a check refuses the change, else INCONCLUSIVE: what was not tried has not passed.

    Raises:
        BadInput: the change speaks of what the twin has not.
    """
    trial = Trial(notes=list(static.check(change, state.topology)))
    return _verdict(
        change, state, trial, _refusal(trial) or (Outcome.INCONCLUSIVE, "not tried: checks and prediction only")
    )


def _refusal(trial: Trial) -> tuple[Outcome, str] | None:
    refusals = [note.message for note in trial.notes if note.outcome is Outcome.FAILED]
    return (Outcome.FAILED, f"refused before any emulation: {refusals[0]}") if refusals else None


def validate_all(
    changes: Sequence[Change], state: MirroredState, progress: Tell | None = None, *, fork: Fork = fork_twin
) -> Iterator[Verdict]:
    """Judge several changes, each from the mirrored state, in one fork as long as each rollback brings it all back.

    A fork whose rollback was not proven is taken down, and the next change gets another. Arguments and errors as for
    `validate`; verdicts come as they are reached.
    """
    references.require(map(Written, changes), state.topology)
    with closing(_Shared(fork)) as shared:
        for change in changes:
            verdict = validate(change, state, progress, fork=shared.lend)
            yield verdict
            if verdict.environment.get("rollback_proven") is not True:
                shared.close()


class _Shared:
    """A fork that outlives a trial."""

    def __init__(self, fork: Fork) -> None:
        self._fork = fork
        self._lab: Any = None

    def lend(self, state: MirroredState, name: str) -> Any:
        """Return the fork, brought up the first time."""
        self._lab = self._lab or self._fork(state, name)
        return _Lent(self._lab)

    def close(self) -> None:
        """Take the fork down, if there is one."""
        if self._lab is not None:
            self._lab.down()
        self._lab = None


@dataclass(frozen=True, slots=True)
class _Lent:
    """A lab that its borrower cannot take down."""

    lab: Any

    @property
    def name(self) -> str:
        return self.lab.name

    def agent(self) -> Any:
        return self.lab.agent()

    def down(self) -> None:
        """Nothing: its owner does."""


@dataclass(slots=True)
class Trial:
    """What a trial has gathered so far; it survives whatever ends the trial early."""

    started: float = field(default_factory=time.time)
    measured: dict[int, list[Measured]] = field(default_factory=dict)
    devices: tuple[DeviceChange, ...] = ()
    notes: list[StaticFinding] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    environment: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    carried: dict[str, list[float]] = field(default_factory=dict)

    def add(self, measured: Mapping[int, Measured]) -> None:
        """Keep a round's measurements."""
        for index, one in measured.items():
            self.measured.setdefault(index, []).append(one)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Note how many seconds a part takes."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.timings[what] = round(time.monotonic() - start, 3)


@dataclass(frozen=True, slots=True)
class Bench:
    """The fork under trial."""

    change: Change
    state: MirroredState
    call: Callers
    agent: Any
    adapters: Mapping[str, Adapter]
    trial: Trial
    tell: Tell
    topology: Topology
    window: float = QUICK_WINDOW

    def settle(self, when: str) -> Settled:
        """Wait for convergence; note an obstacle when it does not come, or when the load does not run meanwhile."""
        deadline = max(SETTLE_DEADLINE, 3 * self.window)
        start, since = load.read(self.state, self.agent), time.monotonic()
        settled = settle(self.call, self.topology, self.speaking(when), self.window, deadline)
        if not settled.stable:
            moving = "; ".join(settled.moving[:3]) or "BGP sessions still try to come up"
            self.trial.obstacles.append(f"{when}: no convergence within {deadline:g} s; last moved: {moving}")
        self.trial.environment.setdefault("settled_s", {})[when] = round(settled.seconds, 3)
        self._weigh(when, start, time.monotonic() - since, settled.routes)
        return settled

    def _weigh(self, when: str, start: load.Reading, seconds: float, now: routes.Routes) -> None:
        """Keep what load ran since a reading; measured while nothing else is, so that no probe stands for it."""
        rates = load.carried(self.state, start, load.read(self.state, self.agent))
        self.trial.carried[when] = rates
        missing = load.missing(self.state, rates, seconds, now)
        self.trial.obstacles += [f"{when}: {line}" for line in missing]

    def round(self, phase: str, before: Scene | None = None) -> Scene:
        """Measure one round."""
        self.tell(f"measuring {phase}")
        with self.trial.timed(phase):
            scene, measured = run_round(
                phase, self.change, self.topology, self.call, self.speaking(phase), before=before
            )
        self.trial.add(measured)
        self._follow(phase, scene, before)
        return scene

    def _follow(self, phase: str, scene: Scene, before: Scene | None) -> None:
        """Follow frames between all nodes through the switches; what arrived before the change must arrive after."""
        if scene.frames is None or before is None or before.frames is None or phase not in AFTER:
            return
        new = [f"{phase}: {line}" for line in scene.frames.new_faults(before.frames)]
        message = new[0] if new else f"{phase}: frames between all nodes arrive, none circles; by the flows as they are"
        outcome = Outcome.FAILED if new else Outcome.PASSED
        self.trial.notes.append(StaticFinding(check="switches", outcome=outcome, message=message))
        self.trial.broken += new

    def speaking(self, when: str) -> neighbours.Speakers:
        """Return who speaks which routing protocol: a change may start or end one."""
        edits = lines.of_change(self.change) if when in AFTER else ()
        return neighbours.speakers(self.state.topology, edits)


def _try_out(change: Change, state: MirroredState, trial: Trial, tell: Tell, fork: Fork) -> tuple[Outcome, str] | None:
    """Run the trial; None when the measurements are to decide."""
    name = f"validate-{secrets.token_hex(3)}"
    tell(f"forking the twin as {name}")
    try:
        with trial.timed("fork"):
            lab = fork(state, name)
    except (GuestFailed, NotReady, AgentError) as error:
        return Outcome.INCONCLUSIVE, f"the twin could not be forked: {error}"
    try:
        with _bench(change, state, lab, trial, tell) as bench:
            return _emulate(bench)
    except apply.Rejected as error:
        return Outcome.FAILED, str(error)
    except TestbedError as error:
        return Outcome.INCONCLUSIVE, f"the trial could not be carried out: {error}"
    finally:
        with trial.timed("down"):
            lab.down()


@contextmanager
def _bench(change: Change, state: MirroredState, lab: Any, trial: Trial, tell: Tell) -> Iterator[Bench]:
    with closing(Callers(lab.agent)) as call:
        agent = lab.agent()
        devices = apply.devices_of(change)
        adapters = {device: _adapter(agent, device) for device in devices}
        trial.environment.update(_environment(state, call(Hello()), lab))
        try:
            topology = lines.with_addresses(state.topology, lines.of_change(change))
            yield Bench(change, state, call, agent, adapters, trial, tell, topology, _window(change, state, call))
        finally:
            agent.close()


def _adapter(agent: Any, device: str) -> Adapter:
    return SwitchAdapter(agent) if device == SWITCHES else FrrAdapter(AgentTransport(agent, device))


def _window(change: Change, state: MirroredState, call: Callers) -> float:
    """Seconds without change that count as converged.

    Where a line can make a neighbour fall silent, longer than a silent neighbour is waited for.
    """
    if lines.keeps_adjacencies(lines.of_change(change)):
        return QUICK_WINDOW
    return max(QUICK_WINDOW, neighbours.patience(call, neighbours.speakers(state.topology)) + 1.0)


def _environment(state: MirroredState, agent: Welcome, lab: Any) -> dict[str, Any]:
    return {
        "fork": lab.name,
        "substrate": agent.substrate,
        "kernel": agent.kernel,
        "controller": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "twin": state.twin,
        "mirrored_at": state.measured,
        "routers": len(routes.routers(state.topology)),
        "links": len(state.topology.links),
        "load_scale": state.load_scale,
    }


def _emulate(bench: Bench) -> tuple[Outcome, str] | None:
    trial, state = bench.trial, bench.state
    trial.obstacles += [f"the fork is not the mirrored rack: {line}" for line in fidelity.mismatches(state, bench.call)]
    if not trial.obstacles:
        bench.settle("before")
    if trial.obstacles:
        return None  # what is measured in another network than the rack's proves nothing about the rack
    first = bench.round("before-1")
    before = bench.round("before-2", first)
    candidate = _candidate(bench)
    if all(not loaded.diff for loaded in candidate.loaded.values()):
        return Outcome.FAILED, "the change changes nothing: every device's configuration stays as it is"
    after = _apply(bench, candidate, "after-1")
    bench.round("after-1", first)
    scene = bench.round("after-2", first)
    _moving(trial, after, scene)
    _roll_back(bench, candidate, first.routes)
    _second_gap(bench)
    topology = bench.topology
    trial.environment["paths"] = fidelity.paths(bench.change, topology, before, scene)
    trial.notes += fidelity.disagreements(bench.change, topology, scene, trial.measured)
    return None


def _candidate(bench: Bench) -> apply.Candidate:
    bench.tell(f"loading the change on {', '.join(bench.adapters)}")
    candidate = apply.load(bench.change, bench.adapters, f"trial-{secrets.token_hex(4)}")
    bench.trial.devices = apply.records(candidate, {})
    configs = bench.state.running_configs
    for device, loaded in candidate.loaded.items():
        if configs.get(device) and frr_config.digest(frr_config.parse(configs[device])) != loaded.before_hash:
            bench.trial.obstacles.append(f"{device}'s configuration in the fork is not the mirrored one")
    return candidate


def _apply(bench: Bench, candidate: apply.Candidate, phase: str) -> Settled:
    """Commit under running streams, wait for convergence, keep the gaps."""
    bench.tell("applying the change")
    streams, gaps = _start_streams(bench, phase)
    try:
        with watching() as watch:
            with bench.trial.timed(f"commit {phase}"):
                hashes = apply.commit(candidate)
            bench.trial.devices = apply.records(candidate, hashes)
            with bench.trial.timed(f"converge {phase}"):
                settled = bench.settle(phase)
    finally:
        gaps |= {index: _gap(bench, phase, index, stream) for index, stream in streams.items()}
    bench.trial.add({i: tempered(bench.change.expect[i], one, watch.share) for i, one in gaps.items()})
    return settled


def _start_streams(bench: Bench, phase: str) -> tuple[dict[int, int], dict[int, Measured]]:
    """Return the streams by index of their expectation, and the record of those that would not start."""
    scene = Scene(phase, bench.topology, bench.call)
    streams: dict[int, int] = {}
    failed: dict[int, Measured] = {}
    for index, expectation in enumerate(bench.change.expect):
        if isinstance(expectation, ConvergenceGap):
            try:
                streams[index] = convergence.start(scene, expectation)
            except TestbedError as error:
                failed[index] = judge.failure(phase, error)
    if streams:
        time.sleep(STREAM_LEAD)  # the streams' own pace, not a wait for readiness
    return streams, failed


def _gap(bench: Bench, phase: str, index: int, stream: int) -> Measured:
    expectation = bench.change.expect[index]
    assert isinstance(expectation, ConvergenceGap)
    try:
        return convergence.measured(phase, expectation, convergence.stop(bench.call, stream))
    except TestbedError as error:
        return judge.failure(phase, error)


def _moving(trial: Trial, settled: Settled, after: Scene) -> None:
    """Routes that moved while the rounds were measured make the rounds worthless."""
    if moved := routes.difference(settled.routes, after.routes):
        trial.obstacles.append(f"routes moved between the rounds after the change: {moved[0]}")


def _roll_back(bench: Bench, candidate: apply.Candidate, baseline: routes.Routes) -> None:
    """Prove that what takes the change back does so: configuration by hash, routes by comparison."""
    bench.tell("proving the rollback")
    with bench.trial.timed("rollback"):
        wrong = apply.roll_back(candidate)
        settled = bench.settle("rollback")
    wrong += [f"after the rollback {line}" for line in routes.difference(baseline, settled.routes)[:3]]
    bench.trial.environment["rollback_proven"] = not wrong
    bench.trial.wrong += wrong


def _second_gap(bench: Bench) -> None:
    """A gap is about the event: to see it reproduce, the change goes in a second time."""
    if any(isinstance(expectation, ConvergenceGap) for expectation in bench.change.expect):
        candidate = _candidate(bench)
        _apply(bench, candidate, "after-2")
        bench.trial.wrong += apply.roll_back(candidate)


def _verdict(change: Change, state: MirroredState, trial: Trial, answer: tuple[Outcome, str] | None) -> Verdict:
    findings: tuple[Finding, ...] = ()
    if trial.measured:
        findings = tuple(judge.judge(e, trial.measured.get(i, ())) for i, e in enumerate(change.expect))
    outcome, reason = answer or _decide(findings, trial)
    return Verdict(
        change=change,
        outcome=outcome,
        reason=reason,
        static=tuple(trial.notes),
        findings=findings,
        devices=trial.devices,
        forecast=judge.forecast(findings),
        state_hash=state.state_hash,
        started=trial.started,
        finished=time.time(),
        environment={
            **trial.environment,
            "load": load.rows(state, trial.carried),
            "timings_s": trial.timings,
            "obstacles": trial.obstacles,
        },
    )


def _decide(findings: tuple[Finding, ...], trial: Trial) -> tuple[Outcome, str]:
    if trial.wrong and not trial.obstacles:
        return Outcome.FAILED, f"the rollback is not proven: {trial.wrong[0]}"
    if trial.broken and not trial.obstacles:
        return Outcome.FAILED, trial.broken[0]
    return judge.overall(findings, trial.obstacles)
