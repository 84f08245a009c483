"""One of 300 links changed in a lab that runs, in a guest; beside taking the lab down and up again for it.

Measured is what a user waits for besides the start of Python: seeing what differs, changing it, and keeping it on disk.
"""

from __future__ import annotations

import time
from statistics import median

from benchmarks.bring_up import ring
from benchmarks.claims import Claim
from testbed.converge.carry_out import converge
from testbed.lab import Lab
from testbed.model.topology import Topology

LINKS, RUNS = 300, 21
TARGET = 100.0
DELAY = 0.005


def edited(topology: Topology, delay: float) -> Topology:
    """Return the topology with one of its links' delays changed, in both directions."""
    tree = topology.model_dump(mode="json")
    link = tree["links"][f"l{LINKS // 2}"]
    link["forward"]["delay"] = link["backward"]["delay"] = delay
    return Topology.model_validate(tree)


def time_edits(lab: Lab, topology: Topology, runs: int) -> list[float]:
    """Return seconds that each of `runs` changes of one link took."""
    found = []
    for number in range(runs):
        goal = edited(topology, DELAY * (2 + number % 2))
        begun = time.monotonic()
        plan = converge(lab, goal)
        found.append(time.monotonic() - begun)
        if len(plan.edits) != 2:
            raise RuntimeError(f"{len(plan.edits)} edits; expected the delay of both directions")
    return found


def measure(runs: int = RUNS) -> list[Claim]:
    """Run it all; about half a minute."""
    topology = ring(LINKS, DELAY)
    with Lab.up(topology, substrate="uml", name="bench") as lab:
        ours = median(time_edits(lab, topology, runs))
        begun = time.monotonic()
        lab.down()
        Lab.up(edited(topology, DELAY), substrate="uml", name="bench")
        peer = time.monotonic() - begun
    what = f"one of {LINKS} links changed in a lab that runs, in uml"
    return [Claim(what, 1e3 * ours, "ms", runs, "down and up again", 1e3 * peer, TARGET)]
