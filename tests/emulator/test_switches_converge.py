"""Switches of a lab that runs: they come and go, and what is not named lives on; judged by packets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.emulator.client import Client
from testbed.emulator.lower import build_of
from testbed.emulator.messages import Converge, LinkChange, ListNodes, Observe, Observed, StreamStart, StreamStop
from testbed.emulator.ovsdb import kernel_datapath
from testbed.emulator.patch import LinkPatch
from testbed.emulator.playing import Play, StopPlay, Track
from testbed.emulator.segments import Arrange
from testbed.errors import BadInput, Refused, Unable
from testbed.model.topology import Topology
from tests.emulator.segments import bring_up, network, reaches, settled
from tests.emulator.test_switches import LEARNING, ask, place  # noqa: F401, place is a fixture

OWN: dict[str, Any] = {"kind": "switch"}
PAIR = [("s1", "s2")]


def ring(count: int = 3, **more: Any) -> Topology:
    """Switches of our own controller in a ring, with a host on each."""
    names = [f"s{number}" for number in range(1, count + 1)]
    cables = list(zip(names, names[1:] + names[:1], strict=True))
    plain = network(dict.fromkeys(names, OWN), cables, {f"h{name[1:]}": name for name in names})
    return Topology.model_validate(plain.model_dump(mode="json") | more)


def converge(agent: Client, goal: Topology) -> None:
    agent.call(Converge(goal=build_of(goal)))
    settled(agent)


def everybody_reaches(agent: Client, topology: Topology) -> None:
    hosts = [name for name, node in topology.nodes.items() if node.kind == "host"]
    for source in hosts:
        for target in hosts:
            assert source == target or reaches(agent, source, target) == 3, f"{source} to {target}"


def test_a_switch_and_hosts_come_and_go_while_others_lose_nothing(place):  # noqa: F811
    agent, _ = place
    bring_up(agent, ring(3))
    flow = StreamStart(source="h1", destination="10.0.0.2", sink="h2", interval=0.005, size=200)
    stream = agent.call(flow).stream
    for goal in (ring(4), ring(3), ring(4)):
        converge(agent, goal)
        everybody_reaches(agent, goal)
    told = agent.call(StreamStop(stream=stream))
    assert told.received == told.sent > 0
    assert {port.partition("-")[0] for port in ask(agent, "s1", "list-ports", "s4").split()} == {"s4"}


def test_nothing_of_what_has_gone_is_left_in_the_switches(place):  # noqa: F811
    agent, _ = place
    bring_up(agent, ring(3))

    def seen() -> list[str]:
        bridges = ask(agent, "s1", "list-br").split()
        return [*bridges, *(port for bridge in bridges for port in ask(agent, "s1", "list-ports", bridge).split())]

    before = seen()
    converge(agent, ring(5))
    assert len(seen()) > len(before)
    converge(agent, ring(3))
    assert seen() == before


def test_a_switch_with_other_settings_is_made_anew(place):  # noqa: F811
    agent, _ = place
    hosts = {"h1": "s1", "h2": "s2"}
    bring_up(agent, network({"s1": LEARNING, "s2": LEARNING}, PAIR, hosts))
    for settings_of_s1 in (OWN, LEARNING, {**OWN, "dpid": 77}):
        goal = network({"s1": settings_of_s1, "s2": LEARNING}, PAIR, hosts)
        converge(agent, goal)
        everybody_reaches(agent, goal)
    assert ask(agent, "s1", "get", "Bridge", "s1", "datapath_id").strip('"') == f"{77:016x}"


def test_the_first_switch_comes_to_a_lab_and_the_last_goes(agent):
    hosts = {"h1": "b1", "h2": "b1"}
    bridged = network({"b1": {"kind": "bridge"}}, [], hosts)
    switched = network({"b1": OWN}, [], hosts)
    bring_up(agent, bridged)
    for goal in (switched, bridged, switched):
        converge(agent, goal)
        everybody_reaches(agent, goal)


def test_where_packets_go_is_part_of_what_a_lab_is_made(place):  # noqa: F811
    agent, _ = place
    drained = {"steering": {"drained": ["s1-s2"]}}
    bring_up(agent, ring(3, **drained))
    assert _policy(agent) == ["s1-s2"]
    converge(agent, ring(3))
    assert _policy(agent) == []
    converge(agent, ring(4, **drained))
    assert _policy(agent) == ["s1-s2"]
    everybody_reaches(agent, ring(4))
    with pytest.raises(BadInput, match="link s3-s4 does not lead on from s2"):
        build_of(ring(4, steering={"pins": [{"source": "h1", "destination": "h2", "links": ["s1-s2", "s3-s4"]}]}))


def _policy(agent: Client) -> list[str]:
    seen = agent.call(Observe())
    assert isinstance(seen, Observed)
    assert seen.policy is not None
    return list(seen.policy.drained)


def test_slices_come_change_and_go(place):  # noqa: F811
    agent, _ = place
    bring_up(agent, ring(3))

    def meters() -> list[str]:
        done = agent.run("s1", ["ovs-ofctl", "-O", "OpenFlow13", "dump-meters", "s1"])
        return sorted(word for word in done.stdout.decode().split() if word.startswith(("meter=", "rate=")))

    bulk, urgent = {"dscp": 10, "maximum": "1Mbit"}, {"dscp": 46, "maximum": "3Mbit"}
    for slices, expected in (
        ({"bulk": bulk}, ["meter=1", "rate=1000"]),
        ({"urgent": urgent, "bulk": bulk}, ["meter=1", "meter=2", "rate=1000", "rate=3000"]),
        ({"bulk": {**bulk, "maximum": "2Mbit"}}, ["meter=1", "rate=2000"]),
        ({}, []),
    ):
        converge(agent, ring(3, slices=slices))
        assert meters() == expected
        assert reaches(agent, "h1", "h2") == 3


@pytest.mark.guest
def test_queues_follow_slices_and_the_rates_of_links(guest_client):
    agent: Client = guest_client

    def sliced(guaranteed: str | None, rate: float | None) -> Topology:
        tree = ring(3).model_dump(mode="json")
        tree["links"]["s1-s2"]["forward"] = {"rate": rate}
        tree["slices"] = {"urgent": {"dscp": 46, "guaranteed": guaranteed}} if guaranteed else {}
        return Topology.model_validate(tree)

    def queues() -> list[int]:
        told = json.loads(ask(agent, "s2", "--format=json", "--columns=other_config", "list", "Queue"))
        return sorted(int(dict(pairs)["min-rate"]) for ((_, pairs),) in told["data"])

    bring_up(agent, sliced(None, 10e6))
    assert queues() == []
    for guaranteed, rate, expected in (("2Mbit", 10e6, 2_000_000), ("4Mbit", 10e6, 4_000_000)):
        converge(agent, sliced(guaranteed, rate))
        assert queues() == sorted([expected, round(0.98 * rate) - expected])
        assert reaches(agent, "h1", "h2") == 3
    agent.set_links([LinkChange(link="s1-s2", patch=LinkPatch(rate=20e6))])
    assert queues() == [4_000_000, round(0.98 * 20e6) - 4_000_000]
    patches = LinkPatch(rate=8e6), LinkPatch(rate=6e6)
    for how, rate in (
        (Play(tracks=(Track(link="s1-s2", times=(0.0, 0.3), patches=patches),)), 6e6),
        (StopPlay(restore=True), 20e6),
    ):
        agent.call(how)
        while queues() != sorted(
            [4_000_000, round(0.98 * rate) - 4_000_000]
        ):  # at the test's own deadline at the latest
            pass
    assert reaches(agent, "h1", "h2") == 3
    converge(agent, network({"s2": OWN}, [], {"h2": "s2", "h1": "s2"}))  # their ports go with them
    assert queues() == []
    assert reaches(agent, "h1", "h2") == 3


def test_an_open_transaction_on_the_switches_keeps_them_as_they_are(agent):
    bring_up(agent, ring(3))
    agent.call(Arrange(transaction="t", act="load", lines="drain s1-s2"))
    agent.call(Arrange(transaction="t", act="commit", revert_after=60.0))
    with pytest.raises(Refused, match="the switches are in transaction t"):
        agent.call(Converge(goal=build_of(ring(4))))
    agent.call(Arrange(transaction="t", act="rollback"))
    converge(agent, ring(4))


def test_a_switch_that_cannot_be_leaves_the_lab_as_it_was(agent):
    if kernel_datapath():
        pytest.skip("this machine's kernel has Open vSwitch's datapath")
    before = ring(3, steering={"drained": ["s2-s3"]})
    bring_up(agent, before)
    nodes = agent.call(ListNodes())
    hosts = {f"h{number}": f"s{number}" for number in (1, 2, 3)}
    segments = {"s1": OWN, "s2": OWN, "s3": {**OWN, "datapath": "kernel"}}
    with pytest.raises(Unable, match=r"s3: this kernel has no datapath of Open vSwitch"):
        agent.call(Converge(goal=build_of(network(segments, PAIR, hosts))))
    settled(agent)
    assert agent.call(ListNodes()) == nodes
    assert _policy(agent) == ["s2-s3"]
    everybody_reaches(agent, before)


def test_the_database_is_spoken_to_again_after_a_silence_in_which_it_hung_up(agent):
    bring_up(agent, ring(3))
    pid = ask(agent, "s1", "--columns=_uuid", "list", "Open_vSwitch")  # it runs
    assert pid
    agent.run("s1", ["ovs-appctl", "-t", "ovsdb-server", "ovsdb-server/reconnect"])  # what 10 s without a word do, too
    converge(agent, ring(4))
    everybody_reaches(agent, ring(4))


@st.composite
def switched(draw) -> Topology:
    """Up to four switches, of which all are joined somehow, some twice; a host on some."""
    count = draw(st.integers(1, 4))
    names = draw(st.permutations([f"s{number}" for number in range(1, 5)]))[:count]
    cables = [(names[draw(st.integers(0, at - 1))], names[at]) for at in range(1, count)]
    if count > 2 and draw(st.booleans()) and (names[0], names[-1]) not in cables:
        cables.append((names[-1], names[0]))
    at = draw(st.lists(st.sampled_from(names), min_size=2, max_size=4))
    return network(dict.fromkeys(names, OWN), cables, {f"h{number}": name for number, name in enumerate(at, 1)})


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=switched(), after=switched())
def test_whatever_a_lab_was_it_carries_as_what_it_became(agent, before, after):
    bring_up(agent, before)
    converge(agent, after)
    everybody_reaches(agent, after)
