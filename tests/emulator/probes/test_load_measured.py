from __future__ import annotations

import errno
import itertools
import random
import socket
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulator.loading import LoadFlow, LoadReport, ReadLoad, SetLoad
from testbed.emulator.parts import ArrivedFlow, LoadCounts, SentFlow
from testbed.emulator.probes import load
from testbed.emulator.probes.load_receive import Arrivals
from testbed.errors import BadInput

FLOW: dict[str, Any] = {"source": "a", "destination": "10.0.2.2", "sink": "b"}
BACK: dict[str, Any] = {"source": "b", "destination": "fd00:1::1", "sink": "a"}
live = pytest.mark.alone


def run(context, flows: list[LoadFlow], seconds: float) -> LoadReport:
    load.handle(SetLoad(flows=tuple(flows), measured=True), context)
    time.sleep(seconds)  # how long it flows, not a wait for something
    return stop(context)


def stop(context) -> LoadReport:
    return read(context, stop=True)


def read(context, stop=False) -> LoadReport:
    report = load.handle(ReadLoad(stop=stop), context)
    assert isinstance(report, LoadReport)
    return report


@live
def test_each_flow_is_counted_by_itself(context):
    flows = [
        LoadFlow(**FLOW, rate=4e6, size=500),
        LoadFlow(**FLOW, rate=1e6, size=1000, arrival="poisson"),
        LoadFlow(**BACK, rate=2e6, mix=((64, 1.0), (1500, 1.0))),
    ]
    report = run(context, flows, 1.0)
    assert [flow.flow for flow in report.flows] == flows
    assert not report.running
    for flow in report.flows:
        assert flow.asked == flow.sent + flow.skipped
        assert flow.sent == flow.received
        assert flow.sent_octets == flow.received_octets
        assert (flow.lost, flow.reordered, flow.duplicated, flow.refused) == (0, 0, 0, {})
        assert sum(flow.delays.values()) == flow.received
        assert flow.delivered == pytest.approx(flow.flow.rate, rel=0.35)
    assert report.flows[0].asked == pytest.approx(1000 * report.flows[0].seconds, abs=2)


@live
def test_a_flow_with_a_duration_sends_all_its_packets_and_ends(context):
    load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=8e5, start=0.1, duration=0.3),), measured=True), context)
    deadline = time.monotonic() + 5
    while read(context).running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (flow,) = stop(context).flows
    assert flow.seconds == pytest.approx(0.3)
    assert flow.asked == 30
    assert flow.received == flow.sent == 30 - flow.skipped


@live
def test_tcp_keeps_its_rate_and_tells_round_trips(context):
    flows = [LoadFlow(**FLOW, rate=8e6, protocol="tcp"), LoadFlow(**BACK, rate=2e6, protocol="tcp", size=300)]
    report = run(context, flows, 1.5)
    for flow in report.flows:
        assert flow.delivered == pytest.approx(flow.flow.rate, rel=0.2)
        assert flow.received > 0
        assert 0 < (flow.delay(0.5) or 0) < 0.1
        assert sum(flow.refused.values()) == 0


@live
def test_packets_carry_their_flows_dscp(context, lab):
    with lab.node("b").enter():
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    with sniffer:
        sniffer.settimeout(5)
        run(context, [LoadFlow(**FLOW, rate=4e5, dscp=46), LoadFlow(**FLOW, rate=4e5, protocol="tcp", dscp=10)], 0.3)
        marks = {(packet[9], packet[1] >> 2) for packet in _arrived(sniffer)}
    assert {(socket.IPPROTO_UDP, 46), (socket.IPPROTO_TCP, 10)} <= marks


def _arrived(sniffer: socket.socket):
    sniffer.setblocking(False)
    while True:
        try:
            packet, where = sniffer.recvfrom(2048)
        except BlockingIOError:
            return
        if where[2] == socket.PACKET_HOST:
            yield packet


