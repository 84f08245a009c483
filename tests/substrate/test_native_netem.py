"""Native labs on a kernel that has netem, as most users' machines do: here that of the shared guest.

A node of the guest is the machine; what a user would do there is one script, so that Python starts once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.emulator.client import Client
from testbed.emulator.messages import Build, WireNode

pytestmark = [pytest.mark.guest, pytest.mark.timeout(120)]
MACHINE = "native-machine"
NOBODY = "65534"
PROJECT = Path(__file__).parents[2]

SCRIPT = """
import json, os, time
from pathlib import Path
from statistics import median
from testbed.emulator.messages import LinkChange, LinkPatch, Reach, Stamp
from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.substrate import doctor, processes
from testbed.substrate.registry import pick

def wire(net, *places):
    ends = [{"node": node, "interface": interface, "addresses": [f"10.0.{net}.{number}/30"]}
            for number, (node, interface) in enumerate(places, 1)]
    return {"endpoints": ends, "forward": {"delay": "5ms"}, "backward": {"delay": "5ms"}}

topology = Topology.model_validate({
    "name": "ring",
    "nodes": {f"r{n}": {"kind": "router", "protocols": ["ospf"], "loopbacks": [f"10.255.0.{n}/32"]} for n in (1, 2, 3)},
    "links": {
        "r1-r2": wire(1, ("r1", "eth1"), ("r2", "eth1")),
        "r2-r3": wire(2, ("r2", "eth2"), ("r3", "eth1")),
        "r1-r3": wire(3, ("r1", "eth2"), ("r3", "eth2")),
    },
})

def rtt(agent):
    found = agent.call(Stamp(source="r1", destination="10.0.1.2", reflector="r2", count=20))
    return median(found.rtt)

def interfaces():
    return [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()]

before = set(interfaces())
said = {"substrate": pick()[0].name, "rack": pick(own_kernel=True)}
said["rack"] = [said["rack"][0].name, said["rack"][1]]
with Lab.up(topology) as live, Lab.up(topology, name="fork") as fork:
    said["labs"] = sorted((lab.name, lab.substrate) for lab in Lab.all())
    with live.agent() as one, fork.agent() as two:
        said["before"] = rtt(one), rtt(two)
        one.set_links([LinkChange(link="r1-r2", end=0, patch=LinkPatch(delay=0.04))])
        said["after"] = rtt(one), rtt(two)
        one.set_links([LinkChange(link="r1-r2", up=False)])
        deadline = time.monotonic() + 20
        while not one.call(Reach(source="r1", destination="10.255.0.2", count=1)).received:
            assert time.monotonic() < deadline, "OSPF does not find the other way round the ring"
        said["around"] = one.run("r1", ["vtysh", "-c", "show ip route 10.255.0.2"]).stdout.decode()
    markers = [lab.folder.record().id for lab in (live, fork)]
said["left"] = os.listdir("/dev/shm") + [process.pid for marker in markers for process in processes.marked(marker)]
said["left"] += [lab.name for lab in Lab.all()] + doctor.clean()
said["left"] += sorted(set(interfaces()) - before)
print(json.dumps(said))
"""


@pytest.fixture
def machine(guest_client: Client) -> Client:
    """The guest's agent, with a node that stands for a machine with Linux as Debian ships it."""
    guest_client.call(Build(nodes=(WireNode(name=MACHINE, kind="host"),), links=()))
    return guest_client


def _as_user(machine: Client) -> list[str]:
    """Become nobody, the harder way for a native lab; stay root where others cannot read this project."""
    nobody = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
    readable = machine.run(MACHINE, [*nobody, "test", "-r", f"{PROJECT}/testbed/__main__.py"]).code == 0
    return nobody if readable else []


def test_a_ring_and_its_fork_run_side_by_side_on_a_kernel_with_netem(machine: Client) -> None:
    user = _as_user(machine)
    home = f"/tmp/{MACHINE}"
    machine.run(MACHINE, ["install", "-d", "-m", "777", home])
    command = ["env", "-C", str(PROJECT), f"HOME={home}", f"TESTBED_HOME={home}", *user, sys.executable, "-c", SCRIPT]
    done = machine.run(MACHINE, command, timeout=100)
    assert done.code == 0, done.stderr.decode()
    said: dict[str, Any] = json.loads(done.stdout)
    assert (said["substrate"], said["rack"][0]) == ("native", "native")
    assert "guest itself" in said["rack"][1]
    assert said["labs"] == [["fork", "native"], ["ring", "native"]]
    assert all(0.010 <= rtt < 0.020 for rtt in said["before"]), said
    live, fork = said["after"]
    assert 0.045 <= live < 0.055, said
    assert 0.010 <= fork < 0.020, said
    assert "10.0.3.2, via eth2" in said["around"], said["around"]
    assert said["left"] == []
