from __future__ import annotations

import threading
import time
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulator.messages import StreamResult, StreamStart, StreamStarted, StreamStop
from testbed.emulator.probes import stream
from testbed.errors import BadInput

pytestmark = pytest.mark.alone

REQUEST: dict[str, Any] = {"source": "a", "destination": "10.0.2.2", "sink": "b", "interval": 0.005}
START = 1.7e9


def judge(arrived, count=100, interval=0.01, delay=0.02):
    """Judge a stream where packet N is sent at N intervals and `arrived` lists (number, extra delay)."""
    sent = [START + number * interval for number in range(count)]
    arrivals = stream.Arrivals()
    for number, extra in arrived:
        arrivals.numbers.append(number)
        arrivals.times.append(sent[number] + delay + extra)
    return stream.summarise(array("d", sent), arrivals, interval)


def test_a_stream_without_loss_has_no_gap():
    result = judge([(number, 0) for number in range(100)])
    assert (result.sent, result.received, result.longest_gap, result.gap_started) == (100, 100, 0, 0)
    assert (result.reordered, result.duplicated) == (0, 0)


def test_a_gap_is_as_long_as_what_is_missing():
    result = judge([(number, 0) for number in range(100) if not 40 <= number < 65])
    assert result.longest_gap == pytest.approx(0.25, abs=1e-6)
    assert result.gap_started == pytest.approx(START + 0.39 + 0.02, abs=1e-6)


def test_a_gap_at_the_start_or_end_counts_and_the_delay_of_the_path_does_not():
    late = judge([(number, 0) for number in range(30, 100)], delay=0.3)
    assert (late.longest_gap, late.gap_started) == (pytest.approx(0.3, abs=1e-6), START)
    early = judge([(number, 0) for number in range(80)], delay=0.3)
    assert early.longest_gap == pytest.approx(0.2, abs=1e-6)


def test_nothing_at_all_is_a_gap_of_the_whole_stream():
    result = judge([])
    assert (result.received, result.longest_gap, result.gap_started) == (0, pytest.approx(0.99), START)


def test_jitter_below_an_interval_is_no_gap():
    assert judge([(number, 0.004 * (number % 2)) for number in range(100)]).longest_gap == 0


def test_packets_held_up_and_then_delivered_are_a_silence():
    held = [(number, 0 if number < 50 else max(0.0, 0.3 - 0.01 * (number - 50))) for number in range(100)]
    assert judge(held).longest_gap == pytest.approx(0.3, abs=1e-6)


def test_a_sender_that_was_held_up_is_nobodys_outage():
    sent = [START + number * 0.01 + (0.5 if number >= 50 else 0) for number in range(100)]
    arrivals = stream.Arrivals(array("Q", range(100)), array("d", [moment + 0.02 for moment in sent]))
    assert stream.summarise(sent, arrivals, 0.01).longest_gap == 0


def test_duplicates_and_reordering_are_counted():
    result = judge([(0, 0), (2, 0), (1, 0.02), (3, 0.02), (3, 0.021)], count=4)
    assert (result.received, result.reordered, result.duplicated) == (4, 1, 1)


@given(st.sets(st.integers(0, 59), max_size=60))
def test_the_longest_gap_is_the_longest_run_of_missing_packets(missing):
    result = judge([(number, 0) for number in range(60) if number not in missing], count=60)
    runs = "".join("x" if number in missing else " " for number in range(60)).split(" ")
    longest = max(map(len, runs))
    expected = 0.59 if len(missing) == 60 else longest * 0.01
    assert result.longest_gap == pytest.approx(expected, abs=1e-6)
    assert result.received == 60 - len(missing)


def start(context, **fields) -> int:
    started = stream.handle(StreamStart(**{**REQUEST, **fields}), context)
    assert isinstance(started, StreamStarted)
    return started.stream


def stop(context, number) -> StreamResult:
    result = stream.handle(StreamStop(stream=number), context)
    assert isinstance(result, StreamResult)
    return result


@pytest.mark.parametrize("destination", ["10.0.2.2", "fd00:2::2"])
def test_a_quiet_path_delivers_all(context, destination):
    number = start(context, destination=destination)
    time.sleep(0.3)
    result = stop(context, number)
    assert result.sent == result.received
    assert 40 <= result.sent <= 70
    assert result.longest_gap == 0


def test_a_cut_is_seen_as_long_as_it_lasted(context, lab):
    # A neighbour is looked for again after the cut; if the first question is lost, the kernel waits a second.
    lab.write("r", "ipv4/neigh/eth-b/retrans_time_ms", "20")
    number = start(context)
    time.sleep(0.2)
    down = time.time()
    lab.set_link("r", "eth-b", "down")
    time.sleep(0.4)
    lab.set_link("r", "eth-b", "up")
    up = time.time()
    time.sleep(0.4)
    result = stop(context, number)
    assert up - down - 0.02 <= result.longest_gap <= up - down + 0.2
    assert result.gap_started == pytest.approx(down, abs=0.05)
    assert result.received < result.sent


def test_a_stream_that_nothing_comes_through_starts_and_says_so(context, lab, events, monkeypatch):
    monkeypatch.setattr(stream, "_FIRST_TIMEOUT", 0.2)
    monkeypatch.setattr(stream, "_LAST_TIMEOUT", 0.1)
    lab.set_link("a", "eth-r", "down")
    number = start(context)
    assert "no packet arrived in 0.2 s" in events[0].text
    result = stop(context, number)
    assert result.received == 0
    assert result.longest_gap >= 0.19
    assert "were not sent: Network is unreachable" in events[1].text


def test_the_pace_is_kept_for_fast_streams(context):
    number = start(context, interval=0.0005)
    time.sleep(0.5)
    result = stop(context, number)
    assert result.sent == pytest.approx(1000, rel=0.15)
    assert result.received == result.sent


def test_a_stream_can_be_stopped_once(context):
    number = start(context)
    stop(context, number)
    with pytest.raises(BadInput, match=f"no stream {number} is running"):
        stop(context, number)


def test_streams_end_with_the_lab(context):
    before = threading.active_count()
    start(context)
    start(context)
    context.shared["FlowStart"].close()
    context.shared["SinkOpen"].close()
    assert threading.active_count() == before


@pytest.mark.parametrize(("field", "value"), [("interval", 0.0), ("size", 10), ("dscp", -1), ("sink", "r")])
def test_senseless_requests_are_refused(context, field, value):
    with pytest.raises(BadInput):
        start(context, **{field: value})
