"""Whether the mirrored load runs in the fork while a change is tried, by what the links' far ends receive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapters.device_tools import read_counters
from testbed.model.topology import Topology
from testbed.twin.state import MirroredFlow, MirroredState
from testbed.twin.transport import AgentTransport
from testbed.validate import places
from testbed.validate.routes import Routes, lookup

# Of a flow's rate; less, and the fork is not under the load that was mirrored.
ENOUGH = 0.8

Port = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Reading:
    """Bytes received so far by each interface that load ends at, and Unix seconds when that node's were read."""

    received: Mapping[Port, tuple[float, int]]


def read(state: MirroredState, agent: Any) -> Reading:
    """Read the counters of every interface that mirrored load ends at; without load nothing is asked.

    Args:
        agent: client of the fork's agent.
    """
    ports = {port for flow in state.load if (port := _port(state.topology, flow))}
    received: dict[Port, tuple[float, int]] = {}
    for node in sorted({node for node, _ in ports}):
        at, counters = read_counters(AgentTransport(agent, node))
        received |= {(node, name): (at, seen.rx_bytes) for name, seen in counters.items() if (node, name) in ports}
    return Reading(received)


def _port(topology: Topology, flow: MirroredFlow) -> Port | None:
    ends = (end for _, _, _, end in places.endpoints(topology) if end.node == flow.sink)
    return next(((end.node, end.interface) for end in ends if _has(end.addresses, flow.destination)), None)


def _has(addresses: Any, wanted: str) -> bool:
    return any(str(address.ip) == wanted for address in addresses)


def carried(state: MirroredState, start: Reading, end: Reading) -> list[float]:
    """Return what reached each flow's end, bit/s between two readings; other packets of its link are in it."""
    return [_rate(_port(state.topology, flow), start, end) for flow in state.load]


def _rate(port: Port | None, start: Reading, end: Reading) -> float:
    if port is None or port not in start.received or port not in end.received:
        return 0.0
    (before, old), (after, new) = start.received[port], end.received[port]
    return 8 * (new - old) / max(1e-6, after - before)


def missing(state: MirroredState, rates: list[float], seconds: float, routes: Routes) -> Iterator[str]:
    """Yield the flows that did not run, one line each, but for those whose link the change has taken away.

    Args:
        rates: from `carried`. seconds: between the readings. routes: every router's, at their end.
    """
    for flow, rate in zip(state.load, rates, strict=True):
        two_packets = 16 * flow.size / max(1e-6, seconds)
        if rate < ENOUGH * flow.rate - two_packets and _connected(routes, flow):
            yield (
                f"the mirrored load from {flow.source} to {flow.sink} did not run: {rate / 1e6:.3g} of "
                f"{flow.rate / 1e6:.3g} Mbit/s arrived"
            )


def _connected(routes: Routes, flow: MirroredFlow) -> bool:
    if flow.source not in routes:
        return True  # a host, whose routes are not looked at
    found = lookup(routes[flow.source], flow.destination)
    return found is not None and any(hop.startswith("%") for hop in found[1])


def rows(state: MirroredState, seen: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    """Return what ran as a table for reports: each flow, its mirrored rate, and what arrived when.

    Args:
        seen: rates by when, from `carried`.
    """
    return [
        {
            "from": flow.source,
            "to": flow.sink,
            "mirrored_mbit_s": flow.rate / 1e6,
            **{f"{when}_mbit_s": rates[index] / 1e6 for when, rates in seen.items()},
        }
        for index, flow in enumerate(state.load)
    ]
