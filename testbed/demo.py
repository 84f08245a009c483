"""The whole loop on the metro rack: what `make demo` runs. Everything it reports it has measured."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.emulator.messages import GetLinks, Progress
from testbed.errors import TestbedError
from testbed.lab import Lab
from testbed.model.load import load_change
from testbed.model.verdict import Outcome, Verdict
from testbed.rack import RackHandle, bench, rack_down, rack_up, racks
from testbed.replay import api
from testbed.report import html
from testbed.report import json as reports
from testbed.twin import mirror as mirrors
from testbed.twin.discover import discover_rack, to_yaml
from testbed.twin.state import current_state
from testbed.twin.status import STATUS_FILE
from testbed.validate.run import validate

METRO = Path(__file__).parents[1] / "topologies" / "racks" / "metro"
RACK, TWIN = "demo", "demo-twin"
CARELESS, CAREFUL = "drain-agg1-careless", "drain-agg1"
CUT = "core1-agg1"
PROPOSER, APPROVER = "demo-proposer", "demo-approver"
URGENT_RTT = 2
"""Number of the expectation, in both changes, about the urgent slice's RTT."""

Tell = Callable[[Progress | str], None]


@dataclass(slots=True)
class Demo:
    """What has happened so far.

    Attributes:
        rows: step, what happened, seconds. failures: what should have happened and did not. summary: summary.json.
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
        self.rows.append([name, "; ".join(said), f"{time.monotonic() - begun:.1f}"])

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
    _discover(demo, rack)
    _mirror(demo, rack, undo)
    refused = _try(demo, CARELESS, Outcome.FAILED)
    _refuse(demo, refused, rack)
    passed = _try(demo, CAREFUL, Outcome.PASSED)
    replayed = _replay(demo, rack, passed) if passed.outcome is Outcome.PASSED else None
    _cut(demo)
    _mirror_metrics(demo)
    _audit(demo)
    _report(demo, passed, refused, replayed)


def _rack_up(demo: Demo, undo: ExitStack) -> RackHandle:
    with demo.step("rack up") as said:
        rack = rack_up(METRO / "rack.yaml", demo.tell, name=RACK, substrate=demo.substrate)
        undo.callback(rack_down, RACK)
        demo.summary["substrate"] = rack.lab().substrate
        said.append(f"{len(rack.inventory().devices)} FRR routers behind SSH, substrate {rack.lab().substrate}")
    return rack


def _discover(demo: Demo, rack: RackHandle) -> None:
    with demo.step("discover") as said:
        found = discover_rack(rack.inventory_path)
        (demo.output / "discovered.yaml").write_text(to_yaml(found.topology, found.notes), encoding="utf-8")
        said.append(f"{len(found.topology.nodes)} devices, {len(found.topology.links)} links, from what they say")


def _mirror(demo: Demo, rack: RackHandle, undo: ExitStack) -> None:
    with demo.step("twin in step") as said:
        undo.callback(_take_twin_down)
        state = mirrors.start(rack.inventory(), None, TWIN, base=rack.folder, progress=demo.tell)
        said.append(f"{len(state.links)} links mirrored every {state.period:g} s")


def _take_twin_down() -> None:
    """Stop the mirror if it was started, then take the twin down if it is there."""
    for lab in Lab.all():
        if lab.name == TWIN:
            if (lab.folder.path / STATUS_FILE).exists():
                mirrors.stop(TWIN, down=False)
            lab.down()


def _try(demo: Demo, name: str, expected: Outcome) -> Verdict:
    with demo.step(f"validate {name}") as said:
        state = current_state(TWIN)
        verdict = validate(load_change(METRO / "changes" / f"{name}.yaml"), state, demo.tell)
        said.append(f"{verdict.outcome.value}: {verdict.reason}")
    demo.expect(verdict.outcome is expected, f"{name} should be {expected.value}: {verdict.reason}")
    demo.summary["changes"].append({"name": name, "verdict": verdict.outcome.value, "replayed": False})
    page = demo.output / ("report" if expected is Outcome.PASSED else "refused")
    page.with_suffix(".json").write_text(reports.render(verdict), encoding="utf-8")
    page.with_suffix(".html").write_text(html.render(verdict, state.topology), encoding="utf-8")
    return verdict


def _refuse(demo: Demo, verdict: Verdict, rack: RackHandle) -> None:
    """The careless change must not even become a plan."""
    with demo.step(f"plan {CARELESS}") as said:
        try:
            api.plan_from_report(demo.output / "refused.json", rack.inventory_path, proposed_by=PROPOSER)
        except TestbedError as refusal:
            said.append(f"refused, nothing sent: {refusal}")
        else:
            demo.failures.append(f"{verdict.change.name} became a plan although it is {verdict.outcome.value}")


def _replay(demo: Demo, rack: RackHandle, verdict: Verdict) -> Any:
    plan_file = demo.output / "plan.json"
    with demo.step("plan, approve") as said:
        made = api.plan_from_report(
            demo.output / "report.json", rack.inventory_path, proposed_by=PROPOSER, output=plan_file
        )
        key = demo.output / "home" / "approver.key"
        api.enrol_new_key(APPROVER, key)
        api.approve_plan(plan_file, APPROVER, key)
        said.append(f"plan {made.id[:12]} for {', '.join(d.device for d in made.devices)}, approved by {APPROVER}")
    with demo.step("replay on the rack") as said:
        result = api.apply_plan(plan_file, rack.inventory_path, progress=demo.tell)
        said.append(f"{result.outcome}: {result.reason}")
    demo.expect(bool(result), f"{verdict.change.name} should be confirmed on the rack: {result.reason}")
    demo.summary["changes"][-1]["replayed"] = bool(result)
    measured = result.findings[URGENT_RTT].measured if result.findings else ()
    demo.summary["replay"] = {
        "predicted_rtt_ms": _ms(verdict.forecast.get(str(URGENT_RTT))),
        "measured_rtt_ms": _ms(measured[-1].value if measured else None),
    }
    return result


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
    while time.monotonic() < deadline:
        if not agent.call(GetLinks(names=(link,))).links[0].up:
            return time.monotonic()
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


def _report(demo: Demo, passed: Verdict, refused: Verdict, replayed: Any) -> None:
    extra = {
        "mirror": demo.summary["mirror"] | {"cut_seen_s": demo.summary.get("cut_seen_s")},
        "replay": demo.summary.get("replay", {}),
        "refused before": {refused.change.name: f"{refused.outcome.value}: {refused.reason}"},
    }
    page = html.render(passed, current_state(TWIN).topology, extra)
    (demo.output / "report.html").write_text(page, encoding="utf-8")
