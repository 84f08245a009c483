"""Open vSwitch, in userspace on this kernel and by the kernel's datapath in a guest, judged by packets."""

from __future__ import annotations

import threading

import psutil
import pytest

from testbed.control.messages import Pin
from testbed.control.samples import samples
from testbed.emulator.client import AgentClient, Client
from testbed.emulator.lower import build_of
from testbed.emulator.messages import (
    LinkChange,
    ListNodes,
    SetLinks,
    StreamStart,
    StreamStop,
    Throughput,
    ThroughputResult,
)
from testbed.emulator.ovsdb import kernel_datapath
from testbed.emulator.segments import CountSwitches, Steer
from testbed.errors import BadInput, Unable
from tests.emulator.conftest import start_agent, write_keys
from tests.emulator.segments import bring_up, heard_of_broadcasts, network, reaches

LEARNING = {"kind": "switch", "controller": "none"}


@pytest.fixture(
    params=[
        pytest.param(("agent", "netdev"), id="userspace"),
        pytest.param(("guest_client", "system"), id="kernel", marks=pytest.mark.guest),
    ]
)
def place(request) -> tuple[Client, str]:
    """Where switches are, and the type of datapath that `auto` takes there."""
    fixture, datapath = request.param
    return request.getfixturevalue(fixture), datapath


def test_learning_switches_pass_packets_on_by_the_best_datapath_there_is(place):
    agent, datapath = place
    bring_up(agent, network({"s1": LEARNING, "s2": LEARNING}, [("s1", "s2")], {"h1": "s1", "h2": "s2"}))
    assert reaches(agent, "h1", "h2", count=10) == 10
    assert ask(agent, "s1", "get", "Bridge", "s1", "datapath_type") in (datapath, "")
    flow = Throughput(source="h1", destination="10.0.0.2", sink="h2", seconds=1.0)
    result = agent.call(flow)
    assert isinstance(result, ThroughputResult)
    assert result.received_rate > 1e6


def ask(agent: Client, switch: str, *words: str) -> str:
    """Ask the lab's own database, the way a user would."""
    done = agent.run(switch, ["ovs-vsctl", "--timeout=5", *words])
    assert done.code == 0, done.stderr
    return done.stdout.decode().strip().strip('"')


def test_vlans_are_kept_apart_and_a_trunk_carries_both(place):
    agent, _ = place
    ports = {"h1": ("s1", 10), "h2": ("s2", 10), "h3": ("s1", 20), "h4": ("s2", 20)}
    hosts = {h: {"node": s, "vlan": vlan} for h, (s, vlan) in ports.items()}
    bring_up(agent, network({"s1": LEARNING, "s2": LEARNING}, [("s1", "s2")], hosts, trunk=[10, 20]))
    assert reaches(agent, "h1", "h2") == 3
    assert reaches(agent, "h3", "h4") == 3
    assert reaches(agent, "h1", "h3") == 0
    assert reaches(agent, "h1", "h4") == 0


def test_a_ring_of_learning_switches_with_a_spanning_tree_carries(place):
    agent, _ = place
    segments = {f"s{i}": {**LEARNING, "stp": True} for i in (1, 2, 3)}
    cables = [("s1", "s2"), ("s2", "s3"), ("s3", "s1")]
    bring_up(agent, network(segments, cables, {"h1": "s1", "h2": "s2"}))
    assert reaches(agent, "h1", "h2", count=10) == 10


def test_a_datapath_that_the_kernel_lacks_is_refused_before_anything_is_left(agent):
    if kernel_datapath():
        pytest.skip("this machine's kernel has Open vSwitch's datapath")
    with pytest.raises(Unable, match=r"s1: this kernel has no datapath of Open vSwitch .* `datapath: userspace`"):
        bring_up(agent, network({"s1": {**LEARNING, "datapath": "kernel"}}, [], {"h1": "s1"}))
    assert agent.call(ListNodes()).nodes == ()


