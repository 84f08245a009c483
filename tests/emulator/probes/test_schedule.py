from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulator.loading import LoadFlow, rank
from testbed.emulator.probes.histogram import bucket
from testbed.emulator.probes.schedule import schedule, sizes

RATES = st.floats(8.0, 1e9)
SIZES = st.integers(64, 9000)


def flow(**fields) -> LoadFlow:
    return LoadFlow(**{"source": "a", "destination": "10.0.2.2", "sink": "b", "rate": 1e6, **fields})


def moments(one: LoadFlow, seconds: float) -> list[float]:
    """When each packet of the first seconds is due."""
    plan, found = schedule(one), []
    while plan.due <= seconds:
        found.append(plan.due)
        assert plan.take(plan.due, 1) == 1
    return found


@given(rate=RATES, size=SIZES, seconds=st.floats(0.0, 1e4), share=st.floats(0.0, 0.999))
def test_packets_over_time_are_rate_times_time(rate, size, seconds, share):
    plan = schedule(flow(rate=rate, size=size), share)
    assert abs(plan.take(seconds, 10**12) - rate * seconds / (8 * size)) <= 1 + 1e-6


@given(looks=st.lists(st.floats(0.0, 0.2), min_size=1, max_size=50), most=st.integers(1, 64))
def test_however_often_one_looks_nothing_is_lost_or_sent_twice(looks, most):
    plan, now, taken = schedule(flow(rate=8e6)), 0.0, 0
    for pause in looks:
        now += pause
        while count := plan.take(now, most):
            assert count <= most
            taken += count
        assert plan.due > now
    assert taken == math.floor(now * 1000 + 1e-6) + 1


@given(st.floats(0.001, 100.0), st.floats(0.0, 200.0), st.sampled_from(["constant", "poisson", "on-off"]))
def test_a_flow_ends_when_its_duration_is_over(duration, looked, arrival):
    plan = schedule(flow(rate=8e4, duration=duration, start=1.0, arrival=arrival, on=0.1, off=0.1))
    passed = plan.skip(1.0 + looked)
    rest = plan.take(1e6, 10**9)
    assert math.isinf(plan.due)
    if arrival == "constant":
        assert abs(passed + rest - duration * 10) <= 1
        assert abs(passed - min(looked, duration) * 10) <= 1


@given(st.floats(0.0, 50.0), st.floats(0.0, 50.0), st.sampled_from(["constant", "poisson", "on-off"]))
def test_what_is_skipped_and_what_is_taken_is_all(one, other, arrival):
    plan, whole = (schedule(flow(rate=8e4, arrival=arrival, on=0.2, off=0.2)) for _ in range(2))
    parts = plan.skip(min(one, other)) + plan.take(max(one, other), 10**9)
    assert parts == whole.take(max(one, other), 10**9)


@pytest.mark.parametrize("arrival", ["poisson", "on-off"])
def test_drawn_arrivals_keep_the_mean_rate(arrival):
    found = moments(flow(rate=1e6, arrival=arrival, on=0.1, off=0.3), 400.0)
    assert len(found) == pytest.approx(400.0 * 125, rel=0.1)
    assert found == sorted(found)


def test_gaps_of_poisson_arrivals_vary_as_much_as_they_last():
    gaps = [later - one for one, later in itertools.pairwise(moments(flow(arrival="poisson"), 100.0))]
    assert statistics.stdev(gaps) == pytest.approx(statistics.mean(gaps), rel=0.05)


def test_an_on_off_flow_is_silent_while_off_and_faster_while_on():
    gaps = [b - a for a, b in itertools.pairwise(moments(flow(arrival="on-off", on=0.1, off=0.3), 100.0))]
    assert statistics.median(gaps) == pytest.approx(0.008 / 4)
    assert max(gaps) > 0.3


def test_the_seed_decides():
    one, same, other = (moments(flow(arrival="poisson", seed=seed), 5.0) for seed in (1, 1, 2))
    assert one == same != other


def test_a_mix_comes_in_its_proportions():
    found = Counter(itertools.islice(sizes(flow(mix=((64, 7.0), (576, 4.0), (1500, 1.0)))), 12_000))
    assert found[64] == pytest.approx(7000, rel=0.05)
    assert found[576] == pytest.approx(4000, rel=0.08)
    assert found[1500] == pytest.approx(1000, rel=0.15)


@given(st.integers(-(10**12), 10**12))
def test_a_bucket_is_within_a_hundredth(value):
    assert abs(bucket(value) - value) <= abs(value) / 100
    assert bucket(bucket(value)) == bucket(value)


@given(st.lists(st.integers(0, 50), min_size=1), st.floats(0.0, 1.0))
def test_a_rank_is_the_nearest_one(values, share):
    expected = sorted(values)[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
    assert rank(sorted(Counter(values).items()), share) == expected
