"""Bring-up and teardown of rings of hosts: milliseconds per node, and whether they stay the same as the ring grows.

The guest's boot is a line of its own: it does not grow with the ring. Mininet runs in a guest of the same kernel (or
in a namespace of this one), at the size it finishes within a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path
from statistics import median

from benchmarks.claims import Claim
from testbed.emulator.lower import build_of
from testbed.lab import Lab
from testbed.model.topology import Topology

RINGS_IN_GUEST = (20, 100, 300)
RING_NATIVE = 1000
MININET_IN_GUEST, MININET_NATIVE = 20, 300
RUNS = 3
PEER = Path(__file__).parent / "mininet_kinds.py"
EMPTY = {"nodes": {"boot": {"kind": "host"}}, "links": {}, "guest": {"memory": 1536 * 2**20}}


def ring(count: int, delay: float) -> Topology:
    """Hosts in a ring, each link a subnet of its own, each direction delayed by `delay` seconds."""
    subnets = ip_network("10.64.0.0/12").subnets(new_prefix=30)
    nodes = {f"h{number}": {"kind": "host"} for number in range(count)}
    links = {}
    for number, subnet in zip(range(count), subnets, strict=False):
        one, other = (f"{address}/30" for address in subnet.hosts())
        ends = [
            {"node": f"h{number}", "interface": "eth0", "addresses": [one]},
            {"node": f"h{(number + 1) % count}", "interface": "eth1", "addresses": [other]},
        ]
        links[f"l{number}"] = {"endpoints": ends, "forward": {"delay": delay}, "backward": {"delay": delay}}
    return Topology.model_validate({**EMPTY, "name": f"ring-{count}", "nodes": nodes, "links": links})


def time_ring(topology: Topology, substrate: str) -> tuple[float, float, float]:
    """Return seconds to boot the substrate, to build the ring, and to take it all down."""
    build = build_of(topology)
    begun = time.monotonic()
    empty = Topology.model_validate({**EMPTY, "name": "bench"})
    lab = Lab.up(empty, substrate=substrate, name="bench")
    try:
        booted = time.monotonic()
        with lab.agent() as agent:
            start = time.monotonic()
            agent.call(build)
            built = time.monotonic()
    finally:
        ending = time.monotonic()
        lab.down()
    return booted - begun, built - start, time.monotonic() - ending


def mininet_in_guest(count: int, kind: str = "ring") -> float | None:
    """Return Mininet's ms up and down per node, with netem in a guest; None where it or its brctl is not installed."""
    topology = Topology.model_validate({**EMPTY, "name": "bench-peer", "nodes": {"peer": {"kind": "host"}}})
    with Lab.up(topology, substrate="uml", name="bench-peer") as lab, lab.agent() as agent:
        done = agent.run("peer", ("/usr/bin/python3", str(PEER), kind, str(count), "shaped", "stock"), timeout=120.0)
    return _each(done.stdout.decode())


def mininet_native(count: int, kind: str = "ring") -> float | None:
    """Return the same with plain links, in a namespace of this machine."""
    command = ["unshare", "--net", "--mount", "/usr/bin/python3", str(PEER), kind, str(count), "plain", "stock"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return _each(done.stdout)


def _each(output: str) -> float | None:
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        return None
    said = json.loads(lines[-1])
    return (said["up_s"] + said["down_s"]) / said["nodes"] * 1e3


def _claims(count: int, substrate: str, target: float, delay: float, peer: float | None, peer_name: str) -> list[Claim]:
    timings = [time_ring(ring(count, delay), substrate) for _ in range(RUNS)]
    boot, build, down = (median(column) for column in zip(*timings, strict=True))
    kind = "with netem" if delay else "without netem"
    name = f"ring of {count} in {substrate} {kind}"
    print(f"{name}: boot {boot:.2f} s, build {build:.3f} s, down {down:.3f} s", file=sys.stderr)
    each = (build + down) / count * 1e3
    return [
        Claim(f"{name}: up and down, per node", each, "ms", RUNS, peer_name, peer, target),
        Claim(f"{name}: boot, whole", boot, "s", RUNS, ""),
    ]


def measure() -> list[Claim]:
    """Run it all; about a minute and a half."""
    guest_peer, native_peer = mininet_in_guest(MININET_IN_GUEST), mininet_native(MININET_NATIVE)
    claims = []
    for count in RINGS_IN_GUEST:
        peer = guest_peer if count == MININET_IN_GUEST else None
        name = f"Mininet, TCLink, {MININET_IN_GUEST} nodes" if peer else f"Mininet needs over a minute for {count}"
        claims += _claims(count, "uml", 8.0, 0.005, peer, name)
    name = f"Mininet, Link, {MININET_NATIVE} nodes" if native_peer else "Mininet is not installed"
    return claims + _claims(RING_NATIVE, "native", 2.5, 0.0, native_peer, name)
