import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.twin.metrics import (
    Alignment,
    FieldAges,
    Update,
    age_of_information,
    over_time,
    percentiles,
    pooled,
    teeth,
)

delays = st.floats(0, 5)
moments = st.floats(0, 100)
updates = st.lists(st.builds(lambda m, d: Update(m, m + d), moments, delays), min_size=1, max_size=30)


def test_a_regular_sawtooth_has_the_percentiles_that_geometry_gives():
    # Measured each second, in the twin 0.2 s later: age goes from 0.2 to 1.2, evenly.
    regular = [Update(float(t), t + 0.2) for t in range(100)]
    age = age_of_information(regular, 10.2, 90.2)
    assert age is not None
    assert age.p50 == pytest.approx(0.7)
    assert age.p95 == pytest.approx(1.15)
    assert age.p99 == pytest.approx(1.19)
    assert age.weight == pytest.approx(80.0)


def test_the_age_counts_from_when_it_was_measured_not_from_when_it_arrived():
    late = [Update(float(t), t + 30.0) for t in range(100)]
    age = age_of_information(late, 50.0, 90.0)
    assert age is not None
    assert age.p50 > 30.0


def test_an_update_that_never_comes_makes_the_age_grow():
    silent = age_of_information([Update(0.0, 0.0)], 0.0, 100.0)
    assert silent is not None
    assert (silent.p50, silent.p95) == (pytest.approx(50.0), pytest.approx(95.0))


def test_no_update_no_age():
    assert age_of_information([], 0.0, 10.0) is None
    assert age_of_information([Update(20.0, 21.0)], 0.0, 10.0) is None


@given(updates, st.floats(0, 50), st.floats(1, 80))
def test_percentiles_agree_with_the_age_process_sampled_densely(given_updates, start, length):
    end = start + length
    steps = 4000
    grid = [start + (i + 0.5) * length / steps for i in range(steps)]
    ages = sorted(
        t - max(u.measured for u in given_updates if u.applied <= t)
        for t in grid
        if any(u.applied <= t for u in given_updates)
    )
    exact = age_of_information(given_updates, start, end)
    if len(ages) < 200:
        return
    assert exact is not None
    for share, value in ((0.5, exact.p50), (0.95, exact.p95), (0.99, exact.p99)):
        # The dense sample's own resolution: one grid step in rank and in age.
        low = ages[max(0, math.floor(share * len(ages)) - 3)]
        high = ages[min(len(ages) - 1, math.ceil(share * len(ages)) + 3)]
        assert low - 2 * length / steps <= value <= high + 2 * length / steps


@given(updates, st.floats(0, 50), st.floats(1, 80))
def test_stretches_cover_all_time_with_an_age_once_and_ages_never_are_negative(given_updates, start, length):
    end = start + length
    first = min(u.applied for u in given_updates)
    stretches = teeth(given_updates, start, end)
    assert sum(b - a for a, b in stretches) == pytest.approx(max(0.0, end - max(start, first)), abs=1e-6)
    assert all(-1e-9 <= a <= b for a, b in stretches)


@given(updates, delays)
def test_a_further_update_never_makes_any_percentile_worse(given_updates, delay):
    more = [*given_updates, Update(30.0, 30.0 + delay)]
    start = min(u.applied for u in given_updates)
    before, after = (age_of_information(each, start, start + 50) for each in (given_updates, more))
    assert before is not None
    assert after is not None
    if after.weight == pytest.approx(before.weight):
        assert after.p50 <= before.p50 + 1e-9
        assert after.p99 <= before.p99 + 1e-9


@given(updates)
def test_an_old_value_arriving_late_does_not_rejuvenate(given_updates):
    stale = [*given_updates, Update(-100.0, 50.0)]
    start = min(u.applied for u in given_updates)
    if start < 50:
        assert teeth(stale, start, 200.0) == teeth(given_updates, start, 200.0)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.01, 10)), min_size=1, max_size=20))
def test_percentiles_grow_with_the_share_and_stay_inside(raw):
    stretches = [(low, low + height) for low, height in raw]
    values = over_time(stretches, (0.0, 0.25, 0.5, 0.75, 1.0))
    assert values == sorted(values)
    assert values[0] >= min(low for low, _ in stretches) - 1e-9
    assert values[-1] <= max(high for _, high in stretches) + 1e-9


def poll(period, service, duration=60.0):
    """A poller with a device that takes `service` seconds: deadlines that pass meanwhile are skipped, but planned."""
    alignment, history, free = Alignment(), [], 0.0
    for number in range(int(duration / period)):
        due = number * period
        if due < free:
            alignment.close(1, [], period)
            continue
        free = due + service
        alignment.close(1, [service], period)
        history.append(Update(due, free))
    age = age_of_information(history, 5.0, duration)
    assert age is not None
    return alignment.share, age


def test_a_higher_polling_rate_that_lowers_how_many_arrive_in_time_is_seen():
    slow, slow_age = poll(period=1.0, service=0.6)
    fast, fast_age = poll(period=0.25, service=0.6)
    assert slow == 1.0
    assert fast == 0.0  # every answer comes after the next was due
    assert fast_age.p50 < slow_age.p50  # and yet the age got better: only the alignment tells


@given(st.floats(0.05, 2.0), st.floats(0.05, 2.0))
def test_alignment_is_whole_exactly_when_devices_answer_within_a_period(period, service):
    share, _ = poll(period, service)
    assert 0 <= share <= 1
    assert (share == 1.0) == (service < period) or service == pytest.approx(period)


def test_nothing_planned_is_no_alignment():
    assert Alignment().share == 0.0


def test_alignment_forgets_what_is_long_ago():
    alignment = Alignment(window=10)
    for number in range(30):
        alignment.close(4, [0.1] * (2 if number < 20 else 4), 1.0)
    assert (alignment.planned, alignment.in_time, alignment.share) == (40, 40, 1.0)


def test_fields_are_kept_apart_and_a_silent_one_ages():
    ages = FieldAges(window=50.0)
    for t in range(100):
        ages.add("link:a", "delay", Update(float(t), t + 0.1))
        if t < 60:
            ages.add("link:b", "delay", Update(float(t), t + 0.1))
    by_field = ages.by_field(100.0)
    assert by_field["link:a", "delay"].p99 < 1.2
    assert by_field["link:b", "delay"].p99 > 39.0
    assert ages.current(100.0) == {("link:a", "delay"): 1.0, ("link:b", "delay"): 41.0}
    overall = ages.overall(100.0)
    assert overall is not None
    assert overall.weight == pytest.approx(100.0)
    assert len(ages.updates["link:a", "delay"]) <= 53


@given(st.lists(st.floats(0, 1e3), min_size=1))
def test_plain_percentiles_lie_among_the_values(values):
    result = percentiles(values)
    assert result is not None
    assert min(values) <= result.p50 <= result.p95 <= result.p99 <= max(values)
    assert percentiles([]) is None
    assert pooled([], 0, 1) is None
