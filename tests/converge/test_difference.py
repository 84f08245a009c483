"""The difference of two topologies: made of one it gives the other, it is empty exactly for equals, and it is local."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from testbed.converge.difference import Edit, applied, difference
from testbed.converge.observe import reread
from testbed.model.topology import Topology
from tests.model.generated import topologies

SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@SLOW
@given(topologies(), topologies())
def test_made_of_one_topology_it_gives_the_other_and_it_is_empty_exactly_for_equals(one, other):
    edits = difference(one, other)
    assert applied(edits, one) == other
    assert (edits == ()) == (one == other)
    assert difference(one, one) == ()


@settings(SLOW, max_examples=30)
@given(topologies(), topologies())
def test_what_was_written_is_read_again_whatever_it_is_likened_to(one, other):
    text = one.model_dump_json().encode()
    near = one.model_copy(update={"nodes": {**other.nodes, **one.nodes}, "links": other.links})
    assert reread(text, like=other) == reread(text, like=near) == one
    again = reread(text, like=one)
    assert all(again.links[name] is link for name, link in one.links.items())


def _of(**link: object) -> Topology:
    ends = [
        {"node": "a", "interface": "eth1", "addresses": ["10.0.0.1/30"]},
        {"node": "b", "interface": "eth1", "addresses": ["10.0.0.2/30"]},
    ]
    nodes = {"a": {"kind": "host"}, "b": {"kind": "router"}}
    return Topology.model_validate({"name": "two", "nodes": nodes, "links": {"a-b": {"endpoints": ends, **link}}})


@pytest.mark.parametrize(
    ("link", "edit"),
    [
        ({"forward": {"delay": 0.01}}, Edit("change", ("links", "a-b", "forward", "delay"), 0.0, 0.01)),
        ({"mtu": 9000}, Edit("change", ("links", "a-b", "mtu"), 1500, 9000)),
        ({"up": False}, Edit("change", ("links", "a-b", "up"), True, False)),
    ],
)
def test_one_field_is_one_edit_with_what_was_and_what_is_wanted(link, edit):
    assert difference(_of(), _of(**link)) == (edit,)


def test_a_node_of_another_kind_is_one_edit():
    other = _of().model_dump(mode="json")
    other["nodes"]["b"] = {"kind": "host"}
    (edit,) = difference(_of(), Topology.model_validate(other))
    assert (edit.op, edit.path) == ("change", ("nodes", "b"))


def test_an_edit_is_carried_over_to_a_topology_that_differs_elsewhere():
    changed = _of(forward={"delay": 0.01}, mtu=9000)
    kept = applied(difference(_of(), _of(mtu=1400)), changed)
    assert kept == _of(forward={"delay": 0.01}, mtu=1400)


def test_an_edit_of_what_is_not_there_does_nothing():
    bare = Topology.model_validate({"name": "two", "nodes": {"a": {"kind": "host"}, "b": {"kind": "router"}}})
    assert applied(difference(_of(), _of(mtu=1400)), bare) == bare
