from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulator.loading import FlowReport, LoadFlow, LoadReport
from testbed.errors import BadInput
from testbed.load import (
    declared_flows,
    figures,
    flows_of,
    matrix_load,
    samples,
    scaled,
    summary,
    warnings,
    written_or_declared,
)
from testbed.model.load import Written, loads
from testbed.model.topology import Topology
from testbed.model.traffic import Traffic
from testbed.report.load import draw, rows

TOPOLOGY = """name: star
nodes:
  hub: {kind: router, loopbacks: [10.9.0.1/32]}
  a: {kind: host}
  b: {kind: host}
links:
  l1: {endpoints: [{node: hub, interface: eth1, addresses: [10.0.1.1/30]}, {node: a, interface: eth1, addresses: [10.0.1.2/30]}]}
  l2: {endpoints: [{node: hub, interface: eth2, addresses: [10.0.2.1/30]}, {node: b, interface: eth1, addresses: [10.0.2.2/30]}]}
demands: {a: {b: 3, hub: 1}, b: {a: 0}}
"""  # noqa: E501


@pytest.fixture
def topology() -> Topology:
    return loads(TOPOLOGY, Topology)


def asked(**options: Any) -> Written[Traffic]:
    load = matrix_load(**{"demands": False, "total": None, "weights": (), "slices": (), **options})
    assert load is not None
    return load


def test_demands_are_megabits_between_the_nodes_own_addresses(topology):
    flows, notes = flows_of(asked(demands=True), topology)
    assert {(f.name, f.source, f.sink, f.destination, f.rate) for f in flows} == {
        ("demand/a/b", "a", "b", "10.0.2.2", 3e6),
        ("demand/a/hub", "a", "hub", "10.9.0.1", 1e6),
    }
    assert notes == ()


@given(st.floats(1e-3, 1e3))
def test_scaling_keeps_ratios(factor):
    flows = flows_of(asked(demands=True), loads(TOPOLOGY, Topology))[0]
    assert [after.rate / one.rate for one, after in zip(flows, scaled(flows, factor), strict=True)] == pytest.approx(
        [factor] * len(flows)
    )


def test_gravity_goes_by_degree_or_by_the_weights_given(topology):
    by_degree = {f.name: f.rate for f in flows_of(asked(total="10Mbit"), topology)[0]}
    assert sum(by_degree.values()) == pytest.approx(10e6)
    assert by_degree["gravity/a/hub"] == pytest.approx(2 * by_degree["gravity/a/b"])
    weighted = {f.name: f.rate for f in flows_of(asked(total="8Mbit", weights=["a=1", "b=9"]), topology)[0]}
    assert weighted == pytest.approx({"gravity/a/b": 4e6, "gravity/b/a": 4e6})


def test_each_pair_has_a_flow_in_every_slice(topology):
    flows, _ = flows_of(asked(demands=True, slices=["urgent=46", "rest=0"], protocol="tcp", size=500), topology)
    assert Counter((f.dscp, f.protocol, f.size) for f in flows) == {(46, "tcp", 500): 2, (0, "tcp", 500): 2}
    assert sum(f.rate for f in flows) == pytest.approx(4e6)


def test_flows_too_slow_to_be_are_left_out_and_told(topology):
    flows, notes = flows_of(asked(total="10Mbit", weights=["a=1", "b=1", "hub=1e-9"]), topology)
    assert {(f.source, f.sink) for f in flows} == {("a", "b"), ("b", "a")}
    assert "4 flows of less than 8 bit/s are left out" in notes[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"total": "10"}, "--gravity: value '10'"),
        ({"total": "1Mbit", "by": "size"}, "--by: value 'size'"),
        ({"total": "1Mbit", "weights": ["a"]}, "expected NODE=WEIGHT"),
        ({"total": "1Mbit", "weights": ["a=x"]}, "--weight 'x'"),
        ({"demands": True, "slices": ["a=99"]}, "--slice: value 99"),
        ({"demands": True, "slices": ["a=1.5"]}, "--slice: value 1.5"),
        ({"demands": True, "weights": ["a=1"]}, "--gravity TOTAL"),
        ({"slices": ["a=1"]}, "--demands or --gravity"),
        ({"demands": True, "protocol": "quic"}, "--protocol: value 'quic'"),
        ({"demands": True, "size": 20}, "size: value 20"),
    ],
)
def test_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(BadInput) as refused:
        asked(**options)
    assert said in str(refused.value)


