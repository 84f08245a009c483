"""The ways of packets through switches, put into what was traced."""

from __future__ import annotations

import pytest

from testbed.control.frames import Frames
from testbed.control.messages import Policy
from testbed.model.change import PathIs
from testbed.validate.expectations.path import assess
from testbed.validate.scene import Way
from testbed.validate.switches import through
from tests.control.test_frames import written
from tests.control.test_paths import ring

TRACED = Way(("h1", "h3"), (None,), True)


def asked(**words) -> PathIs:
    return PathIs(kind="path", source="h1", destination="h3", **words)


def test_one_way_is_named_with_its_switches_and_links():
    it = ring(4)
    way = through(Frames(it, written(it, Policy(drained=("s1-s2",)))), TRACED)
    assert way.text == "h1 > s1 > s4 > s3 > h3"
    assert assess(way, asked(via=("s4",), avoid_links=("s1-s2",))) == (True, [])
    assert assess(way, asked(avoid_links=("s4-s1",)))[0] is False


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        ({"via": ("s1",)}, True),
        ({"avoid": ("s9",)}, True),
        ({"avoid_links": ("elsewhere",)}, True),
        ({"via": ("s2",)}, None),
        ({"avoid": ("s2",)}, None),
        ({"avoid_links": ("s4-s1",)}, None),
        ({"via": ("s9",)}, False),
    ],
)
def test_of_several_ways_only_what_all_have_in_common_is_certain(words, holds):
    it = ring(4)
    way = through(Frames(it, written(it)), TRACED)
    assert way.text == "h1 > s1 > ? > s3 > h3"
    assert assess(way, asked(**words))[0] is holds


def test_a_hop_that_is_not_known_stays_so():
    it = ring(4)
    way = through(Frames(it, written(it)), Way(("h1", None, "h3"), (None, None), True))
    assert not way.spread
    assert assess(way, asked(avoid=("s2",)))[0] is None
