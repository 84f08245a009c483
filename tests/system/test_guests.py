"""A lab spread over two guest kernels does what a lab in one does; the death of either is the death of the lab."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from testbed.control.samples import samples
from testbed.converge.carry_out import converge
from testbed.emulator.client import Client
from testbed.emulator.loading import LoadFlow, ReadLoad
from testbed.emulator.lower import build_of
from testbed.emulator.messages import (
    GetLinks,
    LinkChange,
    LinkPatch,
    Locate,
    Located,
    Power,
    Reach,
    SetLoad,
    Stamp,
    StreamStart,
    StreamStop,
    Survey,
    Throughput,
    Trace,
)
from testbed.emulator.placement import WEIGHTS, place
from testbed.emulator.segments import CountSwitches, Steer
from testbed.emulator.spread import split
from testbed.errors import BadInput, ExitCode, Unable
from testbed.lab import Lab
from testbed.model.load import loads
from testbed.model.steering import Steering
from testbed.model.topology import Topology
from testbed.processes import Process, wait
from testbed.substrate import processes
from tests.cli.commands import run
from tests.substrate.leftovers import assert_gone, traces

pytestmark = [pytest.mark.guest, pytest.mark.timeout(240)]

RING = ("r1", "r2", "r3", "r4")
DELAY = 0.005
WAYS: tuple[tuple[Literal[0, 1], str], ...] = ((0, "forward"), (1, "backward"))


def _topology() -> str:
    lines = ["name: spread", "guest: {memory: 300MiB}", "nodes:"]
    lines += [f"  r{i}: {{kind: router, loopbacks: [10.255.0.{i}/32]}}" for i in range(1, 5)]
    lines += [f"  h{i}: {{kind: host, gateway: 10.{i}.0.1}}" for i in (1, 3)]
    lines.append("links:")
    for number, (one, other) in enumerate(pairwise((*RING, RING[0]))):
        lines += [f"  {one}-{other}:", "    endpoints:"]
        lines.append(f"      - {{node: {one}, interface: right, addresses: [10.0.{number}.1/30]}}")
        lines.append(f"      - {{node: {other}, interface: left, addresses: [10.0.{number}.2/30]}}")
        lines.append(f"    impairment: {{delay: {DELAY * 1000:g}ms}}")
    for i in (1, 3):
        lines += [f"  h{i}-r{i}:", "    endpoints:"]
        lines.append(f"      - {{node: h{i}, interface: eth0, addresses: [10.{i}.0.2/24]}}")
        lines.append(f"      - {{node: r{i}, interface: lan, addresses: [10.{i}.0.1/24]}}")
    return "\n".join(lines) + "\n"


def _switches() -> str:
    """A ring of our controller's switches with a host each."""
    lines = ["name: fabric", "guest: {memory: 300MiB, guests: 2}", "nodes:"]
    lines += [f"  s{i}: {{kind: switch}}\n  h{i}: {{kind: host}}" for i in range(1, 5)]
    lines.append("links:")
    for i in range(1, 5):
        ends = (f"{{node: s{i}, interface: right}}", f"{{node: s{i % 4 + 1}, interface: left}}")
        lines.append(f"  s{i}-s{i % 4 + 1}: {{endpoints: [{', '.join(ends)}]}}")
        host = f"{{node: h{i}, interface: eth0, addresses: [10.0.0.{i}/24]}}"
        lines.append(f"  h{i}-s{i}: {{endpoints: [{host}, {{node: s{i}, interface: host}}]}}")
    return "\n".join(lines) + "\n"


def _crossing() -> list[str]:
    """The links between the two guests, as the placement has them."""
    ends = {f"{one}-{other}": (one, other) for one, other in pairwise((*RING, RING[0]))}
    ends |= {f"h{i}-r{i}": (f"h{i}", f"r{i}") for i in (1, 3)}
    names = {name for pair in ends.values() for name in pair}
    placed = place({name: WEIGHTS["router" if name[0] == "r" else "host"] for name in names}, ends.values(), 2)
    return [link for link, (one, other) in ends.items() if placed[one] != placed[other]]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, uml_works: None) -> Iterator[Lab]:
    """Up by flag, down by command; nothing is left."""
    file = tmp_path_factory.mktemp("spread") / "spread.yaml"
    file.write_text(_topology())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTBED_HOME", str(file.parent / "home"))
        done = run("up", file, "--substrate", "uml", "--guests", "2", "--json")
        assert done.returncode == ExitCode.DONE, done.stderr
        found = Lab.open("spread")
        seen = traces(found.folder)
        yield found
        done = run("down", "spread")
        assert done.returncode == ExitCode.DONE, done.stderr
        assert_gone(seen)


