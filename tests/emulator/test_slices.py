"""Slices on switches, judged by packets: a meter holds one and leaves another, a queue guarantees."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from testbed.emulator.client import Client
from testbed.emulator.lower import build_of
from testbed.emulator.messages import Converge, ListNodes, StreamStart, StreamStop
from testbed.emulator.segments import ReadSwitches
from testbed.errors import Unable
from testbed.model.topology import Topology
from tests.emulator.segments import bring_up, network, reaches
from tests.emulator.test_switches import place  # noqa: F401, a fixture

SIZE, INTERVAL, SECONDS = 1000, 0.002, 4.0
OFFERED = 8 * SIZE / INTERVAL
URGENT, BULK = 46, 10


def sliced(slices: dict[str, Any], rate: float | None = None, datapath: str = "auto") -> Topology:
    """Two switches with a host on each, and between them a link of a rate."""
    switches = {name: {"kind": "switch", "datapath": datapath} for name in ("s1", "s2")}
    plain = network(switches, [("s1", "s2")], {"h1": "s1", "h2": "s2"})
    tree = plain.model_dump(mode="json") | {"slices": slices}
    if rate is not None:
        tree["links"]["s1-s2"]["forward"] = {"rate": rate}
    return Topology.model_validate(tree)


def arrived(agent: Client, seconds: float = SECONDS) -> dict[int, float]:
    """Send as much of each slice for a time; return what share of each arrived, by DSCP."""
    flow = {"source": "h1", "destination": "10.0.0.2", "sink": "h2", "interval": INTERVAL, "size": SIZE}
    streams = {dscp: agent.call(StreamStart(dscp=dscp, **flow)).stream for dscp in (URGENT, BULK)}
    threading.Event().wait(seconds)
    results = {dscp: agent.call(StreamStop(stream=stream)) for dscp, stream in streams.items()}
    return {dscp: result.received / result.sent for dscp, result in results.items()}


@pytest.mark.alone
def test_a_slice_above_its_meter_is_held_to_it_and_another_is_not_touched(place):  # noqa: F811
    agent, _ = place
    limit = OFFERED / 4
    bring_up(agent, sliced({"bulk": {"dscp": BULK, "maximum": limit}, "urgent": {"dscp": URGENT, "maximum": 1e9}}))
    share = arrived(agent)
    print({dscp: f"{one:.3f}" for dscp, one in share.items()})
    assert share[URGENT] > 0.97
    assert 0.15 < share[BULK] < 0.25 * (1 + 1.5 / SECONDS)


@pytest.mark.alone
@pytest.mark.guest
def test_a_queue_gives_a_slice_its_guarantee_on_a_link_that_is_too_small(guest_client):
    rate = 1.2 * OFFERED
    bring_up(guest_client, sliced({"urgent": {"dscp": URGENT, "guaranteed": 0.95 * OFFERED}}, rate))
    share = arrived(guest_client)
    print({dscp: f"{one:.3f}" for dscp, one in share.items()})
    assert share[URGENT] > 0.9
    assert share[BULK] < 0.6


@pytest.mark.guest
def test_a_guarantee_that_no_queue_can_give_is_refused_and_nothing_is_left(guest_client):
    with pytest.raises(Unable, match=r"s1: slices are guaranteed by queues.*--substrate uml"):
        guest_client.call(build_of(sliced({"urgent": {"dscp": URGENT, "guaranteed": 1e6}}, 1e7, "userspace")))
    assert guest_client.call(ListNodes()).nodes == ()


@pytest.mark.guest
def test_a_kernel_that_does_not_take_queues_is_told_and_the_lab_stays_as_it_was(guest_client):
    """The guest's kernel has htb as a module, which is then nowhere to be found."""
    bring_up(guest_client, sliced({}, 1e7))
    loader, htb = "/proc/sys/kernel/modprobe", "rmmod sch_htb 2>&1 || true"
    path = guest_client.run("h1", ["cat", loader]).stdout.decode().strip()
    guest_client.run("h1", ["sh", "-c", f"{htb}; echo /nowhere > {loader}"])
    try:
        goal = build_of(sliced({"urgent": {"dscp": URGENT, "guaranteed": 1e6}}, 1e7))
        with pytest.raises(Unable, match=r"this kernel did not take queues \(qdisc htb\) for s1-eth0: --substrate uml"):
            guest_client.call(Converge(goal=goal))
        seen = guest_client.call(ReadSwitches())
        assert seen.network.slices == ()
        assert reaches(guest_client, "h1", "h2") == 3
    finally:
        guest_client.run("h1", ["sh", "-c", f"echo {path} > {loader}"])
    guest_client.call(Converge(goal=goal))
