"""Streams without sockets: nothing is lost, doubled or shifted, however they are cut."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.broker.line import Line
from sdr.broker.streams import connect
from sdr.channel.base import LATENCY
from sdr.channel.paths import Gain, decibel
from tests.sdr.channels import Delay, arrived
from tests.sdr.plain import noise

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=20)
CHANNELS = st.builds(Delay, st.integers(0, 30), st.complex_numbers(max_magnitude=10, width=64))
QUICK = settings(max_examples=40)
RADIOS = {"cell": (["c"], ["c"]), "one": (["u"], ["u"]), "two": (["v"], ["v"])}


def build(channels):
    return connect(RADIOS, channels)


def formed(receive, stop):
    out = np.full(stop - receive.count, 7, np.complex64)
    receive.form(out)
    return out


@QUICK
@given(LENGTHS, st.integers(0, 20), st.data())
def test_a_line_gives_back_what_was_put_in(lengths, reach, data):
    line, sent = Line(reach, room=8), np.zeros(0, np.complex64)
    for number, length in enumerate(lengths):
        if data.draw(st.booleans()):
            line.append(noise(length, number))
            sent = np.append(sent, noise(length, number))
        else:
            line.silence(length)
            sent = np.append(sent, np.zeros(length, np.complex64))
        start = data.draw(st.integers(line.kept, line.count))
        expected = np.append(np.zeros(reach, np.complex64), sent)[start : line.count + reach]
        assert np.array_equal(line.span(start - reach, line.count), expected)
        line.forget(data.draw(st.integers(0, line.count)))


def test_a_line_that_is_read_does_not_grow():
    line = Line(reach=30, room=64)
    for number in range(10_000):
        line.append(noise(50, number % 3))
        line.forget(line.count - 10)
    assert len(line._data) < 1000


@QUICK
@given(LENGTHS, LENGTHS, LENGTHS, CHANNELS, CHANNELS)
def test_a_receiver_hears_the_sum_of_the_delayed_inputs_bit_for_bit(first, second, served, one, two):
    stations = build({("u", "c"): one, ("v", "c"): two, ("c", "u"): Delay(0), ("c", "v"): Delay(0)})
    hears = stations["cell"].receives[0]
    for station in stations.values():
        station.join()
    sent = {"one": noise(sum(first)), "two": noise(sum(second), 1)}
    heard, frames = [], {"one": list(first), "two": list(second)}
    for length in served * 3:
        for name, left in frames.items():
            if left:
                line = stations[name].transmits[0].line
                size = left.pop()
                line.append(sent[name][line.count : line.count + size])
                line.forget(stations[name].transmits[0].slowest())
        heard.append(formed(hears, min(hears.available(), hears.count + length)))
        hears.count += len(heard[-1])
    expected = np.zeros(hears.count, np.complex64)
    expected += arrived(one, sent["one"], hears.count)
    expected += arrived(two, sent["two"], hears.count)
    assert np.concatenate(heard).tobytes() == expected.tobytes()


@QUICK
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.booleans()), max_size=12))
def test_a_radio_that_stood_still_is_as_late_as_it_was_and_one_that_starts_anew_starts_all_ports_at_once(story):
    stations = build({("u", "c"): Delay(3), ("c", "u"): Delay(5), ("c", "v"): Delay(0), ("v", "c"): Delay(0)})
    cell, ue = stations["cell"], stations["one"]
    (sends,), (hears,) = ue.transmits, ue.receives
    cell.join()
    ue.join()
    sends.line.append(noise(7))
    for fresh, samples, ahead in story:
        apart = sends.line.count - hears.count
        ue.leave(fresh)
        cell.transmits[0].line.append(noise(samples))
        cell.transmits[0].line.forget(cell.transmits[0].slowest())
        if ahead:
            ue.stand_still(cell.transmits[0].line.count)
        ue.join()
        assert sends.line.count - hears.count == (0 if fresh else apart)
        assert hears.count >= cell.transmits[0].line.kept
        if hears.available() > hears.count:
            formed(hears, hears.available())


@QUICK
@given(st.floats(-60, 20), LENGTHS)
def test_a_gain_changes_the_power_by_what_it_says(db, lengths):
    line = np.append(np.zeros(LATENCY, np.complex64), noise(sum(lengths)))
    out = np.zeros(sum(lengths), np.complex64)
    start = 0
    for length in lengths:
        Gain(decibel(db)).add(line[start : start + LATENCY + length], start, out[start : start + length])
        start += length
    assert np.allclose(out, line[: len(out)] * 10 ** (db / 20), rtol=1e-6)
