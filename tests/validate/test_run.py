"""Whole trials in a guest: a change is refused with evidence, passed, found not to reproduce, or rejected."""

from __future__ import annotations

import pytest

from adapters.frr import FrrAdapter
from testbed.emulator.messages import LinkChange, LinkPatch, SetLoad
from testbed.errors import BadInput, NotReady, Unable
from testbed.model.change import (
    Adjacency,
    Change,
    ConfigurationStep,
    ConvergenceGap,
    InterfaceStep,
    Loss,
    NothingElse,
    PathIs,
    Reachable,
    RoundTrip,
    Throughput,
)
from testbed.model.verdict import Outcome
from testbed.report.html import render
from testbed.twin.load import load_flow
from testbed.twin.state import MirroredFlow, MirroredState
from testbed.twin.transport import AgentTransport
from testbed.validate.run import validate, validate_all
from tests.validate.guests import attempted, mirrored
from tests.validate.square import R1, R2, R3, R4, SPARE, build, loopback, state

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]

FAST = PathIs(kind="path", source=R1, destination=R3, via=(R2,))
SLOW = PathIs(kind="path", source=R1, destination=R3, via=(R4,))
REACHABLE = Reachable(kind="reachable", source=R1, destination=R3)
# A low percentile and a generous bound, against a busy machine; the other way is far off: 8 ms by r2, 40 ms by r4.
QUICK = RoundTrip(kind="rtt", source=R1, destination=R3, percentile=25, below=0.030)
NOTHING_ELSE = NothingElse(kind="nothing-else-changed")
TO_THE_SLOW_WAY = tuple(InterfaceStep(device=name, interface="eth1", cost=200) for name in (R1, R3))


@pytest.fixture(scope="module")
def square(guest_lab):
    return mirrored(guest_lab, build(), state())


@pytest.fixture
def attempt(guest_lab, square):
    """Validate a change of the given steps and expectations."""

    def run(*steps, expect, progress=None, mirrored=square, tries=1):
        return attempted(
            guest_lab, mirrored, Change(name="a-change", steps=steps, expect=expect), progress, tries=tries
        )

    return run


def test_a_change_to_the_slow_way_fails_with_the_packets_that_prove_it(attempt, square):
    verdict = attempt(*TO_THE_SLOW_WAY, expect=(FAST, QUICK, REACHABLE, NOTHING_ELSE), tries=3)
    assert verdict.outcome is Outcome.FAILED, verdict.reason
    wanted = [Outcome.FAILED, Outcome.FAILED, Outcome.PASSED, Outcome.FAILED]
    assert [finding.outcome for finding in verdict.findings] == wanted, [f.reason for f in verdict.findings]
    path, rtt, _, routes = verdict.findings
    assert [one.proof[0] for one in path.measured] == [f"{R1} > {R2} > {R3}"] * 2 + [f"{R1} > {R4} > {R3}"] * 2
    assert [one.value > 0.040 for one in rtt.measured] == [False, False, True, True]
    assert all(one.low <= one.value <= one.high and len(one.samples) >= 100 for one in rtt.measured)
    assert any(f"{R1}: {loopback(R3)}/32 via" in line for line in routes.measured[-1].proof)
    assert verdict.forecast["1"] > 0.040
    assert verdict.environment["rollback_proven"] is True
    assert {device.device for device in verdict.devices} == {R1, R3}
    assert all(device.before_hash != device.after_hash for device in verdict.devices)
    assert "+ ip ospf cost 200" in verdict.devices[0].diff
    assert verdict.environment["paths"][0]["after"]["links"] == ["val-41", "val-34"]
    assert any(finding.check == "prediction" for finding in verdict.static)
    assert f"{R1} → {R4} → {R3}" in render(verdict, square.topology)


def test_a_good_change_passes_every_kind_of_expectation(attempt):
    expect = (
        SLOW,
        RoundTrip(kind="rtt", source=R1, destination=R3, percentile=25, below=0.080),
        Loss(kind="loss", source=R1, destination=R3, below=0.05),
        Throughput(kind="throughput", source=R1, destination=R3, above=2e6),
        ConvergenceGap(kind="convergence", source=R1, destination=loopback(R3), below=5.0),
        Adjacency(kind="adjacency", device=R1, neighbour=R2),
        Reachable(kind="reachable", source=R2, destination=SPARE, reachable=False),
        NothingElse(kind="nothing-else-changed", except_prefixes=("10.254.0.0/24", "10.253.0.0/16")),
    )
    withdrawn = ConfigurationStep(device=R4, configuration=f"interface lo\n no ip address {SPARE}/32\nexit\n")
    verdict = attempt(*TO_THE_SLOW_WAY, withdrawn, expect=expect, tries=3)
    assert verdict.outcome is Outcome.PASSED, [(f.expectation.kind, f.reason) for f in verdict.findings]
    was = f"{R1} > {R2} > {R3}, does not pass {R4}"
    assert verdict.findings[0].reason == f"holds: {R1} > {R4} > {R3}; before the change it did not hold: {was}"
    assert [one.phase for one in verdict.findings[4].measured] == ["after-1", "after-2"]
    assert set(verdict.forecast) == {"1", "2", "3", "4", "6", "7"}


