"""The radios over ipc://, joined directly."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from sdr.radio.measurement import bler
from sdr.radio.peer import ReceivePort, TransmitPort
from sdr.radio.receiver import Receiver
from sdr.radio.transmitter import Transmitter
from testbed.errors import AddressInUse, BadInput, NotReady, Unable
from tests.sdr.radio.air import NARROW

ENOUGH = 20
"""Seconds, on a slow machine."""


@pytest.fixture
def context() -> Iterator[zmq.Context]:
    """A context whose end hangs, and the test with it, when a socket was left open."""
    with zmq.Context() as context:
        yield context


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/port"


@pytest.mark.parametrize("frame", [11_520, 1_919])
def test_a_receiver_hears_a_transmitter(context, address, frame):
    transmit = TransmitPort(context, address, Transmitter(NARROW, 77), frame)
    with transmit, ReceivePort(context, address, Receiver(NARROW)) as port:
        seen = [each for _ in range(60_000 // frame) for each in port.take(ENOUGH)]
    assert len(seen) == (60_000 // frame) * frame // NARROW.slot
    assert bler(seen) == 0
    assert {each.cell for each in seen} == {77}
    assert max(abs(each.delay) for each in seen) < 1e-12


@pytest.mark.parametrize("request_bytes", [b"\xff", b"\x00", b"\x01\x02\x03\x04", b""])
def test_any_request_bytesgets_the_stream_s_next_frame(context, address, request_bytes):
    with TransmitPort(context, address, Transmitter(NARROW, seed=3), 100), context.socket(zmq.REQ) as peer:
        peer.connect(address)
        frames = []
        for _ in range(3):
            peer.send(request_bytes)
            assert peer.poll(ENOUGH * 1000)
            frames.append(peer.recv())
    assert b"".join(frames) == Transmitter(NARROW, seed=3).read(300).astype("<c8").tobytes()


def test_a_transmitter_that_comes_late_is_awaited_and_loses_nothing(context, address):
    with ReceivePort(context, address, Receiver(NARROW)) as port:
        with pytest.raises(NotReady, match=r"no samples from ipc://.* within 0.01 s"):
            port.take(0.01)
        with TransmitPort(context, address, Transmitter(NARROW), NARROW.frame + NARROW.slot):
            seen = port.take(ENOUGH)
    assert [each.slot for each in seen] == [*range(10), 0]
    assert abs(seen[0].delay) < 1e-12


def test_no_whole_number_of_samples_is_refused_and_the_next_frame_taken(context, address):
    whole = Transmitter(NARROW).read(NARROW.frame + NARROW.slot)
    with context.socket(zmq.REP) as peer, ReceivePort(context, address, Receiver(NARROW)) as port:
        peer.bind(address)
        with pytest.raises(NotReady):
            port.take(0)
        answer(peer, b"1234567890123")
        with pytest.raises(BadInput, match="sent 13 bytes; expected whole samples of 8 bytes"):
            port.take(ENOUGH)
        with pytest.raises(NotReady):
            port.take(0)
        answer(peer, whole.tobytes())
        assert len(port.take(ENOUGH)) == 11


def answer(peer: zmq.Socket, frame: bytes) -> None:
    """Wait for the receiver's request, one byte, and answer it."""
    assert peer.poll(ENOUGH * 1000)
    assert peer.recv() == b"\xff"
    peer.send(frame)


def test_an_address_that_is_taken_or_none_is_refused(context, address):
    with context.socket(zmq.REP) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        with pytest.raises(AddressInUse, match="cannot listen on tcp"):
            TransmitPort(context, f"tcp://127.0.0.1:{port}", Transmitter(NARROW))
    with pytest.raises(Unable, match="cannot listen on nonsense"):
        TransmitPort(context, "nonsense", Transmitter(NARROW))
    with pytest.raises(Unable, match="cannot connect to nonsense"):
        ReceivePort(context, "nonsense", Receiver(NARROW))
    with pytest.raises(BadInput, match="frame is 0"):
        TransmitPort(context, address, Transmitter(NARROW), 0)


def test_an_address_is_free_again_at_once(context, address):
    for _ in range(3):
        with TransmitPort(context, address, Transmitter(NARROW)):
            pass
