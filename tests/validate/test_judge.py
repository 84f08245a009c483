import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.model.change import Adjacency, ConvergenceGap, Loss, NothingElse, PathIs, Reachable, RoundTrip, Throughput
from testbed.model.verdict import Measured, Outcome
from testbed.validate import busy, judge
from testbed.validate.expectations import KINDS, find, loss, reachable, rtt, throughput

PHASES = ("before-1", "before-2", "after-1", "after-2")
FLOW: dict[str, Any] = {"source": "r1", "destination": "r3"}
EXPECTATIONS = [
    Reachable(kind="reachable", **FLOW),
    PathIs(kind="path", **FLOW, via=("r2",)),
    RoundTrip(kind="rtt", **FLOW, below=0.01),
    Loss(kind="loss", **FLOW, below=0.01),
    Throughput(kind="throughput", **FLOW, above=1e6),
    Adjacency(kind="adjacency", device="r1", neighbour="r2"),
    ConvergenceGap(kind="convergence", **FLOW, below=0.1),
    NothingElse(kind="nothing-else-changed"),
]

answers = st.sampled_from([True, False, None])
times = st.floats(1e-5, 1.0)


def rounds(*holds: bool | None, value: float | None = None, proof: str = "r1 > r2 > r3") -> list[Measured]:
    values: dict[str, Any] = {"value": value, "low": value, "high": value}
    return [Measured(phase=p, holds=h, proof=(proof,), **values) for p, h in zip(PHASES, holds, strict=True)]


def test_every_kind_of_the_model_is_measured_and_no_other():
    assert set(KINDS) == {e.kind for e in EXPECTATIONS}
    with pytest.raises(BadInput, match="did you mean 'reachable'"):
        find("reachabel")


@pytest.mark.parametrize("expectation", EXPECTATIONS, ids=lambda e: e.kind)
def test_it_passes_only_when_both_rounds_after_the_change_hold(expectation):
    assert judge.judge(expectation, rounds(True, True, True, True, value=0.0)).outcome is Outcome.PASSED
    assert judge.judge(expectation, rounds(True, True, False, False, value=0.0)).outcome is Outcome.FAILED
    for mixed in ((True, False), (False, True), (None, True), (True, None), (None, None)):
        assert judge.judge(expectation, rounds(True, True, *mixed, value=0.0)).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("expectation", EXPECTATIONS, ids=lambda e: e.kind)
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_round_that_is_missing_or_failed_is_never_a_pass(expectation, data):
    lost = data.draw(st.sampled_from(find(expectation.kind).phases))
    measured = [one for one in rounds(True, True, True, True, value=0.0) if one.phase != lost]
    assert judge.judge(expectation, measured).outcome is Outcome.INCONCLUSIVE
    failed = [*measured, judge.failure(lost, OSError("the probe died"))]
    finding = judge.judge(expectation, failed)
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "the probe died" in finding.reason


@settings(deadline=None, max_examples=40)
@given(st.lists(answers, min_size=4, max_size=4), st.lists(times, min_size=4, max_size=4))
def test_no_pass_without_two_rounds_that_show_it(holds, values):
    measured = [Measured(phase=p, holds=h, value=v) for p, h, v in zip(PHASES, holds, values, strict=True)]
    finding = judge.judge(EXPECTATIONS[2], measured)
    assert finding.outcome is not Outcome.PASSED or holds[2:] == [True, True]


def measured(expectation, *four):
    """Return rounds of (holds, value, low, high, proof), cut to the phases the expectation has."""
    named = zip(PHASES, four, strict=True)
    made = [Measured(phase=p, holds=h, value=v, low=lo, high=hi, proof=proof) for p, (h, v, lo, hi, proof) in named]
    return [one for one in made if one.phase in find(expectation.kind).phases]


def numbers(holds, value, half, *proof):
    return holds, value, value - half, value + half, proof


def words(holds, *proof, value=None):
    return holds, value, None, None, proof