def test_a_ring_of_our_controllers_switches_carries_without_a_storm(place):
    agent, _ = place
    bring_up(agent, controlled_ring())
    for target in ("h2", "h3", "h4"):
        assert reaches(agent, "h1", target) == 3
    assert 5 <= heard_of_broadcasts(agent, "h1", "h3") < 100  # one that circles comes back thousands of times


def controlled_ring():
    segments = {f"s{i}": {"kind": "switch"} for i in (1, 2, 3, 4)}
    cables = [("s1", "s2"), ("s2", "s3"), ("s3", "s4"), ("s4", "s1")]
    return network(segments, cables, {f"h{i}": f"s{i}" for i in (1, 2, 3, 4)})


def test_killing_the_agent_ends_the_daemons_and_the_controller(tmp_path):
    write_keys(tmp_path)
    process = start_agent(tmp_path, "--endpoint", f"ipc://{tmp_path}/socket")
    with AgentClient(tmp_path, f"ipc://{tmp_path}/socket") as client:
        client.hello(timeout=20)
        client.call(build_of(controlled_ring()))
    started = psutil.Process(process.pid).children(recursive=True)
    assert {"ovsdb-server", "ovs-vswitchd"} <= {one.name() for one in started}
    assert any("testbed.control.app" in one.cmdline() for one in started)
    process.kill()
    process.wait()
    _, left = psutil.wait_procs(started, timeout=10)
    assert left == []


def test_a_drained_link_carries_nothing_and_a_pin_is_followed(place):
    agent, _ = place
    bring_up(agent, controlled_ring())
    agent.call(Steer(drain=("s1-s2",)))
    assert _carried(agent, "s2", "eth0", "h1", "h2") < 5  # beside what comes to everybody
    assert _carried(agent, "s2", "eth1", "h1", "h2") >= 5
    done = agent.call(Steer(restore=("s1-s2",)))
    assert done.before.drained == ("s1-s2",)
    assert _carried(agent, "s2", "eth0", "h1", "h2") >= 5
    pin = Pin(source="h1", destination="h2", links=("s4-s1", "s3-s4", "s2-s3"))
    assert agent.call(Steer(pin=(pin,))).after.pins == (pin,)
    assert _carried(agent, "s2", "eth1", "h1", "h2") >= 5
    with pytest.raises(BadInput, match=r"no link 's1-s9' between switches; did you mean"):
        agent.call(Steer(drain=("s1-s9",)))


def _carried(agent: Client, switch: str, interface: str, source: str, target: str) -> float:
    """Return how many packets come in by a port while five go from one host to another."""
    reaches(agent, source, target)  # neither asks for the other's MAC any more

    def read() -> float:
        said = agent.call(CountSwitches())
        found = samples(said.counted, said.interfaces, 0.0)
        entity = f"interface:{switch}:{interface}"
        return next(one.value for one in found if (one.entity, one.metric) == (entity, "received_packets"))

    before = read()
    assert reaches(agent, source, target, count=5) == 5
    return read() - before


def test_a_cut_costs_few_packets_because_the_switch_knows_another_way(place):
    agent, _ = place
    segments = {f"s{i}": {"kind": "switch"} for i in (1, 2, 3)}
    cables = [("s1", "s2"), ("s2", "s3"), ("s3", "s1")]
    bring_up(agent, network(segments, cables, {"h1": "s1", "h2": "s2"}))
    assert reaches(agent, "h1", "h2") == 3
    flow = StreamStart(source="h1", destination="10.0.0.2", sink="h2", interval=0.005)
    stream = agent.call(flow).stream
    threading.Event().wait(0.5)
    agent.call(SetLinks(changes=(LinkChange(link="s1-s2", up=False),)))
    threading.Event().wait(1.5)
    result = agent.call(StreamStop(stream=stream))
    print(f"lost {result.sent - result.received} of {result.sent}, longest gap {1e3 * result.longest_gap:.1f} ms")
    assert result.received > 0.5 * result.sent
    assert result.longest_gap < 1.0
