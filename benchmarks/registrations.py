"""How many UEs a second register with the embedded core, how long each takes, and what memory it costs.

In one guest of one processor: an AMF in one node, gNBs and UEs in another, N2 over SCTP between them, 5G-AKA and NAS
ciphered by AES for every one. As many messages of their size echoed over SCTP by the same two nodes, without anything
being done with them, are the limit.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

from benchmarks.claims import Claim
from testbed.emulator.client import Client
from testbed.lab import Lab
from testbed.model.load import loads
from testbed.model.topology import Topology

COUNTS = (1000, 10_000)
RUNS = 3
AT_ONCE = 50
PATIENCE = 30.0
"""s: for an AMF to listen."""
MESSAGES = 5
"""Of NGAP in each direction of a registration, which is as many echoes."""
SIZE = 90
"""Bytes of such a message, about."""
LISTEN = "sctp:10.9.0.1:38412"
KEYS = {"key": "000102030405060708090a0b0c0d0e0f", "opc": "101112131415161718191a1b1c1d1e1f"}
TOPOLOGY = """name: registrations-bench
nodes: {core: {kind: host}, ran: {kind: host}}
links:
  n2:
    endpoints:
      - {node: core, interface: eth1, addresses: [10.9.0.1/30]}
      - {node: ran, interface: eth1, addresses: [10.9.0.2/30]}
"""
ECHO = """
import socket, sys, time
where, count, size, at_once = ("10.9.0.1", 38413), *map(int, sys.argv[2:])
end = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)
if sys.argv[1] == "serve":
    end.bind(where)
    end.listen(1)
    one, _ = end.accept()
    while data := one.recv(65536):
        one.send(data)
else:
    deadline = time.monotonic() + 30
    while end.connect_ex(where):
        assert time.monotonic() < deadline
        end = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)
    end.setsockopt(132, 3, 1)
    began = time.monotonic()
    for number in range(count + at_once):
        if number < count:
            end.send(bytes(size))
        if number >= at_once:
            end.recv(65536)
    print(count / (time.monotonic() - began))
"""


def _ues(count: int) -> dict[str, object]:
    return {"first": "001010000000001", "count": count, **KEYS}


@contextmanager
def _amf(lab: Lab, count: int) -> Iterator[list[dict[str, float]]]:
    """An AMF while the context lasts; then its last words are in the list."""
    said: list[dict[str, float]] = []
    told = {"listen": LISTEN, "plmns": ["00101"], "tacs": [7], "subscribers": [_ues(count)]}

    def serve() -> None:
        with lab.agent() as agent:
            done = agent.run("core", (sys.executable, "-m", "core5g.amf"), stdin=json.dumps(told).encode(), timeout=600)
            if done.code:
                raise RuntimeError(done.stderr.decode())
            said.extend(map(json.loads, done.stdout.splitlines()))

    with ThreadPoolExecutor(1) as beside, lab.agent() as agent:
        running = beside.submit(serve)
        _until_it_listens(agent)
        yield said
        agent.run("core", ("pkill", "-TERM", "-f", "core5g.amf"))
        running.result()


def _until_it_listens(agent: Client) -> None:
    deadline = time.monotonic() + PATIENCE
    while b"38412" not in agent.run("core", ("cat", "/proc/net/sctp/eps"), timeout=10).stdout:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the AMF did not listen within {PATIENCE:g} s")


def once(lab: Lab, count: int) -> dict[str, float]:
    """Register so many UEs with a new AMF; return the RAN's report and what a UE takes of the AMF's memory."""
    with _amf(lab, count) as said, lab.agent() as agent:
        told = {"amf": LISTEN, "plmn": "00101", "tac": 7, "ues": _ues(count), "at_once": AT_ONCE}
        done = agent.run("ran", (sys.executable, "-m", "core5g.ran"), stdin=json.dumps(told).encode(), timeout=600)
        if done.code:
            raise RuntimeError(done.stderr.decode())
        report = json.loads(done.stdout)
    ready, last = said
    core = (last["memory"] - ready["memory"]) / count
    return {**report, "failures": sum(report["failed"].values()), "core": core, "registered": last["registered"]}


def echoes(lab: Lab) -> float:
    """Return how many messages a second come back over SCTP when nothing is done with them."""
    code = (sys.executable, "-c", ECHO)
    rest = (str(20_000), str(SIZE), str(AT_ONCE))

    def serve() -> None:
        with lab.agent() as agent:
            agent.run("core", (*code, "serve", *rest), timeout=120)

    with ThreadPoolExecutor(1) as beside, lab.agent() as agent:
        running = beside.submit(serve)
        rate = float(agent.run("ran", (*code, "call", *rest), timeout=120).stdout)
        running.result()
    return rate


def measure(quick: bool = False) -> list[Claim]:
    """Run it all, about two minutes."""
    counts, runs = (COUNTS[:1], 1) if quick else (COUNTS, RUNS)
    claims: list[Claim] = []
    with Lab.up(loads(TOPOLOGY, Topology), substrate="uml", name="bench") as lab:
        limit = median(echoes(lab) for _ in range(runs)) / MESSAGES
        for count in counts:
            found = [once(lab, count) for _ in range(runs if count == counts[0] else 1)]
            claims += _claims(count, found, limit)
    return claims


def _claims(count: int, found: list[dict[str, float]], limit: float) -> Iterator[Claim]:
    runs = len(found)

    def of(key: str) -> float:
        return median(one[key] for one in found)

    many = f"{count:,} UEs"
    yield Claim(f"registrations/s of {many}", of("rate"), "", runs, "as many SCTP echoes", limit, 60, False)
    yield Claim(f"failed of {many}", max(one["failures"] for one in found), "", runs, "none", target=0)
    for share in ("p50", "p99"):
        what = f"registration of one of {many}, {AT_ONCE} at a time, {share}"
        yield Claim(what, 1e3 * of(share), "ms", runs, "none")
    yield Claim(f"the AMF's memory for each of {many}", of("core") / 1e3, "kB", runs, "none", target=60)
    yield Claim(f"the RAN's memory for each of {many}", of("memory") / 1e3, "kB", runs, "none", target=60)