REACH, PATH, RTT, LOSS, TCP, NEIGHBOUR, GAP, NOTHING = EXPECTATIONS
GOOD, BAD = numbers(True, 0.002, 1e-4, "200 of 200"), numbers(False, 0.0148, 2e-4, "200 of 200")
DIRECT, LONG = words(True, "r1 > r2 > r3", "links a, b"), words(False, "r1 > r4 > r3", "does not pass r2", "links c, d")
UP, DOWN = words(True, "r2 is Full (10.0.0.2 on eth1)"), words(False, "r1's OSPF lists no r2; it lists none")
ALIVE, DEAD = words(True, "10 of 10 answered", value=1.0), words(False, "0 of 10 answered", value=0.0)
SAME = words(True, "0 changed beyond what may; compared: 9 routes", value=0.0)
MOVED = words(False, "2 changed", "r1: 10.0.0.0/30 via a%b -> no route", "r2: other", value=2.0)
BLIND = words(None, "could not be measured: the probe died")
EQUAL = words(None, "r1 > r2 > r3", "an equal-cost route leads other flows past r2", "links a, b")


@pytest.mark.parametrize(
    ("expectation", "four", "reason"),
    [
        (RTT, (GOOD,) * 4, "holds: 2 ms (1.9 ms to 2.1 ms), wanted < 10 ms; before the change it held"),
        (
            RTT,
            (BAD,) * 4,
            "does not hold: after the change 14.8 ms (14.6 ms to 15 ms), wanted < 10 ms; "
            "before the change it did not hold either",
        ),
        (
            LOSS,
            (numbers(True, 0.001, 5e-4),) * 4,
            "holds: 0.1 % (0.05 % to 0.15 %), wanted < 1 %; before the change it held",
        ),
        (
            TCP,
            (numbers(False, 5e5, 1e4),) * 4,
            "does not hold: after the change 500kbit/s (490kbit/s to 510kbit/s), wanted ≥ 1Mbit/s; "
            "before the change it did not hold either",
        ),
        (NOTHING, (SAME,) * 4, "holds: 0 changed beyond what may; compared: 9 routes"),
        (
            RTT,
            (GOOD, GOOD, BAD, BAD),
            "does not hold: after the change 14.8 ms (14.6 ms to 15 ms), wanted < 10 ms; before the change it "
            "held: 2 ms (1.9 ms to 2.1 ms)",
        ),
        (
            RTT,
            (GOOD, GOOD, GOOD, numbers(True, 0.0085, 1e-4)),
            "did not reproduce: it held in after-1 (2 ms (1.9 ms to 2.1 ms)), it held in after-2 (8.5 ms (8.4 ms "
            "to 8.6 ms)); further apart than their confidence intervals allow",
        ),
        (
            RTT,
            (GOOD, GOOD, *[numbers(None, 0.0099, 3e-4)] * 2),
            "undecided in after-1: 9.9 ms, but the bound, < 10 ms, is inside its interval, 9.6 ms to 10.2 ms",
        ),
        (
            RTT,
            (GOOD, GOOD, *[words(None, "180 of 200 came back")] * 2),
            "undecided in after-1: so many packets were lost that p95 has no end: 180 of 200 came back",
        ),
        (
            RTT,
            (GOOD, GOOD, BLIND, GOOD),
            "could not be measured: the probe died (in after-1)",
        ),
        (
            GAP,
            (GOOD, GOOD, numbers(False, 0.3, 0), numbers(False, 0.4, 0)),
            "does not hold: after the change 300 ms (300 ms to 300 ms) and 400 ms (400 ms to 400 ms), wanted < 100 ms",
        ),
        (
            PATH,
            (LONG, LONG, DIRECT, DIRECT),
            "holds: r1 > r2 > r3; before the change it did not hold: r1 > r4 > r3, does not pass r2",
        ),
        (
            PATH,
            (DIRECT, DIRECT, LONG, LONG),
            "does not hold: after the change r1 > r4 > r3, does not pass r2; before the change it held: r1 > r2 > r3",
        ),
        (
            PATH,
            (DIRECT, DIRECT, EQUAL, EQUAL),
            "undecided in after-1: r1 > r2 > r3, an equal-cost route leads other flows past r2",
        ),
        (
            PATH,
            (DIRECT, DIRECT, DIRECT, LONG),
            "did not reproduce: it held in after-1 (r1 > r2 > r3), it did not hold in after-2 (r1 > r4 > r3, does"
            " not pass r2)",
        ),
        (
            NEIGHBOUR,
            (UP, UP, DOWN, DOWN),
            "does not hold: after the change r1's OSPF lists no r2; it lists none; before the change it held: r2 "
            "is Full (10.0.0.2 on eth1)",
        ),
        (
            REACH,
            (ALIVE, ALIVE, DEAD, DEAD),
            "does not hold: after the change 0 of 10 answered; before the change it held: 10 of 10 answered",
        ),
        (
            REACH,
            (ALIVE, ALIVE, *[words(None, "12 of 40 answered", value=0.3)] * 2),
            "undecided in after-1: 12 of 40 answered",
        ),
        (
            NOTHING,
            (SAME, SAME, MOVED, MOVED),
            "does not hold: after the change r1: 10.0.0.0/30 via a%b -> no route and 1 more",
        ),
    ],
)
def test_a_reason_says_what_was_measured_and_what_was_wanted(expectation, four, reason):
    assert judge.judge(expectation, measured(expectation, *four)).reason == reason


