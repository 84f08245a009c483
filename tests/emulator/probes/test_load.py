from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from testbed.emulator.loading import LoadFlow, SetLoad
from testbed.emulator.messages import Ok
from testbed.emulator.probes import load
from testbed.errors import BadInput

pytestmark = pytest.mark.alone

FLOW: dict[str, Any] = {"source": "a", "destination": "10.0.2.2", "sink": "b"}


def statistics(lab, node, interface):
    with lab.netlink(node) as netlink:
        link = next(iter(netlink.get_links(next(iter(netlink.link_lookup(ifname=interface))))))
        return link.get_attr("IFLA_STATS64")


def measure(lab, node="r", interface="eth-b", seconds=0.5):
    """Rate of IP packets in bit/s, and their mean size."""
    before, started = statistics(lab, node, interface), time.monotonic()
    time.sleep(seconds)
    after, took = statistics(lab, node, interface), time.monotonic() - started
    packets = after["tx_packets"] - before["tx_packets"]
    octets = after["tx_bytes"] - before["tx_bytes"] - 14 * packets
    return octets * 8 / took, octets / max(packets, 1)


@pytest.mark.parametrize(("rate", "size"), [(1e5, 500), (5e6, 1000), (50e6, 1500)])
def test_a_flow_has_the_rate_and_size_asked_for(context, lab, rate, size):
    assert load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=rate, size=size),)), context) == Ok()
    time.sleep(0.05)
    measured, mean = measure(lab)
    assert measured == pytest.approx(rate, rel=0.1)
    assert mean == pytest.approx(size, rel=0.1)  # a few packets are IPv6's own


def test_flows_add_up_and_are_replaced_at_once(context, lab):
    flows = [LoadFlow(**FLOW, rate=1e6), LoadFlow(**{**FLOW, "destination": "fd00:2::2"}, rate=2e6)]
    load.handle(SetLoad(flows=(*flows, LoadFlow(**FLOW, rate=1e6))), context)
    assert measure(lab)[0] == pytest.approx(4e6, rel=0.1)
    load.handle(SetLoad(flows=(LoadFlow(source="b", destination="10.0.1.1", sink="a", rate=1e6),)), context)
    assert measure(lab)[0] < 1e5
    assert measure(lab, "r", "eth-a")[0] == pytest.approx(1e6, rel=0.1)


def test_no_flows_stop_it(context, lab):
    before = threading.active_count()
    load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=1e6),)), context)
    load.handle(SetLoad(), context)
    assert measure(lab, seconds=0.2)[0] < 1e5
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_refused_load_leaves_the_old_one(context, lab):
    load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=1e6),)), context)
    with pytest.raises(BadInput, match="belongs to r"):
        load.handle(SetLoad(flows=(LoadFlow(**{**FLOW, "destination": "10.0.1.2"}, rate=9e6),)), context)
    assert measure(lab)[0] == pytest.approx(1e6, rel=0.1)


def test_nothing_comes_back_from_the_sink(context, lab):
    load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=5e6),)), context)
    time.sleep(0.1)
    assert measure(lab, "b", "eth-r", 0.3)[0] < 1e4


def test_a_stall_is_not_made_up_for_by_a_burst(context, lab):
    load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=8e6, size=1000),)), context)
    running = context.shared["LoadSend"]
    with running._changed:
        time.sleep(0.5)
        before = statistics(lab, "r", "eth-b")["tx_packets"]
    time.sleep(0.1)
    assert statistics(lab, "r", "eth-b")["tx_packets"] - before < 0.3 * 1000


def test_a_path_that_is_down_does_not_end_the_load(context, lab):
    lab.set_link("r", "eth-b", "down")
    load.handle(SetLoad(flows=(LoadFlow(**FLOW, rate=5e6),)), context)
    time.sleep(0.1)
    lab.set_link("r", "eth-b", "up")
    deadline = time.monotonic() + 5
    while measure(lab, seconds=0.2)[0] < 4e6:
        assert time.monotonic() < deadline


def test_ten_flows_of_a_megabit_cost_little(context):
    load.handle(SetLoad(flows=tuple(LoadFlow(**FLOW, rate=1e6, size=1250) for _ in range(10))), context)
    before, started = time.process_time(), time.monotonic()
    time.sleep(1)
    assert (time.process_time() - before) / (time.monotonic() - started) < 0.3


@pytest.mark.parametrize(("field", "value"), [("rate", 0.0), ("rate", float("nan")), ("size", 20), ("dscp", 64)])
def test_senseless_numbers_are_refused(context, field, value):
    with pytest.raises(BadInput, match=field):
        load.handle(SetLoad(flows=(LoadFlow(**{**FLOW, "rate": 1e6, field: value}),)), context)
