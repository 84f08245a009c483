import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.twin.estimators import (
    LinkEstimate,
    LinkEstimator,
    RateMeter,
    Settings,
    Tolerance,
    changed,
)
from testbed.twin.estimators import settings as link_settings


def feed(estimator, centre, sigma, polls, *, loss=0.0, batch=5, seed=1) -> LinkEstimate:
    """Poll a link with exponential stack noise and some outliers."""
    dice = random.Random(seed)
    for _ in range(polls):
        lost = sum(dice.random() < loss for _ in range(batch))
        rtts = [max(0.0, dice.gauss(centre, sigma)) + dice.expovariate(1 / 5e-5) for _ in range(batch - lost)]
        if rtts and dice.random() < 0.1:
            rtts[0] += 5e-3
        estimator.add(rtts, lost)
    estimate = estimator.estimate()
    assert estimate is not None
    return estimate


@given(st.floats(1e-3, 0.3), st.integers(0, 1000))
@settings(max_examples=30)
def test_outliers_and_noise_move_the_median_little(centre, seed):
    estimate = feed(LinkEstimator(), centre, 5e-5, 40, seed=seed)
    assert estimate.rtt == pytest.approx(centre, abs=1e-4)
    assert estimate.spread < 2e-4


def test_settings_do_not_flap_under_noise():
    estimator, held, sent = LinkEstimator(), None, 0
    for poll in range(120):
        estimate = feed(estimator, 6e-3, 1e-4, 1, seed=poll)
        wanted = link_settings(estimate, None)
        if poll >= 10 and held and changed(held, wanted):
            sent += 1
        if held is None or changed(held, wanted):
            held = wanted
    assert sent <= 3
    assert estimator.steps == 0


@pytest.mark.parametrize(("before", "after"), [(2e-3, 12e-3), (12e-3, 2e-3), (0.4e-3, 1.0e-3), (40e-3, 46e-3)])
def test_a_step_is_followed_by_the_next_batch(before, after):
    estimator = LinkEstimator()
    feed(estimator, before, 3e-5, 40)
    estimate = feed(estimator, after, 3e-5, 1, seed=9)
    assert estimate.rtt == pytest.approx(after, abs=0.15e-3)
    assert estimator.steps == 1


@pytest.mark.parametrize("after", [22e-3, 0.5e-3])
def test_a_step_in_the_middle_of_a_batch_is_followed_as_soon_as_three_replies_say_so(after):
    estimator = LinkEstimator()
    feed(estimator, 2e-3, 3e-5, 40)
    estimator.add([2e-3, 2e-3, 2e-3, after, after], 0)
    assert estimator.steps == 0
    estimator.add([after + 1e-5], 0)
    estimate = estimator.estimate()
    assert estimate is not None
    assert (estimate.rtt, estimate.replies) == (pytest.approx(after, abs=2e-5), 3)


def test_a_single_late_reply_is_not_a_step():
    estimator = LinkEstimator()
    feed(estimator, 2e-3, 3e-5, 40)
    estimator.add([2e-3, 2e-3, 30e-3, 2e-3, 2e-3], 0)
    assert estimator.steps == 0


def test_a_busy_device_that_delays_most_of_a_batch_is_not_a_step():
    estimator = LinkEstimator()
    feed(estimator, 0.4e-3, 3e-5, 40)
    estimator.add([0.41e-3, 3e-3, 2.2e-3, 4e-3, 1.9e-3], 0)
    assert estimator.steps == 0


def test_a_spread_of_few_replies_is_not_yet_a_jitter():
    few, many = (LinkEstimate(9e-3, 3e-3, replies, 0.0, replies, False) for replies in (10, 40))
    assert link_settings(few, None).jitter == 0.0
    assert link_settings(many, None).jitter > 0


def test_a_jittery_link_is_known_by_its_spread():
    estimate = feed(LinkEstimator(), 12e-3, 2e-3, 60)
    assert estimate.spread == pytest.approx(2e-3, rel=0.35)
    assert link_settings(estimate, None).jitter == pytest.approx(2e-3 / math.sqrt(2), rel=0.35)


def test_a_link_that_goes_silent_is_dead_after_one_batch_and_alive_after_the_next():
    estimator = LinkEstimator()
    feed(estimator, 2e-3, 3e-5, 40)
    estimator.add([], 4)
    estimate = estimator.estimate()
    assert estimate is not None
    assert (estimate.silent, estimate.loss) == (True, 1.0)
    assert estimate.rtt == pytest.approx(2e-3, abs=1e-4)
    estimator.add([2e-3] * 5, 0)
    estimate = estimator.estimate()
    assert estimate is not None
    assert not estimate.silent
    assert estimate.loss < 0.1


def test_a_lossy_link_is_not_taken_for_dead_by_a_short_run():
    estimator = LinkEstimator()
    feed(estimator, 2e-3, 3e-5, 40, loss=0.3)
    estimator.add([], 5)
    estimate = estimator.estimate()
    assert estimate is not None
    assert not estimate.silent


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
def test_loss_is_within_four_standard_errors(loss):
    estimate = feed(LinkEstimator(), 2e-3, 3e-5, 400, loss=loss)
    assert estimate.loss == pytest.approx(loss, abs=4 * math.sqrt(loss / estimate.packets))