@live
def test_what_a_cut_path_swallows_is_lost_and_told_so_while_it_runs(context, lab):
    load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=8e5),), measured=True), context)
    time.sleep(0.3)
    lab.set_link("r", "eth-b", "down")
    time.sleep(0.5)
    (flow,) = stop(context).flows
    assert flow.received < 0.75 * flow.sent
    assert flow.lost == flow.sent - flow.received > 0


def test_nothing_is_lost_to_a_neighbour_that_is_still_being_looked_for(context, lab):
    """A router keeps only so many packets until its next hop has answered: as over a link with a long delay."""
    lab.write("b", "ipv4/conf/all/arp_ignore", "8")
    for setting, value in (("retrans_time_ms", 20), ("mcast_solicit", 500), ("unres_qlen_bytes", 4096)):
        lab.write("r", f"ipv4/neigh/eth-b/{setting}", str(value))
    answers = threading.Timer(0.3, lab.write, ("b", "ipv4/conf/all/arp_ignore", "0"))
    answers.start()
    (flow,) = run(context, [LoadFlow(**FLOW, rate=4e6)], 0.5).flows
    answers.join()
    assert flow.sent == flow.received > 0
    assert flow.lost == 0


@live
def test_what_has_no_route_is_refused_and_tcp_comes_back(context, lab):
    flows = (LoadFlow(**FLOW, rate=8e5), LoadFlow(**FLOW, rate=8e5, protocol="tcp"))
    lab.set_link("a", "eth-r", "down")
    load.handle(SetLoad(flows=flows, measured=True), context)
    deadline = time.monotonic() + 10
    while not (refused := [f.refused.get(errno.ENETUNREACH, 0) for f in read(context).flows])[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    udp = read(context).flows[0]
    assert refused[0] > 0
    assert udp.sent == 0
    assert udp.refused == {errno.ENETUNREACH: udp.asked - udp.skipped}
    assert udp.shortfall == 1.0
    assert "unreachable" in load.explain(udp)[-1]
    lab.set_link("a", "eth-r", "up")
    with lab.netlink("a") as netlink:
        netlink.route("add", dst="10.0.0.0/16", gateway="10.0.1.2")
    deadline = time.monotonic() + 10
    while not all(flow.received for flow in read(context).flows):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert stop(context).flows[1].received_octets > 0


@live
def test_more_than_an_agent_can_send_is_skipped_and_said(context):
    report = run(context, [LoadFlow(**FLOW, rate=2e9, size=200) for _ in range(20)], 0.5)
    for flow in report.flows:
        assert flow.asked == flow.sent + flow.skipped + sum(flow.refused.values())
        assert flow.shortfall > 0.5
        assert "could not keep up" in load.explain(flow)[0]


@live
def test_slow_flows_are_not_starved_by_more_than_an_agent_can_send(context):
    slow = LoadFlow(**FLOW, rate=8e4, size=1000)
    fast = LoadFlow(**BACK, rate=2e9, size=200)
    report = run(context, [*(fast for _ in range(20)), slow], 2.0)
    assert report.flows[0].shortfall > 0.5
    assert report.flows[-1].received > 0.5 * report.flows[-1].asked


@live
def test_measured_and_background_load_do_not_touch_each_other(context):
    load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=8e5),), measured=True), context)
    load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=8e5),)), context)
    time.sleep(0.2)
    load.handle(SetLoad(), context)
    time.sleep(0.2)
    (flow,) = stop(context).flows
    assert flow.received == flow.sent > 20


@live
def test_a_new_load_is_counted_from_nothing_and_stop_leaves_no_thread(context):
    before = threading.active_count()
    for _ in range(3):
        report = run(context, [LoadFlow(**FLOW, rate=8e5), LoadFlow(**FLOW, rate=8e5, protocol="tcp")], 0.2)
        assert 10 < report.flows[0].received < 40
        assert report.flows[0].duplicated == 0
    for kept in context.shared.values():
        kept.close()
    context.shared.clear()
    assert threading.active_count() == before


