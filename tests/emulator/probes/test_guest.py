"""The probes through real impairments, in the shared guest.

A busy machine makes a guest's timers late, never early: delays are judged by their smallest value, rates by not being
exceeded. How exact they are is for benchmarks/fidelity.py on a quiet machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest

from testbed.emulator.client import AgentClient
from testbed.emulator.loading import LoadFlow, ReadLoad
from testbed.emulator.messages import (
    Build,
    LinkChange,
    LinkPatch,
    Reach,
    SetLinks,
    SetLoad,
    Stamp,
    StreamStart,
    StreamStop,
    Throughput,
    Trace,
    WireEnd,
    WireLink,
    WireNode,
)
from testbed.lab import Lab
from testbed.validate.statistics import arrived, binomial_interval

pytestmark = [pytest.mark.guest, pytest.mark.alone]
PATH: dict[str, Any] = {"source": "probes-a", "destination": "10.231.0.2"}
NOTHING = LinkPatch(delay=0.0, jitter=0.0, loss=0.0, duplicate=0.0, reorder=0.0, rate=None)


@pytest.fixture(scope="module")
def _built(guest_lab: Lab) -> None:
    nodes = tuple(WireNode(name=name, kind="host") for name in ("probes-a", "probes-b"))
    ends = (
        WireEnd(node="probes-a", interface="eth1", addresses=("10.231.0.1/24",)),
        WireEnd(node="probes-b", interface="eth1", addresses=("10.231.0.2/24",)),
    )
    with guest_lab.agent() as client:
        client.call(Build(nodes=nodes, links=(WireLink(name="probes-link", ends=ends),)))


@pytest.fixture
def client(_built: None, guest_client: AgentClient) -> Iterator[AgentClient]:
    yield guest_client
    impair(guest_client, NOTHING, NOTHING)
    guest_client.call(SetLoad())
    guest_client.call(SetLoad(measured=True))


def impair(client: AgentClient, forward: LinkPatch, backward: LinkPatch | None = None) -> None:
    changes = [LinkChange(link="probes-link", end=0, patch=forward)]
    changes += [LinkChange(link="probes-link", end=1, patch=backward)] if backward else []
    client.call(SetLinks(changes=tuple(changes)))


def stamp(client: AgentClient, **fields: Any) -> Any:
    return client.call(Stamp(**PATH, reflector="probes-b", **fields))


def test_each_direction_has_its_own_delay(client):
    impair(client, LinkPatch(delay=0.03), LinkPatch(delay=0.01))
    result = stamp(client, count=50)
    assert result.received == 50
    assert result.kernel_timestamps
    assert 0.03 <= min(result.forward) < 0.032
    assert 0.01 <= min(result.backward) < 0.012
    assert 0.04 <= min(result.rtt) < 0.044


def test_losses_are_told_by_direction(client):
    impair(client, LinkPatch(loss=0.2), LinkPatch(loss=0.05))
    result = stamp(client, count=1000, interval=0.002, timeout=0.5)
    for lost, sent, set_loss in (
        (result.lost_forward, result.sent, 0.2),
        (result.lost_backward, result.sent - result.lost_forward, 0.05),
    ):
        low, high = binomial_interval(lost, sent, 0.9999)
        assert low <= set_loss <= high


def test_duplicates_are_counted_and_lose_nothing(client):
    impair(client, LinkPatch(duplicate=0.2))
    result = stamp(client, count=300, interval=0.003)
    assert (result.received, result.lost_forward, result.lost_backward) == (300, 0, 0)
    low, high = binomial_interval(result.duplicated, 300, 0.9999)
    assert low <= 0.2 <= high


def test_overtaken_packets_are_counted(client):
    impair(client, LinkPatch(delay=0.03, reorder=0.1))
    result = stamp(client, count=300, interval=0.005)
    assert result.received == 300
    assert result.reordered > 30  # each packet that does not wait overtakes up to six


def test_echo_and_traceroute_see_the_delay(client):
    impair(client, LinkPatch(delay=0.02), LinkPatch(delay=0.02))
    reached = client.call(Reach(**PATH, count=10))
    assert reached.received == 10
    assert 0.04 <= min(reached.rtt) < 0.06
    hops = client.call(Trace(**PATH))
    assert hops.reached
    assert [(hop.address, hop.node) for hop in hops.hops] == [("10.231.0.2", "probes-b")]
    assert 0.04 <= hops.hops[0].rtt < 0.08


def test_tcp_fills_the_links_rate_and_no_more(client):
    impair(client, LinkPatch(rate=20e6, limit=100))
    result = client.call(Throughput(**PATH, sink="probes-b", seconds=2.0))
    assert 0.6 < result.received_rate / (20e6 * 1448 / 1514) < 1.03


def test_a_stream_sees_a_cut_as_long_as_it_lasted(client):
    started = client.call(StreamStart(**PATH, sink="probes-b", interval=0.005))
    time.sleep(0.3)
    before = time.monotonic()
    client.call(SetLinks(changes=(LinkChange(link="probes-link", up=False),)))
    time.sleep(0.5)
    client.call(SetLinks(changes=(LinkChange(link="probes-link", up=True),)))
    cut = time.monotonic() - before
    time.sleep(1.5)
    result = client.call(StreamStop(stream=started.stream))
    # ARP may ask anew once a second; what was sent meanwhile may wait in its queue, so that none need be lost
    assert 0.45 <= result.longest_gap <= cut + 1.2


def test_load_fills_the_queue_that_probes_wait_in(client):
    impair(client, LinkPatch(rate=5e6, limit=50))
    quiet = median(stamp(client, count=50).rtt)
    client.call(SetLoad(flows=(LoadFlow(**PATH, sink="probes-b", rate=6e6),)))
    time.sleep(0.5)
    loaded = stamp(client, count=100, timeout=1.0)
    waited = median(arrived(loaded.rtt))
    assert waited > quiet + 0.03  # 50 packets of 1014 bytes at 5 Mbit/s are 81 ms
    assert loaded.lost_forward > 0


def test_each_loads_losses_are_those_of_the_link(client):
    impair(client, LinkPatch(loss=0.1, delay=0.02), LinkPatch(loss=0.0))
    back: dict[str, Any] = {"source": "probes-b", "destination": "10.231.0.1", "sink": "probes-a"}
    flows = (LoadFlow(**PATH, sink="probes-b", rate=1.2e6, size=500, dscp=46), LoadFlow(**back, rate=4e5, size=500))
    client.call(SetLoad(flows=flows, measured=True))
    time.sleep(4.0)
    there, again = client.call(ReadLoad(stop=True)).flows
    low, high = binomial_interval(there.lost, there.sent, 0.9999)
    assert there.sent > 600
    assert low <= 0.1 <= high
    assert there.delay(0.5) >= 0.0198  # buckets are 1.6 % apart
    assert (again.lost, again.received) == (0, again.sent)


def test_a_rate_limit_bounds_what_is_delivered_and_tcp_gives_way(client):
    impair(client, LinkPatch(rate=2e6, limit=20))
    flows = (LoadFlow(**PATH, sink="probes-b", rate=4e6), LoadFlow(**PATH, sink="probes-b", rate=4e6, protocol="tcp"))
    client.call(SetLoad(flows=flows, measured=True))
    time.sleep(3.0)
    udp, tcp = client.call(ReadLoad(stop=True)).flows
    assert udp.lost > 0.3 * udp.sent
    assert udp.delivered + tcp.delivered < 2.2e6  # what was queued when it stopped comes on top
    assert udp.delivered > 0.5e6
    assert tcp.delivered < 0.5 * tcp.flow.rate
    assert tcp.shortfall > 0.3


def test_many_requests_at_once_are_served_side_by_side(client, guest_lab):
    impair(client, LinkPatch(delay=0.05))
    results = []

    def measure() -> None:
        with guest_lab.agent() as own:
            results.append(stamp(own, count=20, interval=0.02))

    threads = [threading.Thread(target=measure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(result.received, result.duplicated) for result in results] == [(20, 0)] * 4
