"""Path loss against values worked out by hand from TR 38.901 tables 7.4.1-1 and 7.4.2-1."""

from math import exp

import numpy as np
import pytest

from sdr.channel.field import Field
from sdr.channel.pathloss import SCENARIOS, Place, find, free_space, log_distance
from testbed.errors import BadInput

HEIGHTS = {"UMa": (25, 1.5), "UMi": (10, 1.5), "RMa": (35, 1.5), "InH-mixed": (3, 1), "InH-open": (3, 1)}


def place(name: str, distance: float, carrier: float = 3.5e9) -> Place:
    base, user = HEIGHTS[name]
    return Place(distance, base, user, carrier)


@pytest.fixture(scope="module")
def fields():
    return [Field(50, [seed]) for seed in range(4000)]


@pytest.mark.parametrize(
    ("name", "distance", "in_sight", "loss"),
    [
        ("UMa", 100, True, 83.138),  # 28 + 22 lg 102.724 + 20 lg 3.5
        ("UMa", 100, False, 103.037),  # 13.54 + 39.08 lg 102.724 + 20 lg 3.5
        ("UMa", 1000, True, 109.407),  # beyond 560.4 m: 28 + 40 lg 1000.276 + 10.881 - 9 lg(560.4^2 + 23.5^2)
        ("UMi", 100, True, 85.314),  # 32.4 + 21 lg 100.361 + 20 lg 3.5
        ("UMi", 100, False, 104.640),  # 35.3 lg 100.361 + 22.4 + 21.3 lg 3.5
        ("InH-mixed", 20, True, 65.825),  # 32.4 + 17.3 lg 20.1 + 20 lg 3.5
        ("InH-mixed", 20, False, 80.758),  # 38.3 lg 20.1 + 17.3 + 24.9 lg 3.5
    ],
)
def test_the_loss_is_the_tables(name, distance, in_sight, loss):
    assert SCENARIOS[name].loss(place(name, distance), in_sight) == pytest.approx(loss, abs=0.01)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_loss_rises_with_distance_without_steps_and_is_greater_without_sight(name):
    distances = np.geomspace(10, 5000, 2000)
    for in_sight in (True, False):
        losses = [find(name).loss(place(name, d), in_sight) for d in distances]
        steps = np.diff(losses)
        assert steps.min() > 0
        assert steps.max() < 0.25  # UMi's two slopes meet within this
    gap = [find(name).loss(place(name, d), False) - find(name).loss(place(name, d), True) for d in distances]
    assert min(gap) >= 0


@pytest.mark.parametrize(
    ("name", "distance", "sight"),
    [
        ("UMa", 18, 1), ("UMa", 100, 0.18 + exp(-100 / 63) * 0.82), ("UMi", 100, 0.18 + exp(-100 / 36) * 0.82),
        ("RMa", 1010, exp(-1)), ("InH-mixed", 6.5, 0.32), ("InH-open", 100, 0.54 * exp(-51 / 211.7)),
    ],
)  # fmt: skip
def test_lines_of_sight_are_drawn_as_often_as_the_table_has_it(name, distance, sight):
    where, scenario = place(name, distance), find(name)
    assert scenario.sight(where) == pytest.approx(sight)
    drawn = [scenario.draw(where, (50, 80), [seed]) for seed in range(1500)]
    assert np.mean([seen for seen, _ in drawn]) == pytest.approx(sight, abs=0.05)
    shadows = [loss - scenario.loss(where, True) for seen, loss in drawn if seen]
    assert np.std(shadows) == pytest.approx(scenario.shadow(where)[0], rel=0.12)
    assert scenario.draw(where, (50, 80), [7]) == scenario.draw(where, (50, 80), [7])


@pytest.mark.parametrize("apart", [0, 5, 20, 50, 120])
def test_what_is_close_together_is_alike_as_the_distance_of_correlation_says(fields, apart):
    pairs = [(field.at(30, -40), field.at(30 + 0.6 * apart, -40 + 0.8 * apart)) for field in fields]
    assert np.mean([one * other for one, other in pairs]) == pytest.approx(exp(-apart / 50), abs=0.05)
    assert np.std([one for one, _ in pairs]) == pytest.approx(1, abs=0.04)


def test_along_a_way_the_loss_changes_little_from_step_to_step_and_differs_in_the_end():
    scenario = find("UMa")
    losses = [scenario.draw(place("UMa", 200), (x, 0), [1], sight=False)[1] for x in np.arange(0, 1000, 0.1)]
    assert 0 < np.max(np.abs(np.diff(losses))) < 2
    assert np.ptp(losses) > 6
    seen = [scenario.draw(place("UMa", 60), (x, 0), [1])[0] for x in np.arange(0, 3000, 1.0)]
    assert 5 < np.sum(np.diff(seen)) < 300


def test_free_space_and_log_distance():
    assert free_space(1000, 1e9) == pytest.approx(92.45, abs=0.01)
    assert log_distance(100, 3, 40) == 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: find("UMx"), "did you mean 'UM"),
        (lambda: Place(-1, 25, 1.5, 1e9), "distance is -1"),
        (lambda: Place(1, 0, 1.5, 1e9), "base is 0"),
        (lambda: find("UMa").loss(Place(100, 25, 20, 1e9), True), "13 m at most"),
        (lambda: free_space(0, 1e9), "more than 0"),
        (lambda: log_distance(-1, 2, 40), "more than 0"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(BadInput, match=message):
        make()
