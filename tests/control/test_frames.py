"""Frames followed through what is written: ways as they are, and faults that were put there on purpose."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from testbed.control.frames import Frames
from testbed.control.messages import Network, Pin, Policy, Rule, SwitchRules, WasRead
from testbed.control.paths import forwarding
from testbed.control.rules import PATHS, Key, Marking, Rules, Target, rules
from tests.control.test_paths import mac, network, ring

NOTHING_ASKED = Policy()


def written(it: Network, policy: Policy = NOTHING_ASKED) -> WasRead:
    """What the switches say when the controller has done its work."""
    made = forwarding(it, policy)
    numbers = {name: number for number, name in enumerate(sorted(it.switches))}
    return WasRead(switches=tuple(_switch(name, rules(made[name], numbers)) for name in it.switches))


def _switch(name: str, own: Rules) -> SwitchRules:
    flows = tuple(_rule(key, target) for key, target in own.flows.items())
    return SwitchRules(switch=name, rules=flows, groups={n: (g.kind, g.ports) for n, g in own.groups.items()})


def _rule(key: Key, target: Target | Marking) -> Rule:
    table, priority, match = key
    fields = {name: "/".join(value) if isinstance(value, tuple) else str(value) for name, value in match}
    if isinstance(target, Marking):
        return Rule(table=table, priority=priority, match=fields, next=PATHS)
    if target[0] == "group":
        return Rule(table=table, priority=priority, match=fields, group=target[1])
    return Rule(table=table, priority=priority, match=fields, ports=(target[1],))


def ways(it: Network, read: WasRead, source: str, destination: str) -> list[str]:
    frames = Frames(it, read)
    (one,), (other,) = frames.stations(source), frames.stations(destination)
    return sorted(walk.text for walk in frames.walks(one, other))


def with_rule(read: WasRead, switch: str, rule: Rule) -> WasRead:
    """Write one more flow into a switch."""
    return WasRead(
        switches=tuple(replace(one, rules=(*one.rules, rule)) if one.switch == switch else one for one in read.switches)
    )


def test_ways_are_those_of_the_groups_and_of_the_pin():
    it = ring(4)
    assert ways(it, written(it), "h1", "h3") == ["h1 > s1 > s2 > s3 > h3", "h1 > s1 > s4 > s3 > h3"]
    pin = Pin(source="h1", destination="h2", links=("s4-s1", "s3-s4", "s2-s3"))
    assert ways(it, written(it, Policy(pins=(pin,))), "h1", "h2") == ["h1 > s1 > s4 > s3 > s2 > h2"]


def test_a_dark_port_leads_on_by_the_backup():
    it = ring(3)
    read = written(it)
    (port,) = (cable.ports[0] for cable in it.cables if cable.link == "s1-s2")
    dark = WasRead(switches=tuple(replace(o, dark=(port,)) if o.switch == "s1" else o for o in read.switches))
    assert ways(it, dark, "h1", "h2") == ["h1 > s1 > s3 > s2 > h2"]


def test_a_flow_that_leads_nowhere_is_told_where():
    it = ring(3)
    lost = Frames(it, with_rule(written(it), "s1", Rule(table=PATHS, priority=999, match={"eth_dst": mac(2)})))
    assert lost.new_faults(Frames(it, written(it))) == [
        "frames from h1 to h2 end at s1, whose flow leads nowhere (h1 > s1)"
    ]


def test_a_circle_of_three_is_seen():
    it = ring(3)
    read = written(it)
    for cable in it.cables:
        rule = Rule(table=PATHS, priority=999, match={"eth_dst": mac(2)}, ports=(cable.ports[0],))
        read = with_rule(read, cable.ends[0], rule)
    assert "frames from h1 to h2 circle (h1 > s1 > s2 > s3 > s1)" in Frames(it, read).faults()


def test_a_broadcast_that_comes_twice_is_a_storm():
    it = ring(3)
    everybody = {"eth_dst": "01:00:00:00:00:00/01:00:00:00:00:00"}
    read = written(it)
    for switch in it.switches:
        read = with_rule(read, switch, Rule(table=PATHS, priority=999, match=everybody, ports=(1, 2, 99)))
    assert any("broadcasts from h1 come to" in line for line in Frames(it, read).faults())


@given(st.sets(st.tuples(st.integers(1, 6), st.integers(1, 6)).filter(lambda p: p[0] < p[1]), min_size=1), st.data())
def test_what_the_controller_writes_has_no_fault(pairs, data):
    it = network((1, 2), (2, 3), (3, 4), (4, 5), (5, 6), *sorted(p for p in pairs if p[1] - p[0] > 1))
    drained = data.draw(st.lists(st.sampled_from([cable.link for cable in it.cables]), unique=True))
    assert Frames(it, written(it, Policy(drained=tuple(drained)))).faults() == []