def test_without_load_there_is_nothing_to_tell(context):
    assert stop(context).flows == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"rate": 0.0},
        {"rate": float("nan")},
        {"size": 63},
        {"mix": ((63, 1.0),)},
        {"mix": ((64, 0.0),)},
        {"dscp": 64},
        {"start": -1.0},
        {"duration": 1e-4},
        {"arrival": "on-off", "on": 1e-5},
    ],
)
def test_senseless_numbers_are_refused(context, fields):
    with pytest.raises(BadInput, match=r"flow x: .* is .*; expected"):
        load.handle(SetLoad(flows=(LoadFlow(**{**FLOW, "rate": 1e6, "name": "x", **fields}),), measured=True), context)


def test_background_load_is_no_tcp(context):
    with pytest.raises(BadInput, match="UDP"):
        load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=1e6, protocol="tcp"),)), context)


# --- counting ---


@given(st.integers(1, 200), st.integers(0, 2**34), st.integers(0, 2**32))
def test_losses_duplicates_and_overtaking_are_told_apart(count, first, seed):
    """Sequence numbers begin anywhere, 2^32 included, where the field in the packet begins anew."""
    draw = random.Random(seed)
    kept = [n for n in range(count) if draw.random() > 0.2] or [0]
    again = [n for n in kept if draw.random() < 0.1]
    order = sorted([*kept, *again], key=lambda n: n + draw.uniform(0, 5))
    seen = Arrivals(highest=first - 1)
    for n in order:
        seen.take((first + n) & 0xFFFF_FFFF, 100, 1000 * n, 1000 * n + 5000)
    overtaken, highest, came = 0, -1, set()
    for n in order:
        overtaken += n not in came and n < highest
        highest, came = max(highest, n), came | {n}
    assert (seen.received, seen.duplicated, seen.reordered) == (len(kept), len(again), overtaken)
    assert seen.highest == first + max(kept)
    assert seen.octets == 100 * len(kept)
    assert seen.jitter == 0


def test_jitter_is_that_of_rfc_3550():
    seen, expected = Arrivals(), 0.0
    transits = [5000, 9000, 5000, 6000]
    for number, transit in enumerate(transits):
        seen.take(number, 100, 0, transit)
    for before, after in itertools.pairwise(transits):
        expected += (abs(after - before) - expected) / 16
    assert seen.jitter == pytest.approx(expected)


def test_long_outages_take_no_more_memory():
    seen = Arrivals()
    for number in (0, 10**6, 10**6 + 2):
        seen.take(number, 100, 0, 1)
    assert len(seen.missing) <= 1 << 16
    seen.take(10**6 + 1, 100, 0, 1)
    assert (seen.received, seen.reordered) == (4, 1)


SENT = SentFlow(
    flow=LoadFlow(**FLOW, rate=1e6),
    seconds=1.0,
    ended=False,
    asked=100,
    skipped=0,
    sent=100,
    sent_octets=100_000,
)


def arrived(received: int, highest: int, quiet: float = 0.0) -> ArrivedFlow:
    return ArrivedFlow(received=received, received_octets=1000 * received, highest=highest, quiet=quiet)


def test_what_may_be_on_its_way_is_not_lost_yet():
    assert load.told(SENT, arrived(85, 89), stopped=False).lost == 5
    assert load.told(SENT, arrived(85, 89), stopped=True).lost == 15
    assert load.told(SENT, arrived(85, 89, quiet=3.0), stopped=False).lost == 15


def test_the_halves_of_several_guests_are_put_together():
    halves = {
        1: LoadCounts(sent={0: SENT}, unread=1),
        2: LoadCounts(arrived={0: arrived(100, 99)}, unread=2),
    }
    report = load.read(ReadLoad(), {guest: lambda _, half=half: half for guest, half in halves.items()})
    assert report.flows[0].received == 100
    assert (report.unread, report.running) == (3, True)
