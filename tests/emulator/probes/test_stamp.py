"""STAMP between real network namespaces, and against a sender and a reflector written here from the RFC alone."""

from __future__ import annotations

import math
import random
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import Any

import pytest
from scapy.layers.inet import IP

from testbed.emulator.messages import Stamp, StampResult
from testbed.emulator.probes import sockets, stamp
from testbed.emulator.probes.reflector import Reflectors
from testbed.errors import AgentError, BadInput

pytestmark = pytest.mark.alone

IP_RECVTTL = 12  # linux/in.h
BETWEEN: dict[str, Any] = {"source": "a", "destination": "10.0.2.2", "reflector": "b", "interval": 0.002}


def seconds(ntp: bytes) -> float:
    whole, fraction = struct.unpack("!II", ntp)
    return whole - 2_208_988_800 + fraction / 2**32


@contextmanager
def independent_reflector(lab, behave):
    """A stateful Session-Reflector from the text of RFC 8762 4.3; `behave(number, reply)` lists the replies to send."""
    with lab.node("b").enter():
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("10.0.2.2", 8620))
    sock.settimeout(0.05)
    ended = threading.Event()

    def answer() -> None:
        count = 0
        while not ended.is_set():
            try:
                data, address = sock.recvfrom(2048)
            except TimeoutError:
                continue
            stamp_now = time.time() + 2_208_988_800
            ntp = struct.pack("!II", int(stamp_now), int(stamp_now % 1 * 2**32))
            reply = struct.pack("!I", count) + ntp + b"\x05\x87" + data[14:16] + ntp + data[:14] + bytes(2) + b"\xff"
            for each in behave(count, reply.ljust(len(data), b"\0")):
                sock.sendto(each, address)
            count += 1

    thread = threading.Thread(target=answer)
    thread.start()
    yield
    ended.set()
    thread.join()
    sock.close()


def against_independent(context, lab, behave, **fields):
    request = Stamp(**{**BETWEEN, "count": 50, "timeout": 0.3, **fields})
    with independent_reflector(lab, behave), context.node("a").enter():
        with sockets.datagram(request.destination) as sock:
            return stamp.summarise(request, stamp.run(sock, request, 77, port=8620), None)


@pytest.mark.parametrize("destination", ["10.0.2.2", "fd00:2::2"])
def test_all_packets_of_a_quiet_network_come_back_with_kernel_times(context, destination):
    result = stamp.handle(Stamp(**{**BETWEEN, "destination": destination}), context)
    assert (result.sent, result.received, result.duplicated, result.reordered) == (100, 100, 0, 0)
    assert (result.lost_forward, result.lost_backward) == (0, 0)
    assert result.kernel_timestamps
    for rtt, forward, backward in zip(result.rtt, result.forward, result.backward, strict=True):
        assert rtt == pytest.approx(forward + backward, abs=2e-9)
        assert forward > 0
        assert backward > 0
    assert median(result.rtt) < 0.001


def test_the_times_are_the_kernels_and_not_those_of_a_busy_process(context):
    """A thread that hogs the interpreter delays Python by milliseconds, not the packets."""
    ended = threading.Event()

    def hog() -> None:
        while not ended.is_set():
            sum(range(20_000))

    thread = threading.Thread(target=hog)
    thread.start()
    try:
        result = stamp.handle(Stamp(**{**BETWEEN, "count": 50, "interval": 0.01}), context)
    finally:
        ended.set()
        thread.join()
    assert result.received == 50
    assert sorted(result.rtt)[45] < 0.001


def test_an_independent_sender_is_answered_as_the_rfc_says(context, lab):
    with Reflectors().use(context, "b", "10.0.2.2"), lab.node("a").enter():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 200)
            sock.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            sock.settimeout(2)
            for number in range(3):
                packet = struct.pack("!IIIHH", 1000 + number, 1, 2, 0x0587, 0xCAFE).ljust(99, b"\0")
                before = time.time()
                sock.sendto(packet, ("10.0.2.2", 862))
                reply, ancillary, _, address = sock.recvmsg(2048, 64)
                after = time.time()
                assert address == ("10.0.2.2", 862)
                assert len(reply) == 99
                assert struct.unpack_from("!I", reply)[0] == number
                assert reply[24:38] == packet[:14]
                assert reply[14:16] == packet[14:16]
                assert reply[40] == 199  # one router on the way
                assert before - 1e-6 <= seconds(reply[16:24]) <= seconds(reply[4:12]) <= after + 1e-6
                assert ancillary[0][2][0] == 254  # sent with 255


