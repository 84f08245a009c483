"""Open vSwitch: how soon a line of switches carries, beside Mininet's, and for how long it is dark when a link is cut.

Natively, by the userspace datapath on both sides. Ours starts its daemons and its controller each time; Mininet's
daemons run before, as its users have them, and are not counted. Ready is: a ping goes from the first host to the last.
Cuts are in a triangle, which has another way at once, and, for our controller alone, in a ring of four, which has none
until the paths are worked out anew. The peers there are the spanning trees of the same Open vSwitch and of the kernel.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bring_up import EMPTY
from benchmarks.claims import Claim
from testbed.emulator.client import Client
from testbed.emulator.lower import build_of
from testbed.emulator.messages import Build, LinkChange, Reach, SetLinks, StreamStart, StreamStop, WaitReady
from testbed.lab import Lab
from testbed.model.topology import Topology

PEERS = Path(__file__).parent / "peers"
LINES, RUNS = (10, 20), 3
LEARNING, TOLD = {"kind": "switch", "controller": "none"}, {"kind": "switch"}
BRIDGE, SPANNING = {"kind": "bridge", "stp": True}, {**LEARNING, "stp": True}
INTERVAL = 0.001
"""Seconds between the packets that a cut is seen by."""
BEFORE = 0.5
PATIENCE = 60.0
ROOT = 4096
"""Priority of the bridge that is to be the root; the others' is 32768."""
RAPID, SLOW = 3.0, 16.0
"""Seconds after which a cut has healed: two ages and delays of the spanning tree protocol at its shortest times."""


def network(segment: dict[str, Any], cables: list[tuple[int, int]], count: int) -> Topology:
    """Switches or bridges s1, s2, ... with a host each."""
    nodes = {f"s{i}": segment for i in range(1, count + 1)} | {f"h{i}": {"kind": "host"} for i in range(1, count + 1)}
    links: dict[str, Any] = {}
    for one, other in cables:
        ends = [{"node": f"s{one}", "interface": f"to{other}"}, {"node": f"s{other}", "interface": f"to{one}"}]
        links[f"s{one}-s{other}"] = {"endpoints": ends}
    for i in range(1, count + 1):
        host = {"node": f"h{i}", "interface": "eth0", "addresses": [f"10.0.0.{i}/24"]}
        links[f"h{i}-s{i}"] = {"endpoints": [host, {"node": f"s{i}", "interface": "host"}]}
    return Topology.model_validate({**EMPTY, "name": "bench", "nodes": nodes, "links": links})


def line(segment: dict[str, Any], count: int) -> Topology:
    """As Mininet's LinearTopo."""
    return network(segment, [(i, i + 1) for i in range(1, count)], count)


def ring(segment: dict[str, Any], count: int) -> Topology:
    """Switches in a ring."""
    return network(segment, [(i, i % count + 1) for i in range(1, count + 1)], count)


def up(agent: Client, topology: Topology, last: int) -> float:
    """Build where nothing is any more; return seconds until a ping goes from the first host to another."""
    agent.call(Build(nodes=(), links=()))
    build, started = build_of(topology), time.monotonic()
    agent.call(build)
    settle(agent, last)
    return time.monotonic() - started


def settle(agent: Client, last: int) -> None:
    """Wait until everything is ready and a ping goes from the first host to another."""
    missing = agent.call(WaitReady(deadline=PATIENCE)).missing
    if missing:
        raise RuntimeError(f"not ready: {'; '.join(missing)}")
    deadline = time.monotonic() + PATIENCE
    while not agent.call(Reach(source="h1", destination=f"10.0.0.{last}", count=1)).received:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no ping from h1 to h{last} within {PATIENCE:g} s")


def mininet(count: int, *controller: str) -> float:
    """Return seconds that stock Mininet takes for the same line, in namespaces of its own."""
    new = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
    command = [*new, "/usr/bin/python3", str(PEERS / "mininet_switches.py"), str(count), *controller]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"Mininet failed: {done.stderr[-500:]}")
    return json.loads(lines[-1])["up_s"]


