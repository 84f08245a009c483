"""The broker between radios that are plain ZeroMQ sockets, driven step by step."""

import threading
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdr.broker.engine import Broker
from sdr.broker.scenario import Radio, Scenario, port_name
from sdr.channel.base import LATENCY
from testbed.errors import AddressInUse
from tests.sdr.channels import Delay, arrived
from tests.sdr.plain import WAIT, free_address, noise, plain

RATE = 1e6


class PlainRadio:
    """A radio with one antenna: its transmit port binds and answers, its receive port connects and asks."""

    def __init__(self, context, transmit, receive, request=b"\xff"):
        self.transmit = plain(context, zmq.REP, transmit)
        self.receive = plain(context, zmq.REQ, receive)
        self.request = request
        self.asked = False
        self.heard = np.zeros(0, np.complex64)

    def send(self, samples):
        self.transmit.recv()
        self.transmit.send(samples.tobytes())

    def hear(self, count):
        """The next `count` samples."""
        while len(self.heard) < count:
            if not self.asked:
                self.receive.send(self.request)
            self.asked = True
            frame = self.receive.recv()
            self.asked = False
            self.heard = np.append(self.heard, np.frombuffer(frame, np.complex64))
        self.heard, now = self.heard[count:], self.heard[:count]
        return now

    def ask(self):
        self.receive.send(self.request)
        self.asked = True

    def close(self):
        self.transmit.close(0)
        self.receive.close(0)


class Bench:
    """A running broker, its radios and what it tells."""

    def __init__(self, stack, context, scenario, channels=None):
        self.scenario, self.context, self.stack = scenario, context, stack
        self.events, self._told = [], threading.Condition()
        self.broker = stack.enter_context(Broker(scenario, self._tell, channels))
        stop = threading.Event()
        thread = threading.Thread(target=self.broker.run, args=(stop,))
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)

    def radio(self, name, request=b"\xff"):
        asked = self.scenario.radios[name]
        radio = PlainRadio(self.context, asked.transmit[0], asked.receive[0], request)
        self.stack.callback(radio.close)
        return radio

    def _tell(self, event):
        with self._told:
            self.events.append(event)
            self._told.notify_all()

    def wait(self, radio, what):
        """Wait for an event, and return it."""

        def found():
            return [one for one in self.events if (one.radio, one.what) == (radio, what)]

        with self._told:
            assert self._told.wait_for(found, WAIT), f"no {what} of {radio} in {self.events}"
            event = found()[0]
            self.events.remove(event)
            return event


def scenario(ues=("ue1",), **more):
    def radio():
        return Radio(transmit=(free_address(),), receive=(free_address(),))

    given_ = {"patience": 60.0, "gather": 60.0, "ahead": 0.02, **more}
    return Scenario(rate=RATE, cells={"gnb": radio()}, ues={name: radio() for name in ues}, **given_)


@contextmanager
def bench(context, *args, channels=None, **more):
    with ExitStack() as stack:
        yield Bench(stack, context, scenario(*args, **more), channels)


def spread(frames, samples):
    """Cut samples into frames of given lengths, again and again."""
    at = 0
    while at < len(samples):
        for length in frames:
            yield samples[at : at + length]
            at += length
            if at >= len(samples):
                return


def transmit(radio, frames, samples):
    thread = threading.Thread(target=lambda: [radio.send(frame) for frame in spread(frames, samples)])
    thread.start()
    return thread


@settings(max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(1, 700), min_size=1, max_size=4), min_size=3, max_size=3), st.integers(0, 99))
def test_receivers_hear_the_sum_of_the_delayed_inputs_bit_for_bit(context, frames, seed):
    names = ("gnb", "ue1", "ue2")
    total = 3000
    sent = {name: noise(total, seed + number) for number, name in enumerate(names)}
    delays = [
        ("ue1", "gnb", Delay(17, 0.5j)),
        ("ue2", "gnb", Delay(0, 2)),
        ("gnb", "ue1", Delay(3)),
        ("gnb", "ue2", Delay(900)),
    ]
    channels = {(port_name(a, "tx"), port_name(b, "rx")): one for a, b, one in delays}
    with bench(context, ("ue1", "ue2"), channels=channels) as at:
        radios = {name: at.radio(name) for name in names}
        threads = [transmit(radios[name], cut, sent[name]) for name, cut in zip(names, frames, strict=True)]
        heard = {name: radios[name].hear(total) for name in names}
        for thread in threads:
            thread.join(WAIT)
    for name in names:
        expected = np.zeros(total, np.complex64)
        for source, sink, channel in delays:
            if sink == name:
                expected += arrived(channel, sent[source], total)
        assert heard[name].tobytes() == expected.tobytes(), name


