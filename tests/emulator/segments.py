"""Small switched networks that several tests bring up, and what tells whether they work: packets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from testbed.emulator.client import Client
from testbed.emulator.lower import build_of
from testbed.emulator.messages import Reach, Reached, Readiness, WaitReady
from testbed.model.topology import Topology

BROKEN = """
import socket
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sender.bind(("INTERFACE", 0))
header = bytes.fromhex("45000014 00010000 40fdffff 0a000001 0a0000ff".replace(" ", ""))
for _ in range(20):
    sender.send(b"\\xff" * 6 + b"\\x02\\0\\0\\0\\0\\1" + b"\\x08\\0" + header + bytes(26))
"""
"""Sends 20 frames that a switch forwards and no router does: IPv4 whose header's checksum is wrong."""
COUNTERS = "/proc/net/netstat"


def network(
    segments: dict[str, dict[str, Any]],
    cables: list[tuple[str, str]],
    hosts: Mapping[str, str | dict[str, Any]],
    trunk: Sequence[int] = (),
) -> Topology:
    """Describe a switched network.

    Args:
        segments: bridges and switches. cables: which of them are joined.
        hosts: to the segment each is on, or to the whole port there (`{"node": "s1", "vlan": 10}`); host `hN` has the
            address 10.0.0.N/24.
        trunk: VLANs on both ends of all cables.
    """
    links: dict[str, Any] = {}
    for number, (one, other) in enumerate(cables):
        ends = [{"node": node, "interface": f"eth{number}", "trunk": list(trunk)} for node in (one, other)]
        links[f"{one}-{other}"] = {"endpoints": ends}
    for name, place in hosts.items():
        port = {"node": place} if isinstance(place, str) else place
        end = {"node": name, "interface": "eth0", "addresses": [f"10.0.0.{name.rpartition('h')[2]}/24"]}
        links[f"{name}-{port['node']}"] = {"endpoints": [end, {"interface": f"port-{name}", **port}]}
    nodes = {**segments, **{name: {"kind": "host"} for name in hosts}}
    return Topology.model_validate({"name": "segments", "nodes": nodes, "links": links})


def bring_up(agent: Client, topology: Topology, deadline: float = 40.0) -> None:
    """Build and wait until nothing is missing."""
    agent.call(build_of(topology))
    settled(agent, deadline)


def settled(agent: Client, deadline: float = 40.0) -> None:
    """Wait until nothing is missing."""
    readiness = agent.call(WaitReady(deadline=deadline))
    assert isinstance(readiness, Readiness)
    assert readiness.missing == (), readiness.missing


def reaches(agent: Client, source: str, target: str, count: int = 3) -> int:
    """Return how many of `count` packets came back from a host."""
    address = f"10.0.0.{target.rpartition('h')[2]}"
    result = agent.call(Reach(source=source, destination=address, count=count))
    assert isinstance(result, Reached)
    return result.received


def frames(agent: Client, host: str) -> int:
    """Return how many frames have reached a host."""
    done = agent.run(host, ["ip", "-statistics", "-json", "link", "show", "eth0"])
    return json.loads(done.stdout)[0]["stats64"]["rx"]["packets"]


def broken(counters: str) -> int:
    """Return how many IPv4 packets with a wrong checksum have reached the host whose `COUNTERS` these are."""
    names, values = (line.split() for line in counters.splitlines() if line.startswith("IpExt:"))
    return int(dict(zip(names, values, strict=True))["InCsumErrors"])


def heard_of_broadcasts(agent: Client, source: str, host: str) -> int:
    """Return how many frames reach `host` while `source` sends five to everybody."""
    before = frames(agent, host)
    agent.run(source, ["ping", "-n", "-b", "-c5", "-i0.2", "-W1", "10.0.0.255"])
    return frames(agent, host) - before
