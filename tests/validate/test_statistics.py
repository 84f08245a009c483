from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.validate.expectations import loss, rtt, throughput
from testbed.validate.statistics import (
    arrived,
    binomial_interval,
    lost_last,
    percentile,
    percentile_interval,
)

SAMPLES = st.lists(st.floats(0, 1e3), min_size=1, max_size=200)


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


@settings(max_examples=50)
@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_shares_lie_in_their_intervals_and_mirror(pair):
    hits, trials = pair
    low, high = binomial_interval(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1
    assert binomial_interval(trials - hits, trials) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize(("hits", "trials"), [(1, 0), (-1, 5), (6, 5), (0, 0)])
def test_what_is_no_share_is_refused(hits, trials):
    with pytest.raises(ValueError, match="no share"):
        binomial_interval(hits, trials)


@pytest.mark.parametrize(
    ("samples", "percent", "words"), [([], 50, "no samples"), ([math.nan], 50, "NaN"), ([1.0], 101, "percentile")]
)
def test_what_has_no_percentile_is_refused(samples, percent, words):
    with pytest.raises(ValueError, match=words):
        percentile_interval(samples, percent)


def test_what_arrived_and_what_was_lost():
    nan = math.nan
    assert arrived([1, nan, math.inf, 2]) == [1, 2]
    assert lost_last([1, nan]) == [1, math.inf]


def decided(looks, sample, assess):
    """Add samples and look again until a look decides, as a round does."""
    seen = []
    for count in looks:
        seen += [sample() for _ in range(count)]
        if (holds := assess(seen)) is not None:
            return holds
    return None


def test_looking_again_and_again_errs_no_more_often_than_promised():
    draw = random.Random(2)
    at_the_bound = [
        decided((138, 138, 276, 552, 896), draw.random, lambda seen: rtt.assess(seen, 95, 0.95)[3]) for _ in range(150)
    ]
    assert at_the_bound.count(None) >= 0.93 * len(at_the_bound)  # whatever is decided there is decided wrongly


def test_a_loss_looked_at_again_and_again_errs_no_more_often_than_promised():
    draw = random.Random(3)

    def judged(seen):
        return loss.assess(len(seen), len(seen) - sum(seen), 0.03)[3]

    at_the_bound = [decided((200, 200, 400, 800, 1600), lambda: draw.random() < 0.03, judged) for _ in range(100)]
    assert at_the_bound.count(None) >= 0.93 * len(at_the_bound)


def test_students_table_is_that_of_two_looks():
    points = np.linspace(-60, 60, 1_200_001)
    for degrees, t in enumerate(throughput.STUDENT, 1):
        density = (1 + points**2 / degrees) ** (-(degrees + 1) / 2)
        density *= math.gamma((degrees + 1) / 2) / (math.sqrt(degrees * math.pi) * math.gamma(degrees / 2))
        inside = np.abs(points) <= t
        assert density[inside].sum() * (points[1] - points[0]) == pytest.approx(0.975, abs=5e-4)