@pytest.fixture
def client(lab: Lab) -> Iterator[Client]:
    with lab.agent() as agent:
        yield agent


def _delays(client: Client, link: str, delay: float) -> None:
    client.set_links([LinkChange(link=link, end=end, patch=LinkPatch(delay=delay)) for end, _ in WAYS])


def test_up_again_changes_links_and_routers_in_both_guests(lab: Lab, client: Client, tmp_path: Path):
    (crossing, *_) = _crossing()
    for text, delay in ((_topology().replace("5ms", "7ms"), 0.007), (_topology(), DELAY)):
        (tmp_path / "spread.yaml").write_text(text)
        done = run("up", tmp_path / "spread.yaml", "--guests", "2", "--json")
        assert done.returncode == ExitCode.DONE, done.stderr
        assert len(json.loads(done.stdout)["edits"]) == 2 * len(RING)
        (state,) = client.call(GetLinks(names=(crossing,))).links
        assert state.forward.delay == state.backward.delay == pytest.approx(delay)
    (tmp_path / "spread.yaml").write_text(
        _topology().replace("addresses: [10.0.1.1/30]}", "cost: 33, addresses: [10.0.1.1/30]}")
    )
    done = run("up", tmp_path / "spread.yaml", "--guests", "2", "--json")
    assert list(json.loads(done.stdout)["routers"]) == ["r2"], done.stderr
    (tmp_path / "spread.yaml").write_text(_topology())
    assert run("up", tmp_path / "spread.yaml", "--guests", "2").returncode == ExitCode.DONE
    refused = run("up", tmp_path / "spread.yaml")
    assert refused.returncode == ExitCode.BAD_INPUT
    assert "guest.guests: value 1: the lab runs with 2" in refused.stderr


def test_what_fails_in_one_guest_is_undone_in_both(lab: Lab, client: Client):
    """The second guest refuses an interface that somebody made by hand; the first has made its link by then."""
    before, was = lab.topology, client.call(GetLinks())
    assert client.run("h3", ["ip", "link", "add", "eth9", "type", "dummy"]).code == 0
    tree = before.model_dump(mode="json")
    for number in (1, 3):
        ends = [{"node": f"{kind}{number}", "interface": "eth9"} for kind in "hr"]
        tree["links"] |= {f"h{number}-again": {"endpoints": ends}}
    for one, other in pairwise((*RING, RING[0])):
        tree["links"][f"{one}-{other}"]["forward"]["delay"] = 3 * DELAY
    goal = Topology.model_validate(tree)
    told: list[str] = []
    with pytest.raises(Unable, match="h3-again"):
        converge(lab, goal, progress=lambda event: told.append(event.text))
    assert "made 0 node(s), 1 link(s)" in told
    assert client.call(GetLinks()) == was
    assert client.run("h1", ["ip", "link", "show", "eth9"]).code != 0
    assert lab.topology == before
    assert not (lab.folder.path / "converge.json").exists()
    assert client.run("h3", ["ip", "link", "delete", "eth9"]).code == 0
    for wanted in (goal, before):
        converge(lab, wanted)
        assert {link.name for link in client.call(GetLinks()).links} == wanted.links.keys()


def test_it_runs_on_two_kernels_each_with_its_own_console_and_memory(lab: Lab, client: Client):
    record = lab.folder.record()
    assert len(record.guests) == len(record.endpoints) == 2
    assert all(lab.folder.console(number).stat().st_size for number in (1, 2))
    boots = {client.run(f"h{i}", ["cat", "/proc/sys/kernel/random/boot_id"]).stdout for i in (1, 3)}
    assert len(boots) == 2
    located = client.call(Locate())
    assert isinstance(located, Located)
    assert set(located.nodes) == {*RING, "h1", "h3"}
    assert len(_crossing()) == 2


def test_status_shows_the_whole_lab(lab: Lab):
    said = json.loads(run("status", lab.name, "--json").stdout)
    assert said["labs"][0]["liveness"]["alive"]
    assert {node["name"] for node in said["nodes"]} == {*RING, "h1", "h3"}
    links = {link["name"]: link for link in said["links"]}
    assert len(links) == 6
    for name in _crossing():
        for way in ("forward", "backward"):
            assert links[name][way]["delay"] == pytest.approx(DELAY, rel=0.01)