def test_a_reflector_counts_each_session_on_its_own(context, lab):
    with Reflectors().use(context, "b", "10.0.2.2"), lab.node("a").enter():
        for ssid in (1, 2):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(2)
                sock.sendto(struct.pack("!IIIHH", 5, 0, 0, 1, ssid).ljust(44, b"\0"), ("10.0.2.2", 862))
                assert struct.unpack_from("!I", sock.recv(100))[0] == 0


def test_what_is_no_test_packet_is_not_answered(context, lab):
    with Reflectors().use(context, "b", "10.0.2.2"), lab.node("a").enter():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(2)
            for junk in (b"", b"x" * 43, struct.pack("!IIIHH", 5, 0, 0, 0, 9).ljust(44, b"\0")):
                sock.sendto(junk, ("10.0.2.2", 862))
            good = struct.pack("!IIIHH", 6, 0, 0, 1, 9).ljust(44, b"\0")
            sock.sendto(good, ("10.0.2.2", 862))
            assert sock.recv(100)[24:28] == good[:4]


def test_an_independent_reflector_is_understood(context, lab):
    result = against_independent(context, lab, lambda number, reply: [reply])
    assert (result.sent, result.received, result.lost_forward, result.lost_backward) == (50, 50, 0, 0)
    assert all(0 < rtt < 0.01 for rtt in result.rtt)


def test_lost_replies_are_lost_on_the_way_back_and_have_no_times(context, lab):
    result = against_independent(context, lab, lambda number, reply: [] if number in {3, 7} else [reply])
    assert (result.sent, result.received, result.lost_forward, result.lost_backward) == (50, 48, 0, 2)
    assert [number for number, rtt in enumerate(result.rtt) if math.isnan(rtt)] == [3, 7]
    assert math.isnan(result.forward[3])
    assert math.isnan(result.backward[7])


def test_duplicates_are_counted_once_each(context, lab):
    result = against_independent(context, lab, lambda number, reply: [reply] * (3 if number == 5 else 1))
    assert (result.received, result.duplicated, result.reordered) == (50, 2, 0)


def test_a_packet_that_is_overtaken_is_reordered(context, lab):
    kept = []

    def hold_back(number, reply):
        if number in {10, 20}:
            kept.append(reply)
            return []
        return [reply, kept.pop()] if kept else [reply]

    result = against_independent(context, lab, hold_back)
    assert (result.received, result.reordered, result.duplicated) == (50, 2, 0)


def test_a_packet_that_comes_after_the_timeout_is_lost(context, lab):
    kept = []

    def hold_back(number, reply):
        if number == 0:
            kept.append(reply)
            return []
        return [reply, kept.pop()] if kept and number > 30 else [reply]

    result = against_independent(context, lab, hold_back, interval=0.005, timeout=0.1)
    assert math.isnan(result.rtt[0])
    assert (result.received, result.lost_backward) == (49, 1)


def test_answers_for_another_session_or_packets_never_sent_are_ignored(context, lab):
    def forge(number, reply):
        return [reply, reply[:14] + b"\0\0" + reply[16:], reply[:24] + b"\xff\xff\xff\xff" + reply[28:], b"short"]

    result = against_independent(context, lab, forge)
    assert (result.received, result.duplicated) == (50, 0)


def test_no_listener_is_loss_and_not_a_crash(context, lab):
    request = Stamp(**{**BETWEEN, "count": 10, "timeout": 0.2})
    with context.node("a").enter(), sockets.datagram("10.0.2.2") as sock:
        result = stamp.summarise(request, stamp.run(sock, request, 77, port=8621), None)
    assert (result.sent, result.received, result.lost_forward) == (10, 0, 10)


def test_a_path_cut_midway_loses_what_was_sent_after(context, lab):
    cut = threading.Timer(0.5, lab.set_link, ("r", "eth-b", "down"))
    cut.start()
    result = stamp.handle(Stamp(**{**BETWEEN, "count": 100, "interval": 0.01, "timeout": 0.2}), context)
    cut.join()
    assert 20 < result.received < 70
    assert not math.isnan(result.rtt[10])
    assert all(math.isnan(rtt) for rtt in result.rtt[-20:])
    # The cut may catch one reply under way.
    assert result.lost_forward + result.lost_backward == 100 - result.received
    assert result.lost_backward <= 1