@pytest.mark.parametrize("odd", range(4))
def test_a_round_far_from_its_twin_is_inconclusive_though_all_hold(odd):
    values = [0.004] * 4
    values[odd] = 0.0085
    measured = [
        Measured(phase=p, holds=True, value=v, low=v - 1e-4, high=v + 1e-4) for p, v in zip(PHASES, values, strict=True)
    ]
    finding = judge.judge(EXPECTATIONS[2], measured)
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "did not reproduce" in finding.reason


def test_a_path_that_alternates_is_inconclusive():
    one, other = (
        Measured(phase="after-1", holds=True, proof=("a > b",)),
        Measured(phase="after-2", holds=True, proof=("a > c",)),
    )
    assert (
        judge.judge(EXPECTATIONS[1], [*rounds(True, True, True, True)[:2], one, other]).outcome is Outcome.INCONCLUSIVE
    )


@settings(deadline=None, max_examples=40)
@given(st.lists(times, max_size=300), times, times, st.sampled_from([50.0, 95.0, 99.0]))
def test_an_rtt_that_holds_holds_for_every_looser_bound(samples, one, other, percentile):
    tight, loose = sorted((one, other))
    if rtt.assess(samples, percentile, tight)[3]:
        assert rtt.assess(samples, percentile, loose)[3]
    if rtt.assess(samples, percentile, loose)[3] is False:
        assert rtt.assess(samples, percentile, tight)[3] is False


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 5000), st.data(), st.floats(0.0001, 1), st.floats(0.0001, 1))
def test_a_loss_that_holds_holds_for_every_looser_bound(sent, data, one, other):
    received = data.draw(st.integers(0, sent))
    tight, loose = sorted((one, other))
    if loss.assess(sent, received, tight)[3]:
        assert loss.assess(sent, received, loose)[3]
    if loss.assess(sent, received, loose)[3] is False:
        assert loss.assess(sent, received, tight)[3] is False


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(1e3, 1e10), max_size=20), st.floats(1e3, 1e10), st.floats(1e3, 1e10))
def test_a_throughput_that_holds_holds_for_every_lower_bound(intervals, one, other):
    low, high = sorted((one, other))
    if throughput.assess(intervals, high)[3]:
        assert throughput.assess(intervals, low)[3]


@pytest.mark.parametrize("nothing", [rtt.assess([], 95, 1), loss.assess(0, 0, 1), throughput.assess([], 1)])
def test_nothing_measured_holds_nothing(nothing):
    assert nothing == (None, None, None, None)


def test_lost_packets_count_as_round_trips_without_end():
    samples = [0.001] * 80 + [math.inf] * 20
    value, _, high, holds = rtt.assess(samples, 95, 0.01)
    assert (value, high, holds) == (None, None, False)
    assert rtt.assess(samples, 50, 0.01)[3] is True


@pytest.mark.parametrize("percentile", [50.0, 90.0, 95.0, 99.0])
def test_as_many_samples_as_asked_for_can_bound_the_percentile(percentile):
    assert rtt.assess([0.001] * rtt.needed(percentile), percentile, 0.002)[3] is True