def test_routes_lead_across_and_hops_have_their_names(client: Client):
    path = client.call(Trace(source="h1", destination="10.3.0.2"))
    assert path.reached
    assert [hop.node for hop in path.hops][-1] == "h3"
    assert {hop.node for hop in path.hops} < {*RING, "h3"}
    assert all(client.call(Reach(source="h3", destination=f"10.255.0.{i}")).received == 3 for i in range(1, 5))


def test_delays_are_measured_across_with_what_the_clocks_may_be_wrong(client: Client):
    result = client.call(Stamp(source="h1", destination="10.3.0.2", reflector="h3", count=50))
    assert result.kernel_timestamps
    assert result.received >= 49
    rtts, forward = (sorted(v for v in values if not math.isnan(v)) for values in (result.rtt, result.forward))
    assert 4 * DELAY <= rtts[len(rtts) // 2] < 4 * DELAY + 0.02
    assert 0 < result.clock_error < 0.05
    assert forward[0] >= 2 * DELAY - result.clock_error
    near = client.call(Stamp(source="h1", destination="10.1.0.1", reflector="r1", count=10))
    assert near.clock_error == 0


def test_one_setting_of_one_direction_changes_and_all_else_stays(client: Client):
    link = _crossing()[0]
    before = client.call(GetLinks(names=(link,))).links[0]
    for end, way in WAYS:
        client.set_links([LinkChange(link=link, end=end, patch=LinkPatch(loss=0.25))])
        state = client.call(GetLinks(names=(link,))).links[0]
        assert getattr(state, way).loss == pytest.approx(0.25, abs=1e-6)
        assert getattr(state, way).delay == getattr(before, way).delay
        client.set_links([LinkChange(link=link, end=end, patch=LinkPatch(loss=0.0))])
    assert client.call(GetLinks(names=(link,))).links[0] == before


def test_a_batch_with_a_wrong_change_changes_nothing_in_either_guest(client: Client):
    before = client.call(GetLinks()).links
    good = [LinkChange(link=link, end=end, patch=LinkPatch(delay=0.3)) for link in _crossing() for end, _ in WAYS]
    for bad in (LinkChange(link="h3-r3", patch=LinkPatch(loss=2.0)), LinkChange(link="r9-r9", up=False)):
        with pytest.raises(BadInput):
            client.set_links([*good, bad])
        assert client.call(GetLinks()).links == before


def test_a_cut_takes_carrier_from_both_guests_and_packets_find_the_other_way(client: Client):
    first, second = _crossing()
    ends = client.call(Locate()).links[first]
    flow = client.call(StreamStart(source="h1", destination="10.3.0.2", sink="h3"))
    client.set_links([LinkChange(link=first, up=False)])
    for node, side in zip(ends, ("right", "left"), strict=True):
        assert b"NO-CARRIER" in client.run(node, ["ip", "link", "show", side]).stdout
    _until_reached(client, 15)
    result = client.call(StreamStop(stream=flow.stream))
    assert 0 < result.received <= result.sent
    client.set_links([LinkChange(link=second, up=False)])
    assert client.call(Reach(source="h1", destination="10.3.0.2")).received == 0
    assert [link.up for link in client.call(GetLinks(names=(first, second))).links] == [False, False]
    client.set_links([LinkChange(link=link, up=True) for link in (first, second)])
    _until_reached(client, 30)
    assert all(link.up for link in client.call(GetLinks()).links)


def test_a_node_without_power_takes_carrier_from_its_neighbour_in_the_other_guest(client: Client):
    one, other = client.call(Locate()).links[_crossing()[0]]
    client.call(Power(node=one, on=False))
    assert b"NO-CARRIER" in client.run(other, ["ip", "link", "show", "left"]).stdout
    seen = client.call(Survey())
    assert not any(wire.lit for wire in seen.wires if one in (end[0] for end in wire.ends))
    client.call(Power(node=one, on=True))
    assert b"NO-CARRIER" not in client.run(other, ["ip", "link", "show", "left"]).stdout
    _until_reached(client, 30)


def test_tcp_and_background_load_cross(client: Client):
    for link in ("r1-r2", "r2-r3", "r3-r4", "r4-r1"):
        _delays(client, link, 0.0)
    result = client.call(Throughput(source="h1", destination="10.3.0.2", sink="h3", seconds=1.0))
    assert result.received_rate > 5e6
    before = _received(client)
    rate, size = 1e6, 1000
    client.call(SetLoad(flows=(LoadFlow(source="h1", destination="10.3.0.2", sink="h3", rate=rate, size=size),)))
    time.sleep(1.0)
    client.call(SetLoad())
    assert _received(client) - before > 0.5 * rate / 8 / size
    for link in ("r1-r2", "r2-r3", "r3-r4", "r4-r1"):
        _delays(client, link, DELAY)


def test_load_between_guests_is_counted_at_both_ends(client: Client):
    _until_reached(client, 30)
    flows = (
        LoadFlow(source="h1", destination="10.3.0.2", sink="h3", rate=4e5, size=500),
        LoadFlow(source="h3", destination="10.1.0.2", sink="h1", rate=4e5, protocol="tcp"),
    )
    client.call(SetLoad(flows=flows, measured=True))
    time.sleep(2.0)
    udp, tcp = client.call(ReadLoad(stop=True)).flows
    assert udp.received > 0.9 * udp.sent > 100
    assert 0 < udp.clock_error < 0.1
    assert udp.delay(0.5) + udp.clock_error >= DELAY
    assert tcp.received_octets > 20_000
    assert tcp.clock_error == 0
    client.call(SetLoad(measured=True))


def _received(client: Client) -> int:
    return int(client.run("h3", ["grep", "eth0", "/proc/net/dev"]).stdout.split()[2])


def _until_reached(client: Client, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not client.call(Reach(source="h1", destination="10.3.0.2", count=1)).received:
        assert time.monotonic() < deadline, "no packet found its way in time"


def _kernel(lab: Lab, number: int) -> Process:
    """The process that is a guest's kernel; those it starts later have the same command line."""
    init = f"init={lab.folder.guest(number)}/init".encode()
    found = [p for p in processes.marked(lab.folder.record().id) if init in _command_line(p)]
    return min(found, key=lambda process: process.started)


def _command_line(process: Process) -> list[bytes]:
    line = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
    return line if line[0] == b"linux.uml" else []


def test_a_guest_that_dies_is_named_with_its_console_and_the_lab_is_dead(lab: Lab):
    """The last test of this lab."""
    victim = _kernel(lab, 2)
    others = lab.folder.record().processes
    with lab.folder.console(2).open("a") as console:
        console.write("the last words of the second\n")
    started = time.monotonic()
    os.kill(victim.pid, signal.SIGKILL)
    state = lab.liveness()
    while state.alive and time.monotonic() - started < 5:
        state = lab.liveness()
    assert time.monotonic() - started < 5
    assert not state.alive
    assert "guest 2 of 2 ended" in state.reason
    assert "the last words of the second" in state.console
    said = run("status", lab.name)
    assert said.returncode == ExitCode.NO
    assert "guest 2 of 2" in said.stdout
    assert wait(others, 5.0) == [], "the other guest lives on"


def test_one_controller_tells_the_switches_of_both_guests(uml_works, tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path))
    topology = loads(_switches(), Topology)
    assert all(any(node.kind == "switch" for node in part.nodes) for part in split(build_of(topology), 2))
    with Lab.up(topology, substrate="uml") as lab, lab.agent() as agent:
        for target in (2, 3, 4):
            assert _came_back(agent, target) == 3
        assert agent.call(Steer(drain=("s1-s2",))).after.drained == ("s1-s2",)
        before = _carried(agent, "s2", "left")
        assert _came_back(agent, 2) == 3
        assert _carried(agent, "s2", "left") - before < 3  # no more than what comes to everybody
        for drained in ((), ("s2-s3",)):
            goal = topology.model_copy(update={"steering": Steering(drained=drained)})
            assert [edit.path for edit in converge(lab, goal).edits] == [("steering", "drained")]
            assert agent.call(Steer()).after.drained == drained
            assert _came_back(agent, 3) == 3


def _came_back(agent: Client, target: int) -> int:
    return agent.call(Reach(source="h1", destination=f"10.0.0.{target}")).received


def _carried(agent: Client, switch: str, interface: str) -> float:
    """Return how many packets have come in by a port of one of the four switches."""
    said = agent.call(CountSwitches())
    assert said.counted.silent == ()
    assert {port.switch for port in said.counted.ports} == {"s1", "s2", "s3", "s4"}
    entity = f"interface:{switch}:{interface}"
    found = samples(said.counted, said.interfaces, 0.0)
    return next(one.value for one in found if (one.entity, one.metric) == (entity, "received_packets"))
