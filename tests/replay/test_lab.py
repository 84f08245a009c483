"""Changes of a running lab's switches: tried, planned, approved, carried out, taken back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.emulator.segments import ReadSwitches, Steer
from testbed.errors import BadInput, Refused
from testbed.lab import Lab
from testbed.model.change import Change, Expectation, PathIs, PinnedPair, Reachable, SwitchStep
from testbed.model.load import Written
from testbed.model.verdict import Outcome, Verdict
from testbed.replay import api
from testbed.replay.target import LabTarget
from testbed.report import json as reports
from testbed.validate import references
from testbed.validate.of_lab import state_of
from testbed.validate.run import validate
from tests.emulator.segments import network
from tests.validate.guests import Shared

HERE = Reachable(kind="reachable", source="h1", destination="h2")
ANOTHER_WAY = PathIs(kind="path", source="h1", destination="h2", via=("s3",), avoid_links=("s1-s2",))
DRAIN = SwitchStep(drain=("s1-s2",))


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A ring of three switches on this kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTBED_HOME", str(tmp_path_factory.mktemp("home")))
        cables = [("s1", "s2"), ("s2", "s3"), ("s3", "s1")]
        segments = {name: {"kind": "switch"} for name in ("s1", "s2", "s3")}
        with Lab.up(network(segments, cables, {"h1": "s1", "h2": "s2"}), substrate="native", name="ring") as up:
            yield up


@pytest.fixture(autouse=True)
def undrained(lab):
    yield
    with lab.agent() as agent:
        agent.call(Steer(restore=("s1-s2",), unpin=(("h1", "h2"),)))


def change(*expect: Expectation, step: SwitchStep = DRAIN) -> Change:
    return Change(name="leave-a-link", steps=(step,), expect=expect)


def tried(lab: Lab, it: Change) -> Verdict:
    return validate(it, state_of(lab.name), fork=lambda state, name: Shared(lab))


def drained(lab: Lab) -> tuple[str, ...]:
    with lab.agent() as agent:
        return agent.call(ReadSwitches()).policy.drained


def approved(verdict: Verdict, lab: Lab, folder: Path) -> Path:
    (folder / "report.json").write_text(reports.render(verdict))
    plan, key = folder / "plan.json", folder / "bob.key"
    api.plan_from_report(folder / "report.json", LabTarget(lab.name), proposed_by="alice", output=plan)
    api.enrol_new_key("bob", key)
    api.approve_plan(plan, "bob", key)
    return plan


def test_a_drain_passes_in_the_twin_and_is_confirmed_on_the_lab_once(lab, tmp_path):
    verdict = tried(lab, change(HERE, ANOTHER_WAY))
    assert verdict.outcome is Outcome.PASSED, verdict.reason
    assert verdict.devices[0].lines == "drain s1-s2\n"
    assert verdict.devices[0].rollback == "restore s1-s2\n"
    assert drained(lab) == ()
    assert "none circles" in " ".join(note.message for note in verdict.static if note.outcome is Outcome.PASSED)
    plan = approved(verdict, lab, tmp_path)
    result = api.apply_plan(plan, LabTarget(lab.name))
    assert result.outcome == "confirmed", result.reason
    assert drained(lab) == ("s1-s2",)
    with pytest.raises(Refused, match="was used already"):
        api.apply_plan(plan, LabTarget(lab.name))


def test_a_controller_that_dies_after_commit_leaves_it_to_recover(lab, tmp_path):
    plan = approved(tried(lab, change(HERE)), lab, tmp_path)
    command = [sys.executable, "-m", "testbed", "apply", str(plan), "--lab", lab.name]
    killed = subprocess.run(command, env={**os.environ, "TESTBED_KILL_AT": "journal:6:before"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert drained(lab) == ("s1-s2",)
    with lab.agent() as agent, pytest.raises(Refused, match="neither confirmed nor rolled back"):
        agent.call(Steer(drain=("s2-s3",)))
    (result,) = api.recover(LabTarget(lab.name))
    assert (result.outcome, dict(result.devices)) == ("rolled-back", {"switches": "old"})
    assert drained(lab) == ()


def test_a_lab_that_has_changed_since_is_stale(lab, tmp_path):
    plan = approved(tried(lab, change(HERE)), lab, tmp_path)
    with lab.agent() as agent:
        agent.call(Steer(drain=("s2-s3",)))
    try:
        with pytest.raises(Refused, match="stale: the configuration of switches"):
            api.apply_plan(plan, LabTarget(lab.name))
    finally:
        with lab.agent() as agent:
            agent.call(Steer(restore=("s2-s3",)))


def test_a_pin_over_the_link_that_is_to_be_left_fails(lab):
    pin = SwitchStep(pin=PinnedPair(source="h1", destination="h2", links=("s1-s2",)))
    verdict = tried(lab, change(HERE, ANOTHER_WAY, step=pin))
    assert verdict.outcome is Outcome.FAILED
    assert "uses link s1-s2" in verdict.reason


def test_a_step_that_is_in_force_already_changes_nothing(lab):
    verdict = tried(lab, change(HERE, step=SwitchStep(restore=("s1-s2",))))
    assert verdict.outcome is Outcome.FAILED
    assert "the change changes nothing" in verdict.reason


def test_names_and_paths_that_are_not_there_are_told_before_anything_starts(lab):
    steps = (
        SwitchStep(drain=("s1-s9",)),
        SwitchStep(pin=PinnedPair(source="h1", destination="h9", links=("s1-s2",))),
        SwitchStep(pin=PinnedPair(source="h1", destination="h2", links=("s3-s1",))),
    )
    with pytest.raises(BadInput) as told:
        references.require([Written(Change(name="wrong", steps=steps, expect=(HERE,)))], lab.topology)
    assert "steps[0].drain[0]: value 's1-s9': expected a link between switches" in str(told.value)
    assert "steps[1].pin.destination: value 'h9': expected a node on the switches" in str(told.value)
    assert "its links end at s3, not at s2" in str(told.value)
