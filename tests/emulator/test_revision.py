"""Builds said by what differs: both ends make the same of it, and little is said where little differs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from testbed.emulator.messages import Build, LinkPatch, WireEnd, WireLink, WireNode
from testbed.emulator.revision import Given
from testbed.errors import BadInput


@st.composite
def builds(draw) -> Build:
    names = draw(st.sets(st.sampled_from("abcdef")))
    nodes = tuple(WireNode(name=name, kind=draw(st.sampled_from(["host", "bridge"]))) for name in sorted(names))
    ends = (WireEnd(node="a", interface="eth1"), WireEnd(node="b", interface="eth1"))
    links = tuple(
        WireLink(name=name, ends=ends, forward=LinkPatch(delay=draw(st.sampled_from([0.0, 0.01]))))
        for name in sorted(draw(st.sets(st.sampled_from("uvwxyz"))))
    )
    return Build(nodes=nodes, links=links)


@given(builds(), builds())
def test_a_revision_makes_one_build_of_the_other(one, other):
    before = Given(one)
    revision = before.revision(other)
    assert Given(before.revised(revision)).fingerprint == Given(other).fingerprint
    assert (Given(other).fingerprint == before.fingerprint) == (
        set(one.nodes + one.links) == set(other.nodes + other.links)
    )
    assert not set(revision.nodes + revision.links) & set(one.nodes + one.links)


@given(builds(), st.randoms(use_true_random=False))
def test_the_order_in_which_it_is_written_does_not_matter(build, chance):
    nodes, links = (chance.sample(items, len(items)) for items in (build.nodes, build.links))
    mixed = structs.replace(build, nodes=tuple(nodes), links=tuple(links))
    assert Given(mixed).fingerprint == Given(build).fingerprint


def test_a_revision_of_something_else_is_refused():
    nodes = tuple(WireNode(name=name, kind="host") for name in "abc")
    revision = Given(Build(nodes=nodes[:1], links=())).revision(Build(nodes=nodes, links=()))
    with pytest.raises(BadInput, match="something else"):
        Given(Build(nodes=nodes[1:], links=())).revised(revision)
