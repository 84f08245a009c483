"""Ends of GTP-U tunnels: what comes, what is foreign, what is no GTP-U at all."""

import asyncio
import socket
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.gtp import GTP_U_Header, GTPEchoResponse, GTPErrorIndication, GTPPDUSessionContainer

from core5g.gtpu import header
from core5g.gtpu.endpoint import Endpoint
from core5g.gtpu.tunnel import Tunnel
from testbed.errors import AddressInUse, Unable
from tests.core5g.network import asynchronous

HERE = "127.0.6.1"


@contextmanager
def two():
    """Two ends with the same port, as on N3."""
    first = Endpoint(HERE, 0)
    first.start()
    second = Endpoint("127.0.6.2", first.port)
    second.start()
    try:
        yield first, second
    finally:
        first.stop()
        second.stop()


@pytest.mark.parametrize("qfi", [None, 1, 63])
@pytest.mark.parametrize("size", [0, 1, 1400, 60_000])
@asynchronous
async def test_a_packet_comes_as_it_was_sent(qfi, size):
    with two() as (first, second):
        came = asyncio.Queue()
        second.receivers[5] = lambda packet, flow: came.put_nowait((bytes(packet), flow))
        first.send(Tunnel(second.address[0], 5), bytes(range(256)) * (size // 256) + bytes(size % 256), qfi)
        packet, flow = await asyncio.wait_for(came.get(), 5)
        assert (len(packet), flow) == (size, qfi)


@asynchronous
async def test_who_sends_into_a_foreign_tunnel_is_told():
    with two() as (first, second):
        told = asyncio.Queue()
        first.on_error = lambda *meant: told.put_nowait(meant)
        first.send(Tunnel("127.0.6.2", 99), b"nobody")
        assert await asyncio.wait_for(told.get(), 5) == (99, IPv4Address("127.0.6.2"))
        assert second.counts["foreign"] == 1


@asynchronous
async def test_an_echo_is_answered_with_its_number():
    with two() as (first, _), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        other.bind((HERE, 0))
        other.sendto(bytes(GTP_U_Header(gtp_type=1, S=1, seq=4711)), first.address)
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(other, 100), 5)
        read = GTP_U_Header(data)
        assert (read.gtp_type, read.seq) == (2, 4711)
        assert GTPEchoResponse in read


@asynchronous
async def test_the_outer_packet_is_marked_and_only_while_it_is_asked():
    with two() as (first, second), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.6.3", first.port))
        other.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        for tos in (46 << 2, 46 << 2, 0):
            first.send(Tunnel("127.0.6.3", 1), b"x", 1, tos=tos)
        got = [other.recvmsg(100, 100)[1][0][2][0] for _ in range(3)]
        assert got == [46 << 2, 46 << 2, 0]
        assert second.counts == {}


@asynchronous
async def test_an_end_marker_says_which_tunnel_has_ended():
    with two() as (first, second):
        ended = asyncio.Queue()
        second.on_end = ended.put_nowait
        first.send_end_marker(Tunnel("127.0.6.2", 7))
        assert await asyncio.wait_for(ended.get(), 5) == 7


@asynchronous
async def test_where_it_cannot_listen_it_says_so():
    with two() as (first, _):
        with pytest.raises(AddressInUse, match=HERE):
            Endpoint(HERE, first.port).start()
        with pytest.raises(Unable, match=r"192\.0\.2\.1"):
            Endpoint("192.0.2.1").start()


def test_headers_are_what_another_implementation_reads():
    read = GTP_U_Header(header.head(0x01020304, 5, 9, downlink=False) + b"\x45abcd")
    assert (read.teid, read.length, read.gtp_type) == (0x01020304, 13, 255)
    assert (read[GTPPDUSessionContainer].type, read[GTPPDUSessionContainer].QFI) == (1, 9)
    read = GTP_U_Header(header.head(1, 5, 63, downlink=True) + b"\x45abcd")
    assert (read[GTPPDUSessionContainer].type, read[GTPPDUSessionContainer].QFI) == (0, 63)
    error = GTP_U_Header(header.error_indication(77, IPv4Address("10.0.0.1")))
    assert GTPErrorIndication in error
    assert error[GTPErrorIndication].IE_list[0].TEIDI == 77


@pytest.mark.parametrize("address", [IPv4Address("10.0.0.1"), IPv6Address("2001:db8::1")])
def test_an_error_indication_says_which_tunnel(address):
    data = header.error_indication(2**32 - 1, address)
    found = header.read(data)
    assert found
    assert header.read_error(data[found.at : found.end]) == (2**32 - 1, address)


PACKETS = [header.head(5, 4, 1, True) + b"abcd", header.echo_response(3), header.end_marker(9),
           header.error_indication(1, IPv4Address(1)), bytes(GTP_U_Header(gtp_type=1, S=1, seq=1))]  # fmt: skip


def flipped(one, at, bit):
    """A packet with one bit that is wrong."""
    data = bytearray(one)
    data[at % len(data)] ^= 1 << bit
    return bytes(data)


@given(
    st.binary(max_size=100)
    | st.builds(lambda one, cut: one[:cut], st.sampled_from(PACKETS), st.integers(0, 20))
    | st.builds(
        flipped,
        st.sampled_from(PACKETS),
        st.integers(0, 40),
        st.integers(0, 7),
    )
)
def test_whatever_comes_is_read_or_is_not(data):
    found = header.read(data)
    if found is not None:
        assert 8 <= found.at <= found.end <= len(data)
        assert found.qfi is None or 0 <= found.qfi <= 63
        header.read_error(data[found.at : found.end])
