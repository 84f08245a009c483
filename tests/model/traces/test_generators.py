import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.model.propagation import EARTH, GRAVITATION, slant_range
from testbed.model.traces.generators import GENERATORS, LIMITS, daily_load, leo_pass, rain_event, random_walk
from testbed.model.traces.orbit import TURN, Elements, slant, walker
from testbed.model.traces.spec import defaults, read_trace
from testbed.model.traces.track import FIELDS

TEXTS = {"profile": ["microwave", "microwave(km=3, ghz=38)", "e-band"], "field": list(FIELDS)}


@st.composite
def calls(draw, name):
    """Any call of a generator whose arguments are within their limits, of a few hundred settings at most."""
    given = {}
    for key, default in defaults(GENERATORS[name]).items():
        if isinstance(default, str):
            given[key] = draw(st.sampled_from(TEXTS[key]))
        elif key not in ("seconds", "step", "planes", "each"):
            given[key] = repr(draw(st.one_of(st.just(default), st.floats(*LIMITS[key]))))
    step = draw(st.floats(0.01, 100))
    given |= {"step": repr(step), "seconds": repr(step * draw(st.integers(1, 60)))}
    return f"{name}({', '.join(f'{key}={value}' for key, value in given.items())})"


@pytest.mark.parametrize("name", GENERATORS)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_call_gives_the_same_track_each_time_or_is_refused_each_time(name, data):
    call = data.draw(calls(name))
    assert outcome(call) == outcome(call)


def outcome(call):
    try:
        return read_trace(call)
    except BadInput as refusal:
        return str(refusal)


@pytest.mark.parametrize("name", GENERATORS)
def test_another_process_makes_the_same_track_of_a_seed(name):
    program = f"from testbed.model.traces.spec import read_trace; print(read_trace('{name}(seed=7)'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(read_trace(f"{name}(seed=7)")) != str(read_trace(f"{name}(seed=8)"))


@pytest.mark.parametrize("name", GENERATORS)
def test_every_argument_that_is_a_number_has_its_limits_and_its_default_is_within(name):
    for key, default in defaults(GENERATORS[name]).items():
        assert isinstance(default, str) or LIMITS[key][0] <= default <= LIMITS[key][1], key


def test_what_repeats_begins_anew_after_the_length_it_was_asked_for():
    assert read_trace("random-walk(seconds=5)", repeat=True).lap == 5.0
    assert read_trace("daily-load", repeat=True).lap == 86_400.0


def test_a_geostationary_satellite_stands_still():
    axis = (GRAVITATION / TURN**2) ** (1 / 3)
    far, high = slant(Elements(axis), np.arange(0.0, 86_400.0, 600.0), 0.0, 0.0)
    assert np.ptp(far) < 1.0
    assert far[0, 0] == pytest.approx(axis - EARTH, abs=1.0)
    assert high.min() > 89.9


@settings(deadline=None, max_examples=25)
@given(st.floats(300, 2000), st.floats(0, 60), st.floats(-180, 180), st.integers(0, 5000))
def test_range_and_elevation_belong_together(height, latitude, longitude, moment):
    far, high = slant(walker(height, 53.0, 6, 8), np.array([float(moment)]), latitude, longitude)
    for distance, elevation in zip(far[0], high[0], strict=True):
        if elevation > 0:
            assert distance == pytest.approx(slant_range(height, elevation), rel=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 0.8), st.floats(0, 360))
def test_an_orbit_keeps_its_energy(eccentricity, anomaly):
    """Vis-viva: speed from positions a millisecond apart agrees with what the distance says."""
    axis = 12_000.0
    from testbed.model.traces.orbit import _positions

    one, other = _positions(Elements(axis, eccentricity, 40.0, 10.0, 20.0, anomaly), np.array([1000.0, 1000.001]))[:, 0]
    speed = np.linalg.norm(other - one) / 1e-3
    assert speed**2 == pytest.approx(GRAVITATION * (2 / np.linalg.norm(one) - 1 / axis), rel=1e-3)


def test_a_pass_has_the_delay_of_its_geometry_and_gaps_at_handovers():
    track = leo_pass(seconds=600.0, seed=1)
    delays = [setting.get("delay", 0.0) for setting in track.settings if "delay" in setting]
    least, most = (2 * slant_range(550, elevation) * 1e3 / 299_792_458 + 4e-3 for elevation in (90, 25))
    assert least <= min(delays)
    assert max(delays) <= most
    gone = [time for time, setting in zip(track.times, track.settings, strict=True) if setting.get("loss") == 1.0]
    back = [time for time, setting in zip(track.times, track.settings, strict=True) if setting.get("loss") == 0.0][1:]
    assert len(gone) >= 5
    assert [round(end - start, 3) for start, end in zip(gone, back, strict=True)] == [0.1] * len(gone)
    assert all(time % 15 == 0 for time in gone)


def test_nothing_arrives_where_no_satellite_is_seen():
    track = leo_pass(planes=1.0, each=1.0, seconds=3600.0, step=10.0, inclination=0.0, latitude=80.0)
    assert track.settings == ({"loss": 1.0},)


def test_rain_takes_a_links_rate_and_gives_it_back():
    track = rain_event(profile="microwave(km=10)", peak=50.0, gusts=0.0, seconds=3600.0)
    rates = [setting.get("rate", 0.0) for setting in track.settings if "rate" in setting]
    low = rates.index(min(rates))
    assert rates[: low + 1] == sorted(rates[: low + 1], reverse=True)
    assert rates[low:] == sorted(rates[low:])
    assert rates[0] >= 2 * min(rates) > 0


def test_a_day_leaves_least_in_the_evening():
    track = daily_load(noise=0.0, rate=1e9)
    left = np.array([setting.get("rate", 0.0) for setting in track.settings])
    assert np.argmin(left) * 60 / 3600 == pytest.approx(20.5, abs=0.1)
    assert left.min() == pytest.approx(0.15e9, rel=1e-3)
    assert left.max() == pytest.approx(0.85e9, rel=1e-3)
    waits = [setting.get("wait", 0.0) for setting in track.settings]
    assert max(waits) == pytest.approx(12e-6 * 0.85 / 0.15, rel=1e-2)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.001, 0.1), st.floats(0.001, 1), st.integers(0, 2**31), st.floats(0.001, 3))
def test_a_walk_stays_between_its_bounds(low, span, seed, stride):
    track = random_walk(low=low, high=low + span, seed=seed, stride=stride, seconds=5.0)
    assert all(low - 1e-9 <= setting.get("delay", 0.0) <= low + span + 1e-9 for setting in track.settings)