def test_frames_of_one_sample_and_of_three_million_go_through(context):
    with bench(context) as at:
        gnb, ue = at.radio("gnb"), at.radio("ue1")
        sent = noise(3_000_000)
        ue.send(noise(1))
        thread = transmit(gnb, [len(sent)], sent)
        heard = ue.hear(len(sent))
        assert heard[LATENCY:].tobytes() == sent[:-LATENCY].tobytes()
        assert gnb.hear(1) == 0
        thread.join(WAIT)


@pytest.mark.parametrize("request_", [b"\xff", b"\x00", b"\x00\x20\x00\x00"], ids=["4g", "project", "gnuradio"])
def test_every_kind_of_request_is_answered(context, request_):
    with bench(context) as at:
        gnb, ue = at.radio("gnb", request_), at.radio("ue1", request_)
        gnb.send(noise(20))
        ue.send(noise(30, 1))
        assert np.array_equal(ue.hear(20)[LATENCY:], noise(20)[:-LATENCY])
        assert np.array_equal(gnb.hear(30)[LATENCY:], noise(30, 1)[:-LATENCY])


def test_a_cell_goes_on_while_no_ue_ever_comes(context):
    with bench(context, ("ue1", "ue2"), gather=0.0) as at:
        gnb = at.radio("gnb")
        for _ in range(20):
            gnb.send(noise(100))
            assert not gnb.hear(100).any()
        assert at.wait("gnb", "joined").silence == 0


def test_nobody_waits_for_a_ue_that_has_asked_and_is_not_ready_to_send(context):
    with bench(context, gather=0.0) as at:
        gnb = at.radio("gnb")
        gnb.send(noise(100))
        at.radio("ue1").ask()
        for _ in range(20):
            gnb.hear(100)
            gnb.send(noise(100))


def test_a_ue_that_hears_before_it_sends_is_let_in_after_a_while(context):
    with bench(context, gather=0.0, patience=0.2) as at:
        gnb, ue = at.radio("gnb"), at.radio("ue1")
        gnb.send(noise(100))
        ue.ask()
        joined = at.wait("ue1", "joined")
        gnb.send(noise(100, 1))
        heard = ue.hear(100)
        ue.send(heard)
        assert np.array_equal(heard[LATENCY:], noise(100, 1)[:-LATENCY])
        assert np.array_equal(gnb.hear(joined.count + 100)[-100 + LATENCY :], heard[:-LATENCY])


def ramp(start, count):
    """Samples that tell their own count."""
    return np.arange(start, start + count).astype(np.complex64)


def test_a_ue_that_comes_late_and_restarts_starts_both_its_ports_at_one_count(context):
    with bench(context, gather=0.0) as at:
        gnb = at.radio("gnb")
        gnb.send(ramp(0, 1000))
        at.wait("gnb", "joined")
        sent, heard = 1000, 0
        for _ in range(3):
            ue = at.radio("ue1")
            ue.ask()
            first = np.full(40, 1 + 1j, np.complex64)
            ue.send(first)
            joined = at.wait("ue1", "joined")
            gnb.send(ramp(sent, 1000))
            sent += 1000
            below = ue.hear(10)
            uplink = gnb.hear(joined.count + 40 - heard)
            heard = joined.count + 40
            assert np.array_equal(below[LATENCY:], ramp(joined.count, 10)[: 10 - LATENCY])
            assert np.count_nonzero(uplink) == 40 - LATENCY
            assert np.array_equal(uplink[-40 + LATENCY :], first[: 40 - LATENCY])
            ue.close()
            at.wait("ue1", "ended")
            gnb.hear(sent - heard)
            heard = sent


