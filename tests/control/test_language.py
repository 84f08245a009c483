"""Policies as lines: what is written is what is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.control.language import applied, configuration, difference, text
from testbed.control.messages import Cable, Network, Pin, Policy
from testbed.errors import BadInput

LINKS = st.sampled_from(["s1-s2", "s2-s3", "s3-s1"])
NODES = st.sampled_from(["h1", "h2", "h3"])
PINS = st.builds(
    lambda source, destination, links: Pin(source=source, destination=destination, links=tuple(links)),
    NODES,
    NODES,
    st.lists(LINKS, min_size=1, max_size=3),
)
POLICIES = st.builds(
    lambda drained, pins: Policy(drained=tuple(drained), pins=tuple(pins)),
    st.lists(LINKS, unique=True),
    st.lists(PINS, unique_by=lambda pin: (pin.source, pin.destination)),
)


@given(POLICIES, POLICIES)
def test_the_difference_turns_one_policy_into_another(old, new):
    assert text(applied(old, difference(old, new))) == text(new)
    assert difference(new, new) == ""


@given(POLICIES)
def test_a_policy_is_read_from_its_own_text(policy):
    assert text(applied(Policy(), text(policy))) == text(policy)


@pytest.mark.parametrize("line", ["drian s1-s2", "drain", "pin h1 h2", "unpin h1"])
def test_a_line_of_another_language_is_refused(line):
    with pytest.raises(BadInput, match="expected drain, restore, pin or unpin"):
        applied(Policy(), f"{line}\n")


def test_the_same_policy_in_another_network_is_another_configuration():
    one, other = (Cable(link=name, ends=("s1", "s2"), ports=(1, 1)) for name in ("a", "b"))
    policy = Policy(drained=("a",))
    networks = [Network(switches={"s1": 1, "s2": 2}, cables=(cable,)) for cable in (one, other)]
    assert len({configuration(network, policy) for network in networks}) == 2
