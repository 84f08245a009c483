import itertools
import math
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.model.traces.files import PAUSE, WINDOW, read_csv, read_mahimahi
from testbed.model.traces.spec import read_trace
from testbed.model.traces.track import Track, track_of


def test_a_table_is_read_in_its_units_and_starts_at_zero(tmp_path):
    path = tmp_path / "drive.csv"
    path.write_text("t_s, delay_ms, loss_percent, rate_Mbit\n100,20,1,50\n100.5,25,,\n101,,0,5\n\n")
    track = read_csv(path)
    assert track.times == (0.0, 0.5, 1.0)
    assert track.settings[0] == pytest.approx({"delay": 0.02, "loss": 0.01, "rate": 50e6})
    assert track.settings[1:] == ({"delay": pytest.approx(0.025)}, {"loss": 0.0, "rate": 5e6})
    assert track.lap is None
    assert read_csv(path, repeat=True).lap == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ":1: expected one column of times"),
        ("t_s,delay_ms\n", "expected at least one line"),
        ("t,delay_ms\n0,1", ":1: column 't': expected its unit too: t_s"),
        ("t_s,delay_Mbit\n0,1", ":1: column 'delay_Mbit': expected its unit too: delay_s"),
        ("t_s,loss\n0,1", ":1: column 'loss': expected its unit too: loss_percent or _share"),
        ("t_s,dleay_ms\n0,1", ":1: column 'dleay_ms'; did you mean 'delay'"),
        ("t_s,delay_ms\n0,1\n0,2", ":3: t: 0 s is not after 0 s"),
        ("t_s,delay_ms\n0,1,2", ":2: 3 cells; expected 2"),
        ("t_s,delay_ms\n0,-1", ":2: delay: value '-1': expected a number that is not negative"),
        ("t_s,delay_ms\n,1", ":2: t: value ''"),
        ("t_s,loss_percent\n0,101", ":2: loss: more than all"),
        ("t_s,rate_bit\n0,1", ":2: rate: expected at least 8 bit/s"),
        ("t_s,delay_ms\n0,nan", ":2: delay: value 'nan'"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_with_its_line(tmp_path, text, expected):
    path = tmp_path / "drive.csv"
    path.write_text(text)
    with pytest.raises(BadInput) as refusal:
        read_csv(path)
    assert expected in str(refusal.value)
    assert str(path) in str(refusal.value)


def read_opportunities(moments) -> Track:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace")
        path.write_text("".join(f"{moment}\n" for moment in moments))
        return read_mahimahi(path)


def opportunities(moments, laps):
    """As mahimahi's LinkQueue goes through its schedule: at the end the base moves on by the last moment."""
    base = position = lap = 0
    while lap < laps:
        yield lap, base, base + moments[position]
        position += 1
        if position == len(moments):
            base, position, lap = base + moments[-1], 0, lap + 1


def in_force(track: Track, moment: float):
    """What is set at a moment of the first lap, from all settings up to then."""
    found = {}
    for time, setting in zip(track.times, track.settings, strict=True):
        if time <= moment + 1e-9:
            found |= setting
    return found


MOMENTS = st.lists(st.integers(0, 2500), min_size=1, max_size=150).map(sorted).filter(lambda found: found[-1] > 0)


@settings(deadline=None, max_examples=60)
@given(MOMENTS, st.integers(1, 3))
def test_each_window_delivers_the_bytes_of_its_opportunities_lap_after_lap(moments, laps):
    track = read_opportunities(moments)
    last = moments[-1]
    assert track.lap == last / 1000
    expected = Counter()
    for lap, base, moment in opportunities(moments, laps):
        expected[lap, min(moment - base, last - 1) // WINDOW] += 1514
    for lap, window in itertools.product(range(laps), range(math.ceil(last / WINDOW))):
        now = in_force(track, window * WINDOW / 1000)
        length = min(WINDOW, last - window * WINDOW) / 1000
        delivered = 0 if now["wait"] else now["rate"] * length / 8
        assert delivered == pytest.approx(expected[lap, window], abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(MOMENTS)
def test_in_a_pause_packets_wait_for_the_next_opportunity_and_leave_at_its_windows_rate(moments):
    track = read_opportunities(moments)
    for moment in range(0, moments[-1], PAUSE):
        now = in_force(track, moment / 1000)
        if now["wait"]:
            opens = next(one for one in moments if one >= moment)
            assert now["wait"] == pytest.approx((opens - moment) / 1000)
            assert now["rate"] == in_force(track, min(opens, moments[-1] - 1) // WINDOW * WINDOW / 1000)["rate"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected delivery opportunities"),
        ("0\n", "the last above 0"),
        ("5\nx\n", ":2: value 'x'"),
        ("5\n3\n", ":2: 3 ms is before 5 ms"),
    ],
)
def test_what_is_wrong_with_a_mahimahi_trace_is_told_with_its_line(tmp_path, text, expected):
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(BadInput, match=expected):
        read_mahimahi(path)


def test_settings_that_change_nothing_are_left_out():
    track = track_of([(0, {"delay": 1.0, "loss": 0.0}), (1, {"delay": 1.0}), (2, {"delay": 2.0, "loss": 0.0})])
    assert track.times == (0, 2)
    assert track.settings == ({"delay": 1.0, "loss": 0.0}, {"delay": 2.0})


@pytest.mark.parametrize(
    ("times", "lap", "expected"),
    [
        ((), None, "of 0 times"),
        ((1, 0), None, "not ascending"),
        ((-1,), None, "not ascending"),
        ((0, 2), 2, "begins anew"),
    ],
)
def test_a_track_that_cannot_be_played_is_refused(times, lap, expected):
    with pytest.raises(BadInput, match=expected):
        Track(times, tuple({"delay": 0.1} for _ in times), lap)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("csv:no.csv", "no.csv"),
        ("mahimahi:no", "expected a readable mahimahi trace"),
        ("leo-pas", "did you mean 'leo-pass'"),
        ("leo-pass(heihgt=1)", "did you mean 'height'"),
        ("leo-pass(height=x)", "height=x: expected a number"),
        ("random-walk(step=0)", "step=0: expected a number from 0.001"),
        ("random-walk(step=nan)", "step=nan: expected a number from 0.001"),
        ("random-walk(seed=-1)", "seed=-1: expected a number from 0 to"),
        ("random-walk(seconds=1e9, step=1e-3)", "at most 1000000"),
        ("random-walk(field=loss, high=2, stride=1, seed=3)", "a trace with loss 1.* at .* s; expected 0 to 1"),
        ("leo-pass(gap=2)", "gap=2: expected less than step=1"),
        ("random-walk(field=speed)", "expected one of delay"),
        ("random-walk(low=2, high=1)", "expected low below high"),
        ("rain-event(profile=fibre)", "fibre has no parameter 'rain'"),
        ("random-walk(seed=1, seed=2)", "given twice"),
    ],
)
def test_a_trace_that_there_is_not_is_told(tmp_path, text, expected):
    with pytest.raises(BadInput, match=expected):
        read_trace(text, tmp_path)