def test_no_route_at_the_source_is_loss_and_is_said(context, lab, events):
    lab.set_link("a", "eth-r", "down")
    result = stamp.handle(Stamp(**{**BETWEEN, "count": 5, "timeout": 0.1}), context)
    assert (result.sent, result.received, result.lost_forward) == (5, 0, 5)
    assert "Network is unreachable" in events[0].text


def test_many_sessions_at_once_do_not_disturb_each_other(context):
    pairs = [("a", "10.0.2.2", "b"), ("b", "10.0.1.1", "a"), ("r", "10.0.2.2", "b"), ("a", "fd00:2::2", "b")] * 3
    requests = [
        Stamp(source=source, destination=destination, reflector=reflector, count=50, interval=0.005)
        for source, destination, reflector in pairs
    ]

    def session(request: Stamp) -> StampResult:
        return stamp.handle(request, context)

    with ThreadPoolExecutor(len(requests)) as pool:
        results = list(pool.map(session, requests))
    assert [(result.sent, result.received, result.duplicated) for result in results] == [(50, 50, 0)] * 12
    assert all(result.kernel_timestamps for result in results)


def test_packets_leave_at_their_times(context):
    started = time.monotonic()
    result = stamp.handle(Stamp(**{**BETWEEN, "count": 200, "interval": 0.003}), context)
    assert result.received == 200
    assert 0.597 <= time.monotonic() - started < 0.75


def drain(sniffer: socket.socket) -> list[bytes]:
    frames = []
    while True:
        try:
            frames.append(sniffer.recv(2048))
        except BlockingIOError:
            return frames


def test_dscp_ttl_and_size_are_on_the_wire_in_both_directions(context, lab):
    with lab.node("r").enter():
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sniffer.bind(("eth-a", 3))  # everything, both directions
    sniffer.setblocking(False)
    with sniffer:
        stamp.handle(Stamp(**{**BETWEEN, "count": 1, "size": 120, "dscp": 46}), context)
        frames = [IP(frame[14:]) for frame in drain(sniffer) if frame[12:14] == b"\x08\x00"]
    assert len(frames) == 4  # priming and the session, there and back
    ports = [(frame.sport, frame.dport) for frame in frames]
    assert [frame.tos for frame in frames] == [46 << 2] * 4
    assert [len(frame["UDP"].payload) for frame in frames] == [120] * 4
    assert sorted({frame.ttl for frame in frames}) == [254, 255]
    assert {port for pair in ports for port in pair} >= {862}


@pytest.mark.parametrize(
    ("field", "value"),
    [("count", 0), ("interval", -1.0), ("interval", math.nan), ("size", 43), ("dscp", 64), ("timeout", 0.0)],
)
def test_senseless_numbers_are_refused(context, field, value):
    with pytest.raises(BadInput, match=field):
        stamp.handle(Stamp(**{**BETWEEN, field: value}), context)


def test_an_address_of_another_node_is_refused(context):
    with pytest.raises(BadInput, match=r"10\.0\.1\.2 belongs to r; expected an address of the reflector b"):
        stamp.handle(Stamp(**{**BETWEEN, "destination": "10.0.1.2"}), context)


def test_an_unknown_node_is_named(context):
    with pytest.raises(BadInput, match="no node called 'c'"):
        stamp.handle(Stamp(**{**BETWEEN, "source": "c"}), context)


def test_a_port_in_use_is_said(context, lab):
    with lab.node("b").enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("10.0.2.2", 862))
        with pytest.raises(AgentError, match=r"cannot listen on 10\.0\.2\.2 port 862"):
            stamp.handle(Stamp(**BETWEEN), context)


def test_nothing_stays_open_after_a_session(context):
    before = threading.active_count()
    stamp.handle(Stamp(**{**BETWEEN, "count": 3}), context)
    assert threading.active_count() == before
    stamp.handle(Stamp(**{**BETWEEN, "count": 3}), context)


def test_session_identifiers_stay_in_range():
    drawn = {stamp.new_ssid() for _ in range(random.Random(1).randrange(65_536, 70_000))}
    assert drawn == set(range(1, 65_536))
