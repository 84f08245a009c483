from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.model.dump import dump
from testbed.model.load import loads
from testbed.model.schema import schema
from testbed.model.topology import Topology
from testbed.model.traffic import Traffic, gravity

WEIGHTS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(1e-3, 1e6), min_size=2)


@given(WEIGHTS, st.floats(8.0, 1e12))
def test_a_gravity_matrix_sums_to_its_total_in_proportion_to_both_weights(weights, total):
    matrix = gravity(weights, total)
    assert sum(sum(row.values()) for row in matrix.values()) == pytest.approx(total)
    assert not any(source in row for source, row in matrix.items())
    rates = [rate / weights[a] / weights[b] for a, row in matrix.items() for b, rate in row.items()]
    assert rates == pytest.approx([rates[0]] * len(rates))
    assert len(rates) == len(weights) * (len(weights) - 1)


def test_a_node_without_weight_has_no_traffic():
    assert gravity({"a": 1.0, "b": 0.0, "c": 3.0}, 8.0) == {"a": {"c": 4.0}, "c": {"a": 4.0}}


FLOWS = """slices: {urgent: 46}
flows:
  voice: {source: a, target: b, rate: 64kbit, size: 200, slice: urgent, arrival: poisson, start: 5s}
  web: {source: b, target: a, rate: 2Mbit, protocol: tcp, arrival: on-off, on: 200ms, off: 1s, duration: 1min}
  mixed: {source: a, target: b, rate: 1Mbit, mix: {64: 7, 1500: 1}, dscp: 10}
gravity: {total: 100Mbit, weights: {a: 1, b: 2.5}, split: {urgent: 1}}
"""


def test_a_load_file_is_read_in_si():
    load = loads(FLOWS, Traffic)
    assert load.flows["voice"].rate == 64e3
    assert load.flows["web"].duration == 60.0
    assert load.flows["mixed"].mix == {64: 7.0, 1500: 1.0}
    assert load.gravity is not None
    assert load.gravity.total == 1e8
    assert Traffic.model_validate_json(load.model_dump_json()) == load
    assert loads(dump(load), Traffic) == load


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("rate: 64kbit", "rate: 64", 3, "expected a number with a unit"),
        ("slice: urgent", "slice: urgnt", 3, "did you mean 'urgent'"),
        ("slice: urgent", "slice: urgent, dscp: 1", 3, "either slice or dscp"),
        ("arrival: poisson", "arival: poisson", 3, "did you mean 'arrival'"),
        ("arrival: poisson", "arrival: poison", 3, "poisson"),
        ("size: 200", "size: 20", 3, "64"),
        ("protocol: tcp", "protocol: sctp", 4, "tcp"),
        ("on: 200ms, ", "", 4, "expected a mean time"),
        ("arrival: on-off, ", "", 4, "arrival: on-off"),
        ("dscp: 10", "dscp: 64", 5, "63"),
        ("{64: 7, 1500: 1}", "{}", 5, "expected sizes"),
        ("{64: 7, 1500: 1}", "{6: 7, 1500: 1}", 5, "64"),
        ("b: 2.5", "b: 0", 6, "at least two nodes"),
        ("split: {urgent: 1}", "split: {other: 1}", 6, "expected one of `slices`"),
        ("split: {urgent: 1}", "split: {urgent: 1}, dscp: 3", 6, "without slice and dscp"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old, new, line, said):
    assert FLOWS.count(old) == 1
    with pytest.raises(BadInput) as refused:
        loads(FLOWS.replace(old, new), Traffic, "load.yaml")
    assert f"load.yaml:{line}:" in str(refused.value)
    assert said in str(refused.value)


def test_an_empty_load_is_refused():
    with pytest.raises(BadInput, match="expected flows, demands or gravity"):
        loads("seed: 1", Traffic)


TOPOLOGY = """name: pair
nodes:
  a: {kind: host}
  b: {kind: host}
  s: {kind: bridge}
load:
  flows:
    one: {source: a, target: b, rate: 1Mbit}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("target: b", "target: bb", "8:30: load.flows.one.target: value 'bb': expected a node of this topology"),
        ("target: b", "target: a", "expected another node than the source"),
        ("target: b", "target: s", "a bridge has no address"),
        ("  flows:\n    one: {source: a, target: b, rate: 1Mbit}", "  demands: {scale: 2.0}", "with demands above 0"),
    ],
)
def test_a_topologys_load_is_checked_with_it(old, new, said):
    assert loads(TOPOLOGY, Topology).load is not None
    with pytest.raises(BadInput) as refused:
        loads(TOPOLOGY.replace(old, new), Topology)
    assert said in str(refused.value)


def test_the_schema_has_every_key():
    assert set(schema("load")["properties"]) == set(Traffic.model_fields)
