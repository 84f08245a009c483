"""Both ends of a port against plain ZeroMQ sockets that do what srsRAN and GNU Radio do."""

import time

import numpy as np
import pytest
import zmq

from sdr.wire import FC32, SC16, BadFrame, Inlet, Outlet
from testbed.errors import AddressInUse, Unable
from tests.sdr.plain import WAIT, free_address, noise, plain

REQUESTS = {"4g": b"\xff", "project": b"\x00", "gnuradio": b"\x00\x20\x00\x00"}


@pytest.fixture(params=["tcp", "ipc"])
def address(request, tmp_path):
    if request.param == "ipc":
        return f"ipc://{tmp_path}/port"
    return free_address()


def ask(inlet):
    """Wait until the radio is asked, which may come as late as it likes."""
    deadline = time.monotonic() + WAIT
    while not inlet.asked:
        assert inlet.receive(0.01) is None
        assert time.monotonic() < deadline, "the radio is not there"


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_an_outlet_answers_every_kind_of_request(keep, context, address, request_):
    outlet = keep(Outlet(context, address))
    radio = keep(plain(context, zmq.REQ, address))
    for length in (1, 3, 11520, 1):
        radio.send(request_)
        assert outlet.send(noise(length), WAIT)
        assert radio.recv() == noise(length).tobytes()


@pytest.mark.parametrize("length", [1, 7, 3_000_000])
def test_an_inlet_takes_frames_of_any_length_from_a_radio(keep, context, address, length):
    radio = keep(plain(context, zmq.REP, address))
    inlet = keep(Inlet(context, address))
    ask(inlet)
    asked = radio.recv()
    assert len(asked) == 4, "GNU Radio's REP sink reads 4 bytes; srsRAN any number above 0"
    radio.send(noise(length).tobytes())
    received = inlet.receive(WAIT)
    assert np.array_equal(received, noise(length))


def test_an_inlet_asks_once_for_each_frame(keep, context, address):
    radio = keep(plain(context, zmq.REP, address))
    inlet = keep(Inlet(context, address))
    ask(inlet)
    assert inlet.receive(0.02) is None
    radio.recv()
    radio.send(noise(5).tobytes())
    assert inlet.receive(WAIT) is not None
    radio.rcvtimeo = 50
    with pytest.raises(zmq.Again):
        radio.recv()


def test_a_radio_that_comes_late_restarts_and_dies_with_a_request_unanswered_is_asked_again(keep, context, address):
    inlet = keep(Inlet(context, address))
    assert inlet.receive(0.05) is None
    for start in range(3):
        radio = keep(plain(context, zmq.REP, address))
        ask(inlet)
        radio.recv()
        radio.send(noise(9, start).tobytes())
        assert np.array_equal(inlet.receive(WAIT), noise(9, start))
        ask(inlet)
        radio.recv()
        radio.close(0)
        while inlet.connected:
            assert inlet.monitor.poll(WAIT * 1000)
            inlet.changes()


def test_an_outlet_serves_the_radio_that_asks_now(keep, context, address):
    outlet = keep(Outlet(context, address))
    for start in range(3):
        radio = keep(plain(context, zmq.REQ, address))
        radio.send(b"\xff")
        assert outlet.socket.poll(WAIT * 1000)
        assert outlet.hear() is True
        assert outlet.give(noise(4, start))
        assert radio.recv() == noise(4, start).tobytes()
        radio.send(b"\xff")
        assert outlet.socket.poll(WAIT * 1000)
        assert outlet.hear() is False
        radio.close(0)


@pytest.mark.parametrize("length", [0, 1, 7, 12, 8 * 1000 + 4])
def test_a_frame_that_is_no_whole_number_of_samples_is_told(keep, context, address, length):
    radio = keep(plain(context, zmq.REP, address))
    inlet = keep(Inlet(context, address))
    ask(inlet)
    radio.recv()
    radio.send(bytes(length))
    with pytest.raises(BadFrame, match=f"a frame of {length} bytes: expected whole samples of 8 bytes"):
        inlet.receive(WAIT)


def test_published_samples_come_in_order(keep, context, address):
    outlet = keep(Outlet(context, address, "publish"))
    inlet = keep(Inlet(context, address, "publish"))
    for number in range(20):
        assert outlet.send(noise(100, number), WAIT)
    for number in range(20):
        assert np.array_equal(inlet.receive(WAIT), noise(100, number))


def test_published_samples_reach_plain_sockets(keep, context, address):
    outlet = keep(Outlet(context, address, "publish"))
    radio = keep(plain(context, zmq.SUB, address))
    radio.subscribe(b"")
    assert outlet.send(noise(5), WAIT)
    assert radio.recv() == noise(5).tobytes()


def test_an_outlet_and_an_inlet_agree_in_sc16(keep, context, address):
    outlet, inlet = keep(Outlet(context, address, form=SC16)), keep(Inlet(context, address, form=SC16))
    ask(inlet)
    sent = np.array([1, -1, 0.5j, 2 - 2j], np.complex64)
    assert outlet.send(sent, WAIT)
    received = inlet.receive(WAIT)
    assert received is not None
    assert np.allclose(received, [1, -1, 0.5j, 1 - 1j], atol=1 / 16384)


def test_bytes_are_interleaved_little_endian_floats():
    samples = np.array([1 + 2j, -3 - 4j], np.complex64)
    assert bytes(FC32.write(samples)) == np.array([1, 2, -3, -4], "<f4").tobytes()
    assert bytes(SC16.write(samples / 4)) == np.array([8192, 16384, -24575, -32767], "<i2").tobytes()


def test_a_taken_address_is_told(keep, context, address):
    outlet = keep(Outlet(context, address))
    if address.startswith("tcp"):
        with pytest.raises(AddressInUse, match="cannot listen on tcp://"):
            keep(Outlet(context, address))
    with pytest.raises(Unable, match="cannot listen on"):
        Outlet(context, "ipc:///nowhere/at/all")
    outlet.close()