def test_a_step_in_loss_forgets_the_clean_past():
    estimator = LinkEstimator()
    feed(estimator, 2e-3, 3e-5, 400)
    estimate = feed(estimator, 2e-3, 3e-5, 20, loss=0.3, seed=5)
    assert estimate.loss > 0.15


def test_a_small_loss_on_a_clean_link_shows_after_some_ten_seconds_of_five_packets_each():
    polls = []
    for seed in range(20):
        estimator, dice, taken = LinkEstimator(), random.Random(seed), 0
        feed(estimator, 2e-3, 3e-5, 200)
        while not (estimate := estimator.estimate()) or estimate.loss < 0.025:
            lost = sum(dice.random() < 0.05 for _ in range(5))
            estimator.add([2e-3] * (5 - lost), lost)
            taken += 1
        polls.append(taken)
    assert sorted(polls)[10] <= 15
    assert max(polls) <= 40


def test_a_loss_that_holds_is_never_taken_for_a_step():
    estimator, lowest, highest = LinkEstimator(), 1.0, 0.0
    feed(estimator, 2e-3, 3e-5, 100, loss=0.02)
    for seed in range(200):
        estimate = feed(estimator, 2e-3, 3e-5, 1, loss=0.02, seed=seed)
        lowest, highest = min(lowest, estimate.loss), max(highest, estimate.loss)
    assert 0.01 < lowest < highest < 0.04


@given(
    st.builds(
        LinkEstimate, st.floats(0, 1), st.floats(0, 0.1), st.integers(1, 9), st.floats(0, 1), st.integers(1, 9),
        st.booleans(),
    ),
    st.floats(0, 0.01),
)  # fmt: skip
def test_settings_are_always_what_a_link_can_have(estimate, stack):
    wanted = link_settings(estimate, 1e8, stack)
    assert wanted.delay >= 0
    assert wanted.jitter >= 0
    assert 0 <= wanted.loss <= 1
    through = (1 - wanted.loss) ** 2
    assert estimate.silent or through == pytest.approx(1 - estimate.loss, abs=1e-9)


def test_the_stack_of_the_twin_is_taken_off():
    estimate = LinkEstimate(10.4e-3, 0.0, 50, 0.0, 50, False)
    assert link_settings(estimate, None, stack_rtt=0.4e-3).delay == pytest.approx(5e-3)
    assert link_settings(estimate, None, stack_rtt=20e-3).delay == 0.0


@pytest.mark.parametrize(("declared", "set_to"), [(1e8, 1e8), (1e10, None), (None, None)])
def test_a_rate_that_the_kernel_cannot_reach_anyway_is_not_set(declared, set_to):
    assert link_settings(LinkEstimate(1e-3, 0, 9, 0, 9, False), declared).rate == set_to


@given(
    st.builds(Settings, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.none() | st.floats(1e3, 1e9)),
    st.builds(Settings, st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.none() | st.floats(1e3, 1e9)),
)
def test_only_what_is_beyond_tolerance_is_sent_and_equal_settings_never_are(held, wanted):
    assert changed(held, held) == {}
    assert set(changed(None, wanted)) == {"delay", "jitter", "loss", "rate"}
    for name, value in changed(held, wanted).items():
        assert value == getattr(wanted, name)


def test_tolerance_is_the_larger_of_amount_and_share():
    tolerance = Tolerance(0.1, 0.1)
    assert not tolerance.exceeded(10.0, 10.9)
    assert tolerance.exceeded(10.0, 11.1)
    assert not tolerance.exceeded(0.0, 0.05)
    assert tolerance.exceeded(0.0, 0.2)
    assert tolerance.exceeded(0.2, 0.0)


def test_a_small_loss_that_turns_dead_is_always_sent():
    assert changed(Settings(loss=0.9999), Settings(loss=1.0)) == {"loss": 1.0}


def test_load_comes_from_counters_and_a_reset_counter_gives_none():
    meter = RateMeter()
    assert meter.add(10.0, 1000) is None
    assert meter.add(12.0, 3000) == 8000.0
    assert meter.add(13.0, 0) is None
    assert meter.add(14.0, 1000) == 8000.0


@pytest.mark.parametrize("early", [0, 100_000, 500_000])
def test_bytes_of_measuring_are_no_load_whichever_reading_counts_them(early):
    meter, octets, rate = RateMeter(), 0, None
    for second in range(20):
        octets += 125_000
        if second == 10:
            meter.excuse(500_000)
            octets += early
        octets += 500_000 - early if second == 11 else 0
        rate = meter.add(float(second), octets)
    assert rate == pytest.approx(1e6)


def test_a_rate_is_over_three_readings():
    meter = RateMeter()
    rates = [meter.add(float(second), octets) for second, octets in enumerate([0, 0, 0, 0, 300, 600, 900])]
    assert rates == [None, 0, 0, 0, 800, 1600, 2400]


def test_what_a_closer_look_found_is_one_loss_whatever_the_order_that_nobody_knows():
    estimator = LinkEstimator()
    for _ in range(50):
        estimator.add([0.012] * 10, 0)
    estimator.add([0.012] * 5, 20, answered=60)
    first = estimator.estimate()
    estimator.add([0.012] * 8, 2)
    second = estimator.estimate()
    assert first is not None
    assert second is not None
    assert (first.loss, second.loss) == pytest.approx((20 / 85, 22 / 95))