LOAD = (
    MirroredFlow(source=R1, sink=R2, destination="10.253.1.2", rate=2e6, size=1000),
    MirroredFlow(source=R3, sink=R4, destination="10.253.3.2", rate=1e6, size=500),
)


@pytest.fixture
def loaded(guest_lab, square):
    """The square under load, in the state and in the guest, as a fork would have it."""
    with guest_lab.agent() as agent:
        agent.call(SetLoad(flows=tuple(map(load_flow, LOAD))))
        yield square.model_copy(update={"load": LOAD})
        agent.call(SetLoad())


@pytest.mark.alone
def test_a_trial_runs_under_the_mirrored_load_and_says_what_ran(attempt, loaded):
    verdict = attempt(*TO_THE_SLOW_WAY, expect=(SLOW, REACHABLE), mirrored=loaded, tries=3)
    assert verdict.outcome is Outcome.PASSED, verdict.reason
    rows = verdict.environment["load"]
    assert [(row["from"], row["to"], row["mirrored_mbit_s"]) for row in rows] == [(R1, R2, 2.0), (R3, R4, 1.0)]
    for when in ("before", "after-1", "rollback"):
        assert [row[f"{when}_mbit_s"] for row in rows] == pytest.approx([2.0, 1.0], rel=0.2)
    assert "2 flows, 3Mbit/s in all" in render(verdict, loaded.topology)


def test_a_load_that_does_not_run_proves_nothing(attempt, square):
    verdict = attempt(*TO_THE_SLOW_WAY, expect=(SLOW,), mirrored=square.model_copy(update={"load": LOAD}))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert f"before: the mirrored load from {R1} to {R2} did not run: " in verdict.reason


def test_what_does_not_reproduce_is_inconclusive_though_every_round_holds(attempt, guest_lab):
    def slower(seconds):
        with guest_lab.agent() as agent:
            agent.set_links(LinkChange(link="val-12", end=end, patch=LinkPatch(delay=seconds)) for end in (0, 1))

    def disturb(text):
        if text == "measuring after-2":
            slower(0.040)
        if text == "proving the rollback":
            slower(0.002)

    patient = RoundTrip(kind="rtt", source=R1, destination=R3, percentile=25, below=0.5)
    described = InterfaceStep(device=R1, interface="eth1", description="to r2")
    verdict = attempt(described, expect=(patient,), progress=disturb)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "did not reproduce" in verdict.reason
    assert all(one.holds for one in verdict.findings[0].measured)


def test_a_line_the_device_rejects_fails_with_its_words_and_leaves_nothing(attempt, square, guest_lab):
    step = ConfigurationStep(device=R1, configuration="router ospf\n no-such-word here\nexit\n")
    verdict = attempt(step, expect=(REACHABLE,))
    assert verdict.outcome is Outcome.FAILED
    assert f"{R1} rejects the change" in verdict.reason
    assert "no-such-word" in verdict.reason
    with guest_lab.agent() as agent:
        assert FrrAdapter(AgentTransport(agent, R1)).running_config() == square.running_configs[R1]


def test_a_fork_that_is_not_the_mirrored_rack_proves_nothing(attempt, square):
    links = dict(square.topology.links)
    lossy = links["val-34"].forward.model_copy(update={"loss": 0.2})
    links["val-34"] = links["val-34"].model_copy(update={"forward": lossy})
    other = square.model_copy(update={"topology": square.topology.model_copy(update={"links": links})})
    verdict = attempt(TO_THE_SLOW_WAY[0], expect=(REACHABLE,), mirrored=other)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "val-34 forward: loss is 0 in the fork, 0.2 in the mirror" in verdict.reason


def never(state, name):
    raise AssertionError("forked")


def test_what_is_refused_statically_forks_nothing():
    far = InterfaceStep(device=R1, interface="mgmt", enabled=False)
    verdict = validate(Change(name="a-change", steps=(far,), expect=(REACHABLE,)), state(), fork=never)
    assert verdict.outcome is Outcome.FAILED
    assert "touches the management interface" in verdict.reason


def test_what_the_twin_has_not_is_bad_input_before_the_first_of_several_changes_is_tried():
    sound = Change(name="a-change", steps=TO_THE_SLOW_WAY[:1], expect=(REACHABLE,))
    wrong = Change(name="b-change", steps=(InterfaceStep(device=R1, interface="eth9", cost=5),), expect=(REACHABLE,))
    with pytest.raises(BadInput, match=r"steps\[0\]\.interface: value 'eth9': expected an interface of val-r1"):
        list(validate_all([sound, wrong], state(), fork=never))
    with pytest.raises(BadInput):
        validate(wrong, state(), fork=never)


def test_a_fork_that_does_not_come_up_is_inconclusive_and_a_machine_that_cannot_is_an_error():
    change = Change(name="a-change", steps=TO_THE_SLOW_WAY[:1], expect=(REACHABLE,))

    def late(state: MirroredState, name: str):
        raise NotReady("val-r1: OSPF neighbour missing")

    verdict = validate(change, state(), fork=late)
    assert (verdict.outcome, verdict.findings) == (Outcome.INCONCLUSIVE, ())
    assert "OSPF neighbour missing" in verdict.reason

    def unable(state: MirroredState, name: str):
        raise Unable("no kernel")

    with pytest.raises(Unable):
        validate(change, state(), fork=unable)
