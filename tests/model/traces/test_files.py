import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.model.traces.files import read_csv, read_mahimahi
from testbed.model.traces.spec import read_trace
from testbed.model.traces.track import Track, track_of

PACKET = 1504 * 8


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


@settings(deadline=None)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=200).map(sorted).filter(lambda found: found[-1] > 0))
def test_a_mahimahi_trace_lets_as_much_through_as_it_says(moments):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace")
        path.write_text("".join(f"{moment}\n" for moment in moments))
        track = read_mahimahi(path)
    assert track.lap is not None
    assert track.lap >= moments[-1] / 1000
    rates = dict(zip(track.times, (setting.get("rate", 0.0) for setting in track.settings), strict=True))
    busy = 0.0
    for number in range(len({int(moment // 100) for moment in range(moments[-1] + 1)})):
        here = [m for m in moments if number * 100 <= m < number * 100 + 100]
        rate = next(rates[at] for at in sorted(rates, reverse=True) if at <= number * 0.1 + 1e-9)
        if here and number * 100 + 100 < moments[-1]:
            busy += abs(rate * 0.1 - len(here) * PACKET)
    assert busy == pytest.approx(0.0, abs=1e-3)


def test_in_a_pause_a_packet_leaves_at_the_next_opportunity(tmp_path):
    path = tmp_path / "trace"
    path.write_text("50\n1000\n")
    track = read_mahimahi(path)
    assert track.settings[1].get("rate") == pytest.approx(PACKET / 0.9)


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
        ("random-walk(step=0)", "expected a step above 0"),
        ("random-walk(seconds=1e9, step=1e-3)", "at most 1000000"),
        ("random-walk(field=speed)", "expected one of delay"),
        ("random-walk(low=2, high=1)", "expected low below high"),
        ("rain-event(profile=fibre)", "fibre has no parameter 'rain'"),
        ("random-walk(seed=1, seed=2)", "given twice"),
    ],
)
def test_a_trace_that_there_is_not_is_told(tmp_path, text, expected):
    with pytest.raises(BadInput, match=expected):
        read_trace(text, tmp_path)
