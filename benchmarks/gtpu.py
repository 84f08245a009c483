"""What the user plane carries and what it adds: GTP-U by TUN devices, beside plain forwarding by the same kernel.

In one guest of one processor: a UE's program, its gNB, a UPF and a server behind it, each of the last three in a node
of its own. The peer is the same program and the same server, over the same links, with the kernel of the UPF's node
forwarding between them and no tunnel at all.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import Any

from benchmarks.claims import Claim
from testbed.emulator.client import Client
from testbed.emulator.messages import Output, Progress
from testbed.lab import Lab
from testbed.model.load import loads
from testbed.model.topology import Topology

RUNS = 5
SECONDS = 3
PINGS = 100
SMALL = 64
"""Bytes of a small packet's payload."""
LISTEN = "sctp:10.9.0.1:38412"
KEYS = {"key": "000102030405060708090a0b0c0d0e0f", "opc": "101112131415161718191a1b1c1d1e1f"}
PATIENCE = 30.0
"""s: for a process to be ready."""
TOPOLOGY = """name: gtpu-bench
nodes: {core: {kind: host}, upf: {kind: host}, ran: {kind: host}, server: {kind: host}}
links:
  n2:
    endpoints:
      - {node: core, interface: eth1, addresses: [10.9.0.1/30]}
      - {node: ran, interface: eth1, addresses: [10.9.0.2/30]}
  n4:
    endpoints:
      - {node: core, interface: eth2, addresses: [10.9.1.1/30]}
      - {node: upf, interface: eth1, addresses: [10.9.1.2/30]}
  n3:
    endpoints:
      - {node: ran, interface: eth2, addresses: [10.9.2.1/30]}
      - {node: upf, interface: eth2, addresses: [10.9.2.2/30]}
  n6:
    endpoints:
      - {node: upf, interface: eth3, addresses: [10.9.3.1/30]}
      - {node: server, interface: eth1, addresses: [10.9.3.2/30]}
"""
SERVER, PLAIN, UE = "10.9.3.2", "10.9.2.1", "10.45.0.2"
UPF = {"address": "10.9.1.2", "n3": "10.9.2.2",
       "networks": [{"dnn": "internet", "gateway": "10.45.0.1/24", "device": "ogstun"}]}  # fmt: skip
SMF = {"address": "10.9.1.1", "heartbeat": 0.5,
       "upfs": [{"name": "upf", "address": "10.9.1.2", "networks": {"internet": "10.45.0.0/24"}}]}  # fmt: skip


@contextmanager
def serving(lab: Lab, node: str, program: str, told: Mapping[str, object]) -> Iterator[list[Any]]:
    """Run one of the core's processes in a node while the context lasts.

    Yields:
        What it says, as it is known once it has ended; what it says on its standard error is the last of it.

    Raises:
        TimeoutError: it is not ready in time.
    """
    said: list[Any] = []
    ready = threading.Event()

    def heard(event: Progress | Output) -> None:
        if isinstance(event, Output):
            ready.set()

    def serve() -> None:
        with lab.agent() as agent:
            argv = (sys.executable, "-m", program)
            done = agent.run(node, argv, stdin=json.dumps(told).encode(), timeout=600, on_event=heard)
            said.extend(json.loads(line) for line in done.stdout.splitlines())
            said.extend([done.stderr.decode()] if done.stderr else [])
            ready.set()

    with ThreadPoolExecutor(1) as beside, lab.agent() as agent:
        running = beside.submit(serve)
        try:
            if not ready.wait(PATIENCE):
                raise TimeoutError(f"{program} was not ready within {PATIENCE:g} s")
            yield said
        finally:
            agent.run(node, ("pkill", "-TERM", "-f", f"{program}$"))
            running.result()


def told_core(ues: Mapping[str, object]) -> dict[str, object]:
    """Return what the core is told."""
    return {"listen": LISTEN, "plmns": ["00101"], "tacs": [7], "subscribers": [ues], "smf": SMF}


def told_ran(ues: Mapping[str, object], *routes: str) -> dict[str, object]:
    """Return what the RAN is told: a session for every UE, and their addresses on an interface."""
    plane = {"n3": "10.9.2.1", "interface": "ue", "routes": routes, "dnns": ["internet"], "stay": True}
    return {"amf": LISTEN, "plmn": "00101", "tac": 7, "ues": ues, **plane}