def test_a_ue_that_pauses_holds_nobody_up_for_long_and_is_as_late_afterwards_as_before(context):
    with bench(context, ("ue1", "ue2"), patience=0.2) as at:
        gnb, one, two = (at.radio(name) for name in ("gnb", "ue1", "ue2"))
        for radio in (one, two):
            radio.send(np.ones(100, np.complex64))
        gnb.send(ramp(0, 300))
        assert np.array_equal(gnb.hear(100)[LATENCY:], np.full(100 - LATENCY, 2))
        assert np.array_equal(one.hear(50)[LATENCY:], ramp(0, 50)[:-LATENCY])
        gnb.ask()
        two.send(np.ones(100, np.complex64))
        at.wait("ue1", "paused")
        # Both ends of the silence are late by the channel's latency.
        silent = gnb.hear(100)
        assert np.array_equal(silent[:LATENCY], np.full(LATENCY, 2))
        assert np.array_equal(silent[LATENCY:], np.ones(100 - LATENCY))
        one.send(np.ones(10, np.complex64))
        back = at.wait("ue1", "resumed")
        two.send(np.ones(300, np.complex64))
        gnb.send(ramp(300, 300))
        assert np.count_nonzero(gnb.hear(back.count + 10 - 200) == 2) == 10 - LATENCY
        # It had heard up to count 300 of what the cell sent; what it hears now is later by the silence.
        assert back.silence == 200
        assert np.array_equal(one.hear(250), ramp(50 - LATENCY, 250))
        assert np.array_equal(one.hear(20), ramp(500 - LATENCY, 20))


def test_a_cell_that_waited_for_a_ue_is_not_blamed_for_it(context):
    with bench(context, ("ue1", "ue2"), patience=0.5) as at:
        gnb, one, two = (at.radio(name) for name in ("gnb", "ue1", "ue2"))
        for radio in (gnb, one):
            radio.send(noise(100))
        two.send(noise(200))
        gnb.hear(100)
        two.hear(100)
        gnb.ask()
        two.ask()
        at.wait("ue1", "paused")
        gnb.hear(100)
        time.sleep(0.2)  # a cell that computes, for several looks at who holds up whom
        gnb.send(noise(100))
        two.hear(100)
        assert not [one for one in at.events if one.what == "paused"]


@pytest.mark.parametrize("length", [1, 12, 0])
def test_a_radio_that_sends_no_whole_samples_is_dropped_and_the_rest_goes_on(context, length):
    with bench(context, ("ue1", "ue2")) as at:
        gnb, one, two = (at.radio(name) for name in ("gnb", "ue1", "ue2"))
        sent = noise(600)
        thread = transmit(two, [37], sent)
        one.transmit.recv()
        one.transmit.send(bytes(length))
        dropped = at.wait("ue1", "dropped")
        assert f"a frame of {length} bytes" in str(dropped)
        gnb.send(noise(600, 1))
        assert np.array_equal(gnb.hear(600)[LATENCY:], sent[:-LATENCY])
        assert np.array_equal(two.hear(600)[LATENCY:], noise(600, 1)[:-LATENCY])
        thread.join(WAIT)
        one.close()
        at.wait("ue1", "ended")
        again = at.radio("ue1")
        again.send(noise(5))
        at.wait("ue1", "joined")


def test_samples_are_held_back_to_real_time(context):
    with bench(context, realtime=True) as at:
        gnb, ue = at.radio("gnb"), at.radio("ue1")
        ue.send(noise(1))
        started = time.monotonic()
        gnb.send(noise(100_000))
        ue.hear(100_000)
        assert time.monotonic() - started >= 100_000 / RATE


def test_an_address_that_somebody_has_is_told_with_the_radio(context):
    asked = scenario()
    with plain(context, zmq.REP, asked.ues["ue1"].receive[0]), pytest.raises(AddressInUse, match="ue1: cannot listen"):
        Broker(asked)


def test_published_samples_go_through_in_both_directions(context):
    asked = scenario(gather=60.0)
    publishing = {name: radio.model_copy(update={"style": "publish"}) for name, radio in asked.ues.items()}
    with ExitStack() as stack:
        at = Bench(stack, context, asked.model_copy(update={"ues": publishing}))
        gnb, (ue,) = at.radio("gnb"), publishing.values()
        sends = context.socket(zmq.XPUB)
        hears = plain(context, zmq.SUB, ue.receive[0])
        stack.callback(sends.close, 0)
        stack.callback(hears.close, 0)
        sends.bind(ue.transmit[0])
        hears.subscribe(b"")
        assert sends.recv() == b"\x01"
        for number in range(5):
            sends.send(noise(100, number).tobytes())
        gnb.send(noise(500, 7))
        expected = np.concatenate([noise(100, number) for number in range(5)])
        assert np.array_equal(gnb.hear(500)[LATENCY:], expected[:-LATENCY])
        heard = b""
        while len(heard) < 4000:
            heard += hears.recv()
        assert np.array_equal(np.frombuffer(heard, np.complex64)[LATENCY:], noise(500, 7)[:-LATENCY])
