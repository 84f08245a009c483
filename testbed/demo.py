"""The whole loop on the metro rack: what `make demo` runs. Everything it reports it has measured."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from adapters.base import Facts
from adapters.inventory import close_all
from testbed.emulator.messages import GetLinks
from testbed.errors import TestbedError
from testbed.lab import Lab
from testbed.model.change import RoundTrip
from testbed.model.load import load_change
from testbed.model.topology import Topology
from testbed.model.verdict import Outcome, Verdict
from testbed.rack import RackHandle, bench, rack_down, rack_up, racks
from testbed.replay import api
from testbed.report import html
from testbed.report import json as reports
from testbed.twin import mirror as mirrors
from testbed.twin.discover import infer, survey, to_yaml
from testbed.twin.state import current_state
from testbed.twin.status import STATUS_FILE
from testbed.validate.run import validate_all

METRO = Path(__file__).parents[1] / "topologies" / "racks" / "metro"
RACK, TWIN = "demo", "demo-twin"
CARELESS, CAREFUL = "drain-agg1-careless", "drain-agg1"
EXPECTED = {CARELESS: (Outcome.FAILED, "refused"), CAREFUL: (Outcome.PASSED, "report")}
"""What each change must come out as, and the name of its pages."""
_TRIES = 3
"""How often what was left open is judged."""

CUT = "core1-agg1"
PROPOSER, APPROVER = "demo-proposer", "demo-approver"
REVERT_AFTER = 300.0
"""Seconds. All routers share one emulated processor, which a busy machine may make several times slower meanwhile."""
URGENT_RTT = 2
"""Number of the expectation, in both changes, about the urgent slice's RTT."""

Tell = Callable[[object], None]