def _ready(agent: Client) -> None:
    """Have the server answer to UEs and to the plain way, and the UPF's node forward."""
    agent.run("upf", ("sysctl", "-qw", "net.ipv4.ip_forward=1"))
    for network in ("10.45.0.0/24", "10.9.2.0/30"):
        agent.run("server", ("ip", "route", "replace", network, "via", "10.9.3.1"))
    agent.run("ran", ("ip", "route", "replace", f"{SERVER}/32", "via", "10.9.2.2"))
    agent.run("server", ("iperf3", "-s", "-D"))


def _delay(agent: Client, source: str) -> float:
    """Return the median way there and back, seconds."""
    done = agent.run("ran", ("ping", "-c", str(PINGS), "-i", "0.01", "-I", source, SERVER))
    found = [float(one) for one in re.findall(rb"time=([0-9.]+) ms", done.stdout)]
    if not found:
        raise RuntimeError(f"no answer to {source}: {done.stderr.decode()}")
    return median(found) / 1e3


def _rate(agent: Client, source: str, down: bool) -> float:
    """Return what TCP carries, bit/s."""
    argv = ("iperf3", "-J", "-c", SERVER, "-B", source, "-t", str(SECONDS), *(("-R",) if down else ()))
    done = agent.run("ran", argv)
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"])


def _packets(agent: Client, source: str) -> float:
    """Return how many small packets a second arrive, of as many as a program can send."""
    argv = ("iperf3", "-J", "-u", "-b", "0", "-l", str(SMALL), "-c", SERVER, "-B", source, "-t", str(SECONDS))
    found = json.loads(agent.run("ran", argv).stdout)["end"]["sum"]
    return (found["packets"] - found["lost_packets"]) / found["seconds"]


def measure(quick: bool = False) -> Iterator[Claim]:
    """Run it all, about three minutes."""
    runs = 1 if quick else RUNS
    ues = {"first": "001010000000001", "count": 1, **KEYS}
    with Lab.up(loads(TOPOLOGY, Topology), substrate="uml", name="bench") as lab, lab.agent() as agent:
        _ready(agent)
        found: dict[str, dict[str, list[float]]] = {}
        for _ in range(runs):
            _once(lab, agent, ues, found)
    yield from _claims(found, runs)


def _once(lab: Lab, agent: Client, ues: Mapping[str, object], found: dict[str, dict[str, list[float]]]) -> None:
    """Measure both ways in turn: each run has what the machine was like just then."""
    _gather(agent, PLAIN, found.setdefault("plain", {}))
    with serving(lab, "upf", "core5g.upf", UPF), serving(lab, "core", "core5g.amf", told_core(ues)), \
            serving(lab, "ran", "core5g.ran", told_ran(ues)):  # fmt: skip
        agent.run("ran", ("ip", "route", "replace", f"{SERVER}/32", "dev", "ue", "src", UE))
        _gather(agent, UE, found.setdefault("gtpu", {}))
    agent.run("ran", ("ip", "route", "replace", f"{SERVER}/32", "via", "10.9.2.2"))


def _gather(agent: Client, source: str, found: dict[str, list[float]]) -> None:
    found.setdefault("delay", []).append(_delay(agent, source))
    found.setdefault("up", []).append(_rate(agent, source, down=False))
    found.setdefault("down", []).append(_rate(agent, source, down=True))
    found.setdefault("packets", []).append(_packets(agent, source))


def _claims(found: Mapping[str, Mapping[str, list[float]]], runs: int) -> Iterator[Claim]:
    def of(which: str, key: str) -> float:
        return median(found[which][key])

    peer = "plain forwarding"
    for way in ("up", "down"):
        yield Claim(f"GTP-U by TUN devices, TCP {way}", of("gtpu", way) / 1e6, "Mbit/s", runs, peer,
                    of("plain", way) / 1e6, None, False)  # fmt: skip
    yield Claim(f"GTP-U by TUN devices, packets of {SMALL} bytes", of("gtpu", "packets"), "/s", runs, peer,
                of("plain", "packets"), None, False)  # fmt: skip
    yield Claim("GTP-U by TUN devices, there and back", 1e3 * of("gtpu", "delay"), "ms", runs, peer,
                1e3 * of("plain", "delay"))  # fmt: skip
