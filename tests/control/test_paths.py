"""Paths over known networks: what every switch does is followed hop by hop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.control.messages import Cable, Network, Pin, Policy, Station
from testbed.control.paths import Forwarding, forwarding
from testbed.errors import BadInput


def network(*pairs: tuple[int, int]) -> Network:
    """Switches s1, s2, ... joined by `pairs`, each with a station h1, h2, ... on its port 99."""
    used: dict[int, int] = {}
    cables = []
    for ends in pairs:
        for end in ends:
            used[end] = used.get(end, 0) + 1
        names = (f"s{ends[0]}", f"s{ends[1]}")
        cables.append(Cable(link="-".join(names), ends=names, ports=(used[ends[0]], used[ends[1]])))
    numbers = sorted(used)
    stations = [
        Station(node=f"h{n}", mac=f"02:00:00:00:00:{n:02x}", segment=f"s{n}", port=99, link="x") for n in numbers
    ]
    return Network(switches={f"s{n}": n for n in numbers}, cables=tuple(cables), stations=tuple(stations))


def ring(size: int) -> Network:
    return network(*((n, n % size + 1) for n in range(1, size + 1)))


def mac(number: int) -> str:
    return f"02:00:00:00:00:{number:02x}"


def walks(it: Network, made: dict[str, Forwarding], source: int, target: int, dark: str = "") -> list[list[str]]:
    """Follow a frame all ways it may take; a switch whose port is dark takes its backup, or drops the frame."""
    across = {(c.ends[i], c.ports[i]): (c.ends[1 - i], c.link) for c in it.cables for i in (0, 1)}
    found: list[list[str]] = []

    def go(switch: str, passed: list[str]) -> None:
        assert switch not in passed, f"a frame circles: {[*passed, switch]}"
        place = made[switch].stations[mac(target)]
        if isinstance(place, int):
            found.append([*passed, switch])
            return
        hops = made[switch].targets[place]
        lit = [port for port in hops.best if across[switch, port][1] != dark]
        for port in lit or [hops.backup]:
            if port is not None:
                go(across[switch, port][0], [*passed, switch])

    go(f"s{source}", [])
    return found


def test_all_equally_short_ways_are_taken():
    it = ring(4)
    made = forwarding(it, Policy())
    assert sorted(walks(it, made, 1, 3)) == [["s1", "s2", "s3"], ["s1", "s4", "s3"]]


def test_a_backup_stands_behind_the_only_way():
    it = ring(3)
    made = forwarding(it, Policy())
    assert walks(it, made, 1, 2) == [["s1", "s2"]]
    assert walks(it, made, 1, 2, dark="s1-s2") == [["s1", "s3", "s2"]]


def test_a_drained_link_is_left_while_there_is_another_way():
    it = ring(4)
    assert walks(it, forwarding(it, Policy(drained=("s1-s2",))), 1, 2) == [["s1", "s4", "s3", "s2"]]
    line = network((1, 2))
    assert walks(line, forwarding(line, Policy(drained=("s1-s2",))), 1, 2) == [["s1", "s2"]]


def test_a_pin_holds_for_its_pair_alone():
    it = ring(4)
    pin = Pin(source="h1", destination="h2", links=("s4-s1", "s3-s4", "s2-s3"))
    made = forwarding(it, Policy(pins=(pin,)))
    assert {switch: one.pinned for switch, one in made.items()} == {
        "s1": {(mac(1), mac(2)): 2},
        "s4": {(mac(1), mac(2)): 1},
        "s3": {(mac(1), mac(2)): 1},
        "s2": {},
    }
    assert not any(one.pinned for one in forwarding(it, Policy(pins=(pin,)), frozenset({"s3-s4"})).values())


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (Policy(drained=("s1-s3",)), "no link 's1-s3' between switches.*s1-s2"),
        (Policy(pins=(Pin(source="h1", destination="h9", links=("s1-s2",)),)), "no node 'h9' on the switches"),
        (Policy(pins=(Pin(source="h1", destination="h2", links=("s2-s3",)),)), "begin elsewhere than s1"),
        (Policy(pins=(Pin(source="h1", destination="h3", links=("s1-s2",)),)), "end at s2, not at s3"),
        (
            Policy(pins=(Pin(source="h1", destination="h4", links=("s1-s2", "s3-s4")),)),
            "s3-s4 does not lead on from s2",
        ),
    ],
)
def test_what_cannot_be_is_refused(policy, why):
    with pytest.raises(BadInput, match=why):
        forwarding(ring(4), policy)


pairs = st.tuples(st.integers(1, 7), st.integers(1, 7)).filter(lambda ends: ends[0] < ends[1])
graphs = st.lists(pairs, min_size=1, max_size=14, unique=True)


@given(graphs)
def test_frames_arrive_and_never_circle_whichever_link_goes_dark(chosen):
    it = network(*chosen)
    made = forwarding(it, Policy())
    for cable in it.cables:
        for source in it.switches.values():
            for target in it.switches.values():
                if mac(target) in made[f"s{source}"].stations:
                    assert walks(it, made, source, target)
                    walks(it, made, source, target, dark=cable.link)  # asserts that nothing circles


@given(graphs)
def test_what_comes_to_everybody_goes_along_a_tree(chosen):
    it = network(*chosen)
    made = forwarding(it, Policy())
    across = {(c.ends[i], c.ports[i]): c.ends[1 - i] for c in it.cables for i in (0, 1)}
    reached, waiting = [], [(switch, 99) for switch in list(it.switches)[:1]]
    while waiting:
        switch, arrived = waiting.pop()
        assert switch not in reached
        reached.append(switch)
        waiting += [
            (across[switch, port], next(p for (s, p), o in across.items() if s == across[switch, port] and o == switch))
            for port in made[switch].flood
            if port not in (arrived, 99)
        ]
    assert set(reached) == {s for s in it.switches if mac(it.switches[s]) in made[reached[0]].stations}