def test_a_node_that_is_not_there_is_refused(topology):
    with pytest.raises(BadInput, match=r"gravity.weights.hob: value 'hob': expected a node .* did you mean 'hub'"):
        flows_of(asked(total="1Mbit", weights=["a=1", "hob=1"]), topology)


def test_scaling_down_leaves_out_what_becomes_too_slow(topology):
    flows, notes = flows_of(asked(demands=True), topology, 4e-6)
    assert [flow.rate for flow in flows] == [pytest.approx(12.0)]
    assert "1 flows of less than 8 bit/s are left out" in notes[0]


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_senseless_scales_are_refused(factor):
    with pytest.raises(BadInput, match="expected"):
        scaled((FLOW,), factor)


def test_without_a_file_the_topologys_own_load_counts(topology):
    with pytest.raises(BadInput, match="no `load`"):
        written_or_declared(None, topology)
    own = loads(TOPOLOGY + "load: {demands: {scale: 2.0}}\n", Topology)
    assert {flow.rate for flow in declared_flows(own)} == {6e6, 2e6}
    assert written_or_declared(None, own).model == own.load
    assert declared_flows(topology) == ()


FLOW = LoadFlow(name="f", source="a", sink="b", destination="10.0.2.2", rate=1e6)
GOOD = FlowReport(
    flow=FLOW,
    seconds=2.0,
    ended=False,
    asked=250,
    skipped=0,
    sent=250,
    sent_octets=250_000,
    received=200,
    received_octets=200_000,
    lost=50,
    delays={1_000_000: 150, 3_000_000: 50},
)
SHORT = FlowReport(
    flow=LoadFlow(name="g<1>", source="a", sink="b", destination="10.0.2.2", rate=1e6),
    seconds=2.0,
    ended=False,
    asked=250,
    skipped=40,
    sent=0,
    sent_octets=0,
    received=0,
    received_octets=0,
    lost=0,
    refused={101: 210},
)
REPORT = LoadReport(flows=(GOOD, SHORT), time=5.0, running=True, unread=3)


def test_figures_and_samples_tell_what_was_delivered():
    assert figures(GOOD) == {
        "offered": 1e6,
        "delivered": 8e5,
        "shortfall": 0.0,
        "loss": 0.2,
        "delay_p50": 0.001,
        "delay_p99": 0.003,
        "jitter": 0.0,
    }
    found = {(s.entity, s.metric): (s.value, s.unit, s.measured, s.received) for s in samples(REPORT, 6.0)}
    assert found["flow:f", "loss"] == (0.2, "1", 5.0, 6.0)
    assert found["flow:g<1>", "shortfall"] == (1.0, "1", 5.0, 6.0)
    assert ("flow:g<1>", "delay_p50") not in found


def test_what_was_not_sent_is_said():
    told = warnings(REPORT)
    assert len(told) == 2
    assert "flow g<1>: 100 % not sent (40 packets skipped" in told[0]
    assert "210 packets not sent: Network is unreachable" in told[0]
    assert "3 packets reached their nodes" in told[1]
    assert summary(REPORT)["flows"]["g<1>"]["not_sent"]


def test_a_report_is_shown_and_drawn():
    columns, cells = rows(REPORT.flows)
    assert [len(row) for row in cells] == [len(columns)] * 2
    assert "50 (20 %)" in cells[0]
    drawing = draw(REPORT)
    assert drawing.count('class="offered"') == 2
    assert "g&lt;1&gt;" in drawing
