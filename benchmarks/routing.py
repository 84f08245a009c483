"""GÉANT (topohub's sndlib/geant) with OSPF on every node, in a guest: from the command to routes on all of them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from statistics import median

from benchmarks.claims import Claim
from testbed.exchange.registry import import_from
from testbed.lab import Lab
from testbed.model.topology import Topology

SOURCE, RUNS = "topohub:sndlib/geant", 3


def time_up() -> float:
    """Return seconds from the command's start to its end, which is when the network is ready; checked, and taken down.

    Raises:
        RuntimeError: a router then had no route to another.
    """
    begun = time.monotonic()
    command = [sys.executable, "-m", "testbed", "up", SOURCE, "--substrate", "uml", "--json", "--timeout", "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    spent = time.monotonic() - begun
    lab = Lab.open(json.loads(done.stdout)["lab"])
    try:
        _check(lab, import_from(SOURCE).topology)
    finally:
        lab.down()
    return spent


def _check(lab: Lab, topology: Topology) -> None:
    routers = [node for node in topology.nodes.values() if node.kind == "router"]
    loopbacks = {str(node.loopbacks[0].ip) for node in routers}
    with lab.agent() as agent:
        for name in topology.nodes:
            routes = agent.run(name, ["ip", "-j", "route"]).stdout
            own = agent.run(name, ["ip", "-j", "address", "show", "lo"]).stdout
            known = {route["dst"] for route in json.loads(routes)}
            known |= {address["local"] for device in json.loads(own) for address in device["addr_info"]}
            if missing := loopbacks - known:
                raise RuntimeError(f"{name} has no route to {', '.join(sorted(missing))}")


def measure(runs: int = RUNS) -> list[Claim]:
    """Run it all; a few minutes."""
    nodes = len(import_from(SOURCE).topology.nodes)
    what = f"GÉANT, {nodes} FRR routers with OSPF in uml: from the command to a route from each to each"
    return [Claim(what, median(time_up() for _ in range(runs)), "s", runs, "none: no peer starts routers in a guest")]
