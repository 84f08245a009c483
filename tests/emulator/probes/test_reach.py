from __future__ import annotations

import socket

import pytest

from testbed.emulator.messages import Reach
from testbed.emulator.probes import reach
from testbed.errors import AgentError, BadInput

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("destination", ["10.0.2.2", "fd00:2::2", "10.0.1.1", "fd00:1::1"])
def test_a_neighbours_neighbour_and_the_node_itself_answer(context, destination):
    result = reach.handle(Reach(source="a", destination=destination, interval=0.01), context)
    assert (result.sent, result.received, result.detail) == (3, 3, ())
    assert all(0 < rtt < 0.05 for rtt in result.rtt)


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("10.0.9.9", "network unreachable from 10.0.1.2"),
        ("fd00:9::9", "no route to destination from fd00:1::2"),
        ("10.9.9.9", "not sent: Network is unreachable"),
    ],
)
def test_what_says_no_is_quoted(context, destination, words):
    result = reach.handle(Reach(source="a", destination=destination, interval=0.01), context)
    assert result.received == 0
    assert [words in line for line in result.detail] == [True] * 3


def test_silence_is_said_to_be_silence(context, lab):
    lab.set_link("b", "eth-r", "down")
    lab.set_link("r", "eth-b", "up")
    result = reach.handle(Reach(source="a", destination="10.0.2.2", count=2, interval=0.01, timeout=0.1), context)
    assert result.received == 0
    assert len(result.detail) == 2
    assert result.detail[0].startswith("packet 1 to 10.0.2.2: ")


def test_two_at_the_same_time_do_not_count_each_others_packets(context):
    from concurrent.futures import ThreadPoolExecutor

    request = Reach(source="a", destination="10.0.2.2", count=20, interval=0.005)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: reach.handle(request, context), range(4)))
    assert [(result.sent, result.received) for result in results] == [(20, 20)] * 4


def test_an_unknown_node_is_named(context):
    with pytest.raises(BadInput, match="no node called 'x'"):
        reach.handle(Reach(source="x", destination="10.0.2.2"), context)


def test_what_is_not_an_address_is_refused(context):
    with pytest.raises(AgentError, match="expected an IPv4 or IPv6 address"):
        reach.handle(Reach(source="a", destination="10.0.2"), context)


def test_the_checksum_of_rfc_1071():
    assert reach.checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2  # the example of RFC 1071 3


def test_an_unknown_icmp_code_is_still_said():
    assert reach.describe(socket.AF_INET, 3, 77) == "destination unreachable, code 77"
