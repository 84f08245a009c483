from __future__ import annotations

import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from testbed.emulator.messages import Throughput
from testbed.emulator.probes import throughput
from testbed.errors import AgentError, BadInput

pytestmark = pytest.mark.alone

REQUEST: dict[str, Any] = {"source": "a", "destination": "10.0.2.2", "sink": "b", "seconds": 1.0}


def shape(lab, node, interface, rate):
    with lab.node(node).enter():
        command = ["tc", "qdisc", "add", "dev", interface, "root", "tbf", "rate", rate, "burst", "16kb"]
        subprocess.run([*command, "latency", "50ms"], check=True)


def test_a_shaped_link_gives_its_rate(context, lab):
    shape(lab, "r", "eth-b", "50mbit")
    result = throughput.handle(Throughput(**{**REQUEST, "seconds": 2.0}), context)
    assert result.received_rate == pytest.approx(50e6 * 1448 / 1514, rel=0.08)
    assert len(result.intervals) == 2


def test_a_rate_can_be_asked_for(context):
    result = throughput.handle(Throughput(**REQUEST, limit_rate=2e6), context)
    assert result.received_rate == pytest.approx(2e6, rel=0.1)


def test_two_at_once_get_ports_of_their_own(context):
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda _: throughput.handle(Throughput(**REQUEST, limit_rate=1e6), context), range(2)))
    assert all(result.received_rate > 5e5 for result in results)


def test_ipv6_works_too(context):
    request = Throughput(**{**REQUEST, "destination": "fd00:2::2"}, limit_rate=1e6)
    assert throughput.handle(request, context).received_rate > 5e5


def test_iperf3s_own_error_is_said_and_nothing_stays(context, lab):
    with lab.netlink("r") as netlink:
        netlink.route("add", type="unreachable", dst="10.0.2.2/32", scope=0)
    before = threading.active_count()
    with pytest.raises(AgentError, match=r"iperf3 from a to 10\.0\.2\.2 \(b\): unable to connect"):
        throughput.handle(Throughput(**REQUEST), context)
    assert threading.active_count() == before


def test_a_server_that_cannot_start_is_said(context, lab, monkeypatch):
    monkeypatch.setattr(throughput, "_free_port", lambda context, request: 5301)
    with lab.node("b").enter():
        other = socket.socket()
    with other:
        other.bind(("10.0.2.2", 5301))
        other.listen()
        with pytest.raises(AgentError, match=r"did not start.*unable to start listener"):
            throughput.handle(Throughput(**REQUEST), context)


@pytest.mark.parametrize(("field", "value"), [("seconds", 0.5), ("limit_rate", 0.0), ("limit_rate", float("nan"))])
def test_senseless_numbers_are_refused(context, field, value):
    with pytest.raises(BadInput, match=field):
        throughput.handle(Throughput(**{**REQUEST, field: value}), context)


@pytest.mark.parametrize("field", ["source", "sink"])
def test_an_unknown_node_is_named(context, field):
    with pytest.raises(BadInput, match="no node called 'x'"):
        throughput.handle(Throughput(**{**REQUEST, field: "x"}), context)