@settings(deadline=None, max_examples=40)
@given(st.floats(0.001, 0.5))
def test_as_many_packets_as_asked_for_can_show_the_loss(bound):
    sent = loss.needed(bound)
    assert loss.assess(sent, sent, bound)[3] is True


@pytest.mark.parametrize(
    ("sent", "received", "wanted", "holds"),
    [
        (0, 0, True, None), (0, 0, False, None), (10, 10, True, True), (10, 0, True, False), (10, 3, True, None),
        (30, 0, False, True), (30, 1, False, False), (10, 6, True, True),
    ],
)  # fmt: skip
def test_reachability_is_judged_by_packets(sent, received, wanted, holds):
    assert reachable.assess(sent, received, wanted) is holds


def test_an_obstacle_beats_every_finding_and_no_finding_is_no_pass():
    passed = [judge.judge(EXPECTATIONS[0], rounds(True, True, True, True))]
    assert judge.overall(passed)[0] is Outcome.PASSED
    assert judge.overall(passed, ["the fork is not the rack"]) == (Outcome.INCONCLUSIVE, "the fork is not the rack")
    assert judge.overall([])[0] is Outcome.INCONCLUSIVE


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([(True, True), (False, False), (True, False)]), min_size=1, max_size=6))
def test_one_failed_finding_fails_the_change(pairs):
    findings = [judge.judge(EXPECTATIONS[0], rounds(True, True, *pair)) for pair in pairs]
    expected = (
        Outcome.FAILED
        if (False, False) in pairs
        else Outcome.INCONCLUSIVE
        if (True, False) in pairs
        else Outcome.PASSED
    )
    assert judge.overall(findings)[0] is expected


def test_the_forecast_is_keyed_by_the_index_of_the_expectation():
    findings = [
        judge.judge(EXPECTATIONS[1], rounds(True, True, True, True)),
        judge.judge(EXPECTATIONS[2], rounds(True, True, True, True, value=0.004)),
    ]
    assert judge.forecast(findings) == {"1": 0.004}


def late(*samples: float) -> Measured:
    return Measured(
        phase="after-1", holds=False, value=max(samples), low=max(samples), high=max(samples), samples=samples
    )


def test_a_busy_machine_leaves_open_what_it_may_have_delayed_itself():
    bounded = EXPECTATIONS[2]  # below 10 ms
    doubted = busy.tempered(bounded, late(0.008, 0.012), 0.7)
    assert doubted.holds is None
    finding = judge.judge(bounded, [doubted.model_copy(update={"phase": p}) for p in PHASES])
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "too busy" in finding.reason


def test_what_was_late_by_the_network_stays_refuted_on_a_busy_machine():
    assert busy.tempered(EXPECTATIONS[2], late(0.011, 0.012), 0.9).holds is False
    assert busy.tempered(EXPECTATIONS[2], late(0.008, 0.012), 0.1).holds is False
    assert busy.tempered(EXPECTATIONS[2], late(0.008, 0.012), None).holds is False
    lost = Measured(phase="after-1", holds=False, value=0.5)
    assert busy.tempered(EXPECTATIONS[3], lost, 0.9).holds is False


@given(st.sampled_from(EXPECTATIONS), answers, st.floats(0, 1))
def test_a_busy_machine_makes_no_pass(expectation, holds, share):
    one = Measured(phase="after-1", holds=holds, value=0.5, samples=(0.001,))
    assert busy.tempered(expectation, one, share).holds in (holds, None)


def test_pressure_is_read_and_its_lack_is_no_error(tmp_path, monkeypatch):
    file = tmp_path / "cpu"
    monkeypatch.setattr(busy, "PRESSURE", file)
    with busy.watching() as watch:
        pass
    assert watch.share is None
    file.write_text("some avg10=1.00 avg60=1.00 avg300=1.00 total=5000000\nfull avg10=0 avg60=0 avg300=0 total=0\n")
    with busy.watching() as watch:
        file.write_text("some avg10=1.00 avg60=1.00 avg300=1.00 total=9000000\n")
    assert watch.share == 1.0