@dataclass(slots=True)
class Demo:
    """What has happened so far.

    Attributes:
        rows: seconds, step, what happened. failures: what should have happened and did not. summary: summary.json.
    """

    output: Path
    tell: Tell
    substrate: str
    rows: list[list[str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=lambda: {"changes": []})
    started: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step; what it appends is its line in the closing table."""
        said: list[str] = []
        begun = time.monotonic()
        self.tell(name)
        yield said
        self.rows.append([f"{time.monotonic() - begun:.1f}", name, "; ".join(said)])

    def expect(self, holds: bool, what: str) -> None:
        """Note a failure unless it holds."""
        if not holds:
            self.failures.append(what)


def run(output: Path, tell: Tell, substrate: str = "auto") -> Demo:
    """Run the loop once.

    Args:
        output: folder for report.html, refused.html and summary.json; its `home` holds labs, journal, keys and audit
            log of the demo, apart from the user's own.
        tell: is told what is under way. substrate: `auto`, `native` or `uml`.

    Returns:
        What happened; `failures` is empty only if all of it did.
    """
    output.mkdir(parents=True, exist_ok=True)
    os.environ["TESTBED_HOME"] = str((output / "home").absolute())
    demo = Demo(output, tell, substrate)
    _sweep()
    try:
        with ExitStack() as undo:
            _loop(demo, undo)
    except TestbedError as error:
        demo.failures.append(str(error))
    demo.summary["wall_s"] = round(time.monotonic() - demo.started, 1)
    (output / "summary.json").write_text(json.dumps(demo.summary, indent=2) + "\n", encoding="utf-8")
    return demo


def _sweep() -> None:
    """Take away what a demo that was killed has left."""
    for lab in Lab.all():
        if lab.kind != "rack":
            lab.down()
    for rack in racks():
        rack_down(rack.name)


def _loop(demo: Demo, undo: ExitStack) -> None:
    rack = _rack_up(demo, undo)
    facts = _discover(demo, rack)
    _mirror(demo, rack, facts, undo)
    refused, passed = _validate(demo)
    _refuse(demo, refused, rack)
    if passed.outcome is Outcome.PASSED:
        _replay(demo, rack, passed)
    _cut(demo)
    _mirror_metrics(demo)
    _audit(demo)
    _report(demo, passed, refused)


def _rack_up(demo: Demo, undo: ExitStack) -> RackHandle:
    with demo.step("rack up") as said:
        rack = rack_up(METRO / "rack.yaml", demo.tell, name=RACK, substrate=demo.substrate, keep_sessions=True)
        undo.callback(rack_down, RACK)
        undo.callback(close_all, rack.sessions or {})
        demo.summary["substrate"] = rack.lab().substrate
        said.append(f"{len(rack.inventory().devices)} FRR routers behind SSH, substrate {rack.lab().substrate}")
    return rack


def _discover(demo: Demo, rack: RackHandle) -> Mapping[str, Facts]:
    with demo.step("discover") as said:
        facts = survey(rack.sessions or {})
        found = infer(facts, rack.inventory())
        (demo.output / "discovered.yaml").write_text(to_yaml(found.topology, found.notes), encoding="utf-8")
        said.append(f"{len(found.topology.nodes)} devices, {len(found.topology.links)} links, from what they say")
    return facts


def _mirror(demo: Demo, rack: RackHandle, facts: Mapping[str, Facts], undo: ExitStack) -> None:
    with demo.step("twin in step") as said:
        undo.callback(_take_twin_down)
        state = mirrors.start(rack.inventory(), None, TWIN, base=rack.folder, facts=facts, progress=demo.tell)
        said.append(f"{len(state.links)} links mirrored every {state.period:g} s")


def _take_twin_down() -> None:
    """Stop the mirror if it was started, then take the twin down if it is there."""
    for lab in Lab.all():
        if lab.name == TWIN:
            if (lab.folder.path / STATUS_FILE).exists():
                mirrors.stop(TWIN, down=False)
            lab.down()


def _validate(demo: Demo) -> list[Verdict]:
    """Judge both changes from the same mirrored state; what a busy machine left open is measured anew."""
    state = current_state(TWIN)
    changes = {name: load_change(METRO / "changes" / f"{name}.yaml") for name in EXPECTED}
    judged = validate_all(list(changes.values()), state, demo.tell)
    verdicts = {name: _judged(demo, f"validate {name}", judged) for name in EXPECTED}
    next(judged, None)  # it ends, and takes its fork down
    for name in EXPECTED:
        for number in range(2, 1 + _TRIES):
            if verdicts[name].outcome is not Outcome.INCONCLUSIVE:
                break
            again = validate_all([changes[name]], current_state(TWIN), demo.tell)
            verdicts[name] = _judged(demo, f"validate {name}, try {number}", again)
            next(again, None)
    return [_kept(demo, name, verdict, state.topology) for name, verdict in verdicts.items()]


def _judged(demo: Demo, step: str, judged: Iterator[Verdict]) -> Verdict:
    with demo.step(step) as said:
        verdict = next(judged)
        said.append(f"{verdict.outcome.value}: {verdict.reason}")
    return verdict


def _kept(demo: Demo, name: str, verdict: Verdict, topology: Topology) -> Verdict:
    expected, page = EXPECTED[name]
    demo.expect(verdict.outcome is expected, f"{name} should be {expected.value}: {verdict.reason}")
    demo.summary["changes"].append({"name": name, "verdict": verdict.outcome.value, "replayed": False})
    (demo.output / f"{page}.json").write_text(reports.render(verdict), encoding="utf-8")
    (demo.output / f"{page}.html").write_text(html.render(verdict, topology), encoding="utf-8")
    return verdict


def _refuse(demo: Demo, verdict: Verdict, rack: RackHandle) -> None:
    """The careless change must not even become a plan."""
    with demo.step(f"plan {CARELESS}") as said:
        try:
            report = demo.output / "refused.json"
            api.plan_from_report(report, rack.inventory_path, proposed_by=PROPOSER, opened=rack.sessions)
        except TestbedError as refusal:
            said.append(f"refused, nothing sent: {refusal}")
        else:
            demo.failures.append(f"{verdict.change.name} became a plan although it is {verdict.outcome.value}")


def _replay(demo: Demo, rack: RackHandle, verdict: Verdict) -> None:
    plan_file = demo.output / "plan.json"
    with demo.step("plan, approve") as said:
        made = api.plan_from_report(
            demo.output / "report.json",
            rack.inventory_path,
            proposed_by=PROPOSER,
            revert_after=REVERT_AFTER,
            output=plan_file,
            opened=rack.sessions,
        )
        key = demo.output / "home" / "approver.key"
        api.enrol_new_key(APPROVER, key)
        api.approve_plan(plan_file, APPROVER, key)
        said.append(f"plan {made.id[:12]} for {', '.join(d.device for d in made.devices)}, approved by {APPROVER}")
    with demo.step("replay on the rack") as said:
        result = api.apply_plan(plan_file, rack.inventory_path, demo.tell, opened=rack.sessions)
        said.append(f"{result.outcome}: {result.reason}")
    demo.expect(bool(result), f"{verdict.change.name} should be confirmed on the rack: {result.reason}")
    demo.summary["changes"][-1]["replayed"] = bool(result)
    urgent = verdict.change.expect[URGENT_RTT]
    measured = next((finding.measured for finding in result.findings if finding.expectation == urgent), ())
    demo.summary["replay"] = {
        "predicted_rtt_ms": _ms(verdict.forecast.get(str(URGENT_RTT))),
        "measured_rtt_ms": _ms(measured[-1].value if measured else None),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 3)


def _cut(demo: Demo) -> None:
    """Pull a cable at the rack's bench, and wait until the twin's own kernel has that wire cut."""
    with demo.step(f"cut {CUT} on the rack") as said, Lab.open(TWIN).agent() as agent:
        link = _twin_name(CUT)
        bench(RACK, "cut", CUT)
        cut = time.monotonic()
        seen = _wait_cut(agent, link, deadline=cut + 10.0)
        demo.summary["cut_seen_s"] = None if seen is None else round(seen - cut, 3)
        said.append("not seen in the twin" if seen is None else f"seen in the twin after {seen - cut:.2f} s")
    demo.expect(seen is not None, f"the cut of {CUT} should be seen in the twin within 10 s")


def _twin_name(link: str) -> str:
    """The discovered topology names links after its own order of devices."""
    one, other = link.split("-")
    return link if link in Lab.open(TWIN).topology.links else f"{other}-{one}"


def _wait_cut(agent: Any, link: str, deadline: float) -> float | None:
    pause = Event()  # between two looks at the twin's kernel, so that looking does not take the time it measures
    while time.monotonic() < deadline:
        if not agent.call(GetLinks(names=(link,))).links[0].up:
            return time.monotonic()
        pause.wait(0.02)
    return None


def _mirror_metrics(demo: Demo) -> None:
    state = mirrors.status(TWIN)
    error = state.rtt_error_ms
    demo.summary["mirror"] = {
        "aoi_p95_s": round(state.aoi.p95, 3) if state.aoi else None,
        "alignment": round(state.alignment, 4),
        "rtt_error_ms_p95": round(error.p95, 3) if error else None,
    }
    demo.expect(state.aoi is not None and error is not None, "the mirror should have published its age and RTT error")


def _audit(demo: Demo) -> None:
    with demo.step("audit") as said:
        found = api.audit_verify()
        demo.summary["audit_ok"] = found.ok
        said.append(f"{found.size} entries, {'all as they were written' if found.ok else 'BROKEN'}")
    demo.expect(found.ok, f"the audit log should verify: {'; '.join(found.problems)}")


def _report(demo: Demo, passed: Verdict, refused: Verdict) -> None:
    """Write the page of the change that passed anew, with what has been measured since."""
    measured, replay = demo.summary["mirror"], demo.summary.get("replay", {})
    urgent = passed.change.expect[URGENT_RTT]
    assert isinstance(urgent, RoundTrip)
    judged = f"RTT p{urgent.percentile:g}"
    extra = {
        "mirror": {
            "age of information, 95th percentile": f"{measured['aoi_p95_s']} s",
            "updates in time, of those planned": f"{measured['alignment']:.1%}",
            "RTT of the twin against the rack's, 95th percentile of the error": f"{measured['rtt_error_ms_p95']} ms",
            f"cut of {CUT} on the rack seen in the twin after": f"{demo.summary['cut_seen_s']} s",
        },
        "replay": {
            f"{judged} foretold by the twin": f"{replay.get('predicted_rtt_ms')} ms",
            f"{judged} measured on the rack": f"{replay.get('measured_rtt_ms')} ms",
        },
        "Refused before": {refused.change.name: f"{refused.outcome.value}: {refused.reason}"},
    }
    page = html.render(passed, current_state(TWIN).topology, extra)
    (demo.output / "report.html").write_text(page, encoding="utf-8")
