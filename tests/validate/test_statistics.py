from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.validate.statistics import (
    arrived,
    binomial_interval,
    both_arrived,
    compare,
    distance,
    lost_last,
    percentile,
    percentile_interval,
    wilson_interval,
)

SAMPLES = st.lists(st.floats(0, 1e3), min_size=1, max_size=200)
NORMAL = random.Random(7)


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 15), (5, 15), (30, 20), (40, 20), (50, 35), (60, 35), (61, 40), (100, 50)]
)
def test_nearest_rank(percent, value):
    assert percentile([40, 15, 50, 20, 35], percent) == value


@pytest.mark.parametrize(
    # ranks as tabulated for the median of 5 to 100 samples, and one off the median
    ("count", "percent", "low", "high"),
    [(100, 50, 40, 61), (10, 50, 2, 9), (20, 50, 6, 15), (6, 50, 1, 6), (5, 50, None, None), (100, 90, 84, 96)],
)
def test_the_ranks_that_bracket_a_percentile(count, percent, low, high):
    _, lower, upper = percentile_interval(range(1, count + 1), percent)
    assert lower == (-math.inf if low is None else low)
    assert upper == (math.inf if high is None else high)


def test_too_few_samples_leave_a_high_percentile_open_above():
    assert percentile_interval(range(71), 95)[2] == math.inf  # 0.95^71 > 2.5 %
    assert percentile_interval(range(72), 95)[2] == 71  # 0.95^72 < 2.5 %


def test_lost_packets_are_infinite_and_move_the_percentile():
    value, low, high = percentile_interval(lost_last([0.01] * 90 + [math.nan] * 10), 95)
    assert (value, low, high) == (math.inf, math.inf if low == math.inf else 0.01, math.inf)
    assert percentile(lost_last([0.01] * 90 + [math.nan] * 10), 50) == 0.01


@given(SAMPLES, st.floats(0, 100))
def test_the_value_lies_in_its_interval(samples, percent):
    value, low, high = percentile_interval(samples, percent)
    assert low <= value <= high
    assert value in samples


@given(SAMPLES, st.floats(0.1, 99.9))
def test_more_confidence_is_never_narrower(samples, percent):
    _, low, high = percentile_interval(samples, percent, 0.9)
    _, lower, higher = percentile_interval(samples, percent, 0.99)
    assert lower <= low <= high <= higher


def test_the_interval_covers_the_true_percentile_as_often_as_it_says():
    draw = random.Random(1)
    covered = 0
    for _ in range(1000):
        _, low, high = percentile_interval([draw.random() for _ in range(120)], 95)
        covered += low <= 0.95 <= high
    assert covered >= 935  # 95 % promised; 1,000 tries give 935 or more in 98 of 100 cases at the very least


@pytest.mark.parametrize(
    # Clopper-Pearson 95 % from published tables, to four places
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.3085), (1, 10, 0.0025, 0.4450), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0)],
)
def test_clopper_pearson_as_in_the_tables(hits, trials, low, high):
    assert binomial_interval(hits, trials) == pytest.approx((low, high), abs=5e-5)


def test_nothing_lost_follows_the_closed_form():
    for trials in (1, 100, 5000, 100_000):
        low, high = binomial_interval(0, trials)
        assert low == 0
        assert high == pytest.approx(1 - 0.025 ** (1 / trials), rel=1e-6)


def test_wilson_as_in_the_tables():
    assert wilson_interval(1, 10) == pytest.approx((0.0179, 0.4042), abs=5e-5)
    assert wilson_interval(0, 10) == pytest.approx((0.0, 0.2775), abs=5e-5)


@settings(max_examples=50)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_shares_lie_in_their_intervals_and_mirror(pair):
    hits, trials = pair
    for interval in (binomial_interval, wilson_interval):
        low, high = interval(hits, trials)
        assert 0 <= low <= hits / trials <= high <= 1
        assert interval(trials - hits, trials) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(("hits", "trials"), [(1, 0), (-1, 5), (6, 5), (0, 0)])
def test_what_is_no_share_is_refused(hits, trials):
    for interval in (binomial_interval, wilson_interval):
        with pytest.raises(ValueError, match="no share"):
            interval(hits, trials)


@pytest.mark.parametrize(
    ("samples", "percent", "words"), [([], 50, "no samples"), ([math.nan], 50, "NaN"), ([1.0], 101, "percentile")]
)
def test_what_has_no_percentile_is_refused(samples, percent, words):
    with pytest.raises(ValueError, match=words):
        percentile_interval(samples, percent)


def test_lists_by_packet_are_aligned():
    nan = math.nan
    assert both_arrived([1, nan, 3, 4, 5], [10, 20, nan, 40]) == ([1, 4], [10, 40])
    assert arrived([1, nan, math.inf, 2]) == [1, 2]
    assert lost_last([1, nan]) == [1, math.inf]


def test_the_distance_of_distributions():
    assert distance([1, 2, 3], [1, 2, 3]) == (0, 1)
    apart, chance = distance(range(100), range(100, 200))
    assert apart == 1
    assert chance < 1e-9
    assert distance([0.0] * 50 + [1.0] * 50, [0.0] * 30 + [1.0] * 70)[0] == pytest.approx(0.2)
    # critical value of Smirnov's test at 5 % for 100 and 100: 1.358 * sqrt(2/100) = 0.192
    assert distance([0.0] * 60 + [1.0] * 40, [0.0] * 40 + [1.0] * 60)[1] == pytest.approx(0.036, abs=0.008)


def run(mean, count=300):
    return [NORMAL.gauss(mean, 0.1e-3) for _ in range(count)]


def test_runs_of_the_same_network_agree_within_a_tolerance():
    assert compare(run(10e-3), run(10.02e-3), 50, 0.3e-3).verdict == "same"


def test_runs_that_differ_are_told_apart():
    comparison = compare(run(10e-3), run(12e-3), 50, 0.3e-3)
    assert comparison.verdict == "different"
    assert comparison.low <= comparison.shift <= comparison.high
    assert comparison.shift == pytest.approx(2e-3, abs=0.1e-3)


def test_runs_too_short_to_tell_are_undecided():
    assert compare(run(10e-3, 4), run(10e-3, 4), 50, 0.3e-3).verdict == "undecided"


def test_runs_that_lost_everything_agree_and_one_that_did_differs():
    nothing = [math.inf] * 200
    assert compare(nothing, nothing, 50, 1e-3).verdict == "same"
    assert compare(run(10e-3), nothing, 50, 1e-3).verdict == "different"


@given(SAMPLES, SAMPLES, st.floats(0, 10))
def test_a_comparison_turned_round_says_the_same(one, other, tolerance):
    there, back = compare(one, other, 50, tolerance), compare(other, one, 50, tolerance)
    assert there.verdict == back.verdict
    assert there.low == -back.high


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match="tolerance"):
        compare([1], [1], 50, math.nan)