def dark(agent: Client, lasts: float) -> float:
    """Cut the link that packets from h1 to h2 take, and mend it; return seconds in which none came."""
    flow = StreamStart(source="h1", destination="10.0.0.2", sink="h2", interval=INTERVAL)
    stream = agent.call(flow).stream
    threading.Event().wait(BEFORE)  # how long it is sent, not a wait for something
    agent.call(SetLinks(changes=(LinkChange(link="s1-s2", up=False),)))
    threading.Event().wait(lasts)
    result = agent.call(StreamStop(stream=stream))
    if result.received < result.sent * BEFORE / (BEFORE + lasts) / 2:
        raise RuntimeError(f"{result.received} of {result.sent} packets came: the cut was not what kept them")
    agent.call(SetLinks(changes=(LinkChange(link="s1-s2", up=True),)))
    settle(agent, 2)
    return result.longest_gap


def rapid(agent: Client) -> None:
    """Let the triangle's switches speak the rapid spanning tree protocol instead (IEEE 802.1D-2004)."""
    words = " -- ".join(f"set Bridge s{i} stp_enable=false rstp_enable=true" for i in (3, 2, 1))
    _run(agent, "ovs-vsctl", "--", *words.split(), f"other_config:rstp-priority={ROOT}")


def rooted(agent: Client) -> None:
    """Make the first bridge the root, so that its link to the second, which is cut, is in the tree."""
    _run(agent, "ip", "link", "set", "br0", "type", "bridge", "priority", str(ROOT))


def _run(agent: Client, *words: str) -> None:
    done = agent.run("s1", words)
    if done.code:
        raise RuntimeError(f"{' '.join(words)} failed: {done.stderr.decode()}")
    settle(agent, 2)


def cuts(agent: Client, topology: Topology, lasts: float, runs: int, prepare: Callable[[Client], None]) -> float:
    """Return the median of the milliseconds that cuts took."""
    up(agent, topology, 2)
    prepare(agent)
    return 1e3 * median(dark(agent, lasts) for _ in range(runs))


def _nothing(agent: Client) -> None:
    """The network is as it was built."""


def measure(quick: bool = False) -> list[Claim]:
    """Run it all; about four minutes, quickly one."""
    lines, runs = (LINES[:1], 1) if quick else (LINES, RUNS)
    empty = Topology.model_validate({**EMPTY, "name": "bench"})
    with Lab.up(empty, substrate="native", name="bench") as lab, lab.agent() as agent:
        return [*(claim for count in lines for claim in _bring_up(agent, count, runs)), *_failover(agent, runs)]


def _bring_up(agent: Client, count: int, runs: int) -> Iterator[Claim]:
    told = (sys.executable, str(PEERS / "learning_app.py"))
    for what, segment, controller, peer_name in (
        ("learning switches", LEARNING, (), "Mininet, OVSSwitch"),
        ("switches with a controller", TOLD, told, "Mininet, OVSSwitch, os-ken"),
    ):
        ours = median(up(agent, line(segment, count), count) for _ in range(runs))
        peer = median(mininet(count, *controller) for _ in range(runs))
        yield Claim(f"line of {count} {what}, native: up until a ping goes through", ours, "s", runs, peer_name, peer)


def _failover(agent: Client, runs: int) -> Iterator[Claim]:
    groups = cuts(agent, ring(TOLD, 3), RAPID, runs, _nothing)
    trees = {
        "Open vSwitch's RSTP": cuts(agent, ring(SPANNING, 3), RAPID, runs, rapid),
        "the kernel's bridges with STP": cuts(agent, ring(BRIDGE, 3), SLOW, runs, rooted),
    }
    for peer, found in trees.items():
        yield Claim("a cut in a triangle of switches, fast-failover groups: dark", groups, "ms", runs, peer, found)
    anew = cuts(agent, ring(TOLD, 4), RAPID, runs, _nothing)
    yield Claim("a cut in a ring of four, paths worked out anew: dark", anew, "ms", runs, "no other way until then")
