"""What the controller is told of a lab, whole or in the parts that several guests have."""

from __future__ import annotations

from itertools import pairwise

import pytest

from testbed.emulator.control import control_of
from testbed.emulator.lower import build_of
from testbed.emulator.messages import Build
from testbed.emulator.spread import split
from tests.emulator.segments import network


def ring() -> Build:
    """Switches s1 to s6 in a ring, told by our controller, with a host each."""
    names = [f"s{i}" for i in range(1, 7)]
    hosts = {f"h{i}": f"s{i}" for i in range(1, 7)}
    return build_of(network({name: {"kind": "switch"} for name in names}, list(pairwise([*names, "s1"])), hosts))


@pytest.mark.parametrize("guests", [1, 2, 3])
def test_a_spread_lab_is_told_as_a_whole_but_for_the_macs_of_its_guests(guests):
    whole = control_of([ring()])
    parts = split(ring(), guests)
    assert all(part.control == parts[0].control for part in parts)
    told = parts[0].control
    assert told is not None
    assert told.network.switches == whole.network.switches
    assert {c.link: sorted(zip(c.ends, c.ports, strict=True)) for c in told.network.cables} == {
        c.link: sorted(zip(c.ends, c.ports, strict=True)) for c in whole.network.cables
    }
    assert told.interfaces == whole.interfaces
    places = {(one.node, one.segment, one.port, one.link) for one in told.network.stations}
    assert places == {(one.node, one.segment, one.port, one.link) for one in whole.network.stations}
    assert len({one.mac for one in told.network.stations}) == 6
    assert sorted((told.guest, *told.others)) == list(range(1, guests + 1))


def test_where_no_switch_is_for_our_controller_it_runs_nowhere():
    learning = network({"s1": {"kind": "switch", "controller": "none"}}, [], {"h1": "s1", "h2": "s1"})
    assert [(part.control.guest, part.control.others) for part in split(build_of(learning), 2) if part.control] == [
        (0, ()),
        (0, ()),
    ]
