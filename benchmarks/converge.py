"""One of 300 links changed in a lab that runs, in a guest; beside taking the lab down and up again for it.

Measured is seeing what differs, changing it, and keeping it on disk; and the whole command, which before that starts
Python and reads the file.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from statistics import median

from benchmarks.bring_up import ring
from benchmarks.claims import Claim
from testbed.converge.carry_out import converge
from testbed.lab import Lab
from testbed.model.dump import dump
from testbed.model.topology import Topology

LINKS, RUNS, COMMANDS = 300, 21, 5
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


def time_commands(lab: Lab, topology: Topology, runs: int) -> list[float]:
    """Return seconds that each of `runs` commands took, each with one link edited in its file."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{times}.yaml") for times in (4, 5)]
        for times, file in enumerate(files, 4):
            file.write_text(dump(edited(topology, DELAY * times)))
        for _, file in zip(range(runs), cycle(files), strict=False):
            begun = time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "testbed", "up", file, "--name", lab.name], check=True, stdout=subprocess.DEVNULL
            )
            found.append(time.monotonic() - begun)
    return found


def measure(runs: int = RUNS) -> list[Claim]:
    """Run it all; about half a minute."""
    topology = ring(LINKS, DELAY)
    with Lab.up(topology, substrate="uml", name="bench") as lab:
        ours = median(time_edits(lab, topology, runs))
        whole = median(time_commands(lab, topology, COMMANDS))
        begun = time.monotonic()
        lab.down()
        Lab.up(edited(topology, DELAY), substrate="uml", name="bench")
        peer = time.monotonic() - begun
    what = f"one of {LINKS} links changed in a lab that runs, in uml"
    by_command = f"{what}: the whole `testbed up FILE`"
    return [
        Claim(what, 1e3 * ours, "ms", runs, "down and up again", 1e3 * peer, TARGET),
        Claim(by_command, 1e3 * whole, "ms", COMMANDS, ""),
    ]
