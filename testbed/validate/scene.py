"""What a round of measurements works on: the twin's agent, its topology, and the routes and traces of the moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from testbed.control.frames import Frames
from testbed.emulator.messages import Hops, Request, Trace
from testbed.errors import TestbedError
from testbed.model.topology import Topology
from testbed.validate import places
from testbed.validate.around import Around
from testbed.validate.routes import Call, Routes, lookup

TRIES = 3


class Callers:
    """One agent client for each thread that asks, all closed together."""

    def __init__(self, connect: Callable[[], Any]) -> None:
        """Take what makes a client, such as `lab.agent`."""
        self._connect = connect
        self._local = threading.local()
        self._all: list[Any] = []
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Any:
        """Send a request over this thread's own client and return the typed result."""
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._connect()
            with self._lock:
                self._all.append(client)
        return client.call(request)

    def close(self) -> None:
        """Close every client."""
        with self._lock:
            for client in self._all:
                client.close()
            self._all.clear()


Step = tuple[str, str | None, str]
"""From a node, over a link (None where it cannot be told), to a node."""


@dataclass(frozen=True, slots=True)
class Way:
    """The path packets took, and what the routes say of it.

    Attributes:
        nodes: passed, the source first; None for a hop that did not answer or is not of the topology.
        links: between them, None where it cannot be told.
        reached: the destination itself answered. proof: the hops, as text.
        steps: all that equal-cost routes would let a flow take, each from a node over a link to a node.
        spread: `steps` has every way, and None among nodes and links stands only where these differ.
    """

    nodes: tuple[str | None, ...]
    links: tuple[str | None, ...]
    reached: bool
    steps: frozenset[Step] = frozenset()
    proof: tuple[str, ...] = ()
    spread: bool = False

    @property
    def text(self) -> str:
        """`cell1 > agg1 > core1`, with `?` for what is unknown."""
        return " > ".join(node or "?" for node in self.nodes) + ("" if self.reached else " > (not reached)")


@dataclass(frozen=True, slots=True)
class Scene:
    """One round's surroundings.

    Attributes:
        phase: `before-1` ... `after-2`. call: sends a request to the twin's agent.
        routes: every router's, as the round found them. baseline: as they were before the change.
        ways: by (source, address), what was traced in this round, or the error that tracing ended in.
        span: seconds that one expectation may be measured for.
        around, around_before: neighbours and who reaches whom, now and before the change; empty where nobody asks.
        frames: what is written in the switches of our own controller; None where there are none.
    """

    phase: str
    topology: Topology
    call: Call
    routes: Routes = field(default_factory=dict)
    baseline: Routes = field(default_factory=dict)
    ways: Mapping[tuple[str, str], Way | TestbedError] = field(default_factory=dict)
    span: float = 8.0
    around: Around = field(default_factory=Around)
    around_before: Around = field(default_factory=Around)
    frames: Frames | None = None

    def way(self, source: str, destination: str) -> Way:
        """Return the traced path, or raise what tracing it ended in."""
        found = self.ways[source, places.address_of(self.topology, destination)]
        if isinstance(found, TestbedError):
            raise found
        return found

    def shown_way(self, source: str, destination: str) -> str:
        """Return the traced path for the proof of another measurement."""
        found = self.ways.get((source, places.address_of(self.topology, destination)))
        return f"path {found.text}" if isinstance(found, Way) else "path not traced"


def trace(call: Call, topology: Topology, routes: Routes, source: str, address: str) -> Way:
    """Trace the packets' path and name the nodes and links it goes over.

    Hops answer with an address that routing chose, not with the one the packet came in by, so only the node is taken
    from a hop; the link is the one between the two nodes, and of parallel ones that which the route leaves by.
    """
    hops: Hops = call(Trace(source=source, destination=address))
    for _ in range(TRIES - 1):
        if hops.reached and all(hop.address for hop in hops.hops):
            break
        hops = call(Trace(source=source, destination=address))
    owners = places.addresses(topology)
    nodes = (source, *(owners.get(hop.address or "", hop.node) for hop in hops.hops))
    links = tuple(_link(topology, routes, a, b, address) for a, b in pairwise(nodes))
    proof = tuple(f"hop {hop.ttl}: {_named(hop.address, owners)}{_in_ms(hop.rtt)}" for hop in hops.hops)
    return Way(nodes, links, hops.reached, steps(topology, routes, source, address), proof)


def _named(address: str | None, owners: Mapping[str, str]) -> str:
    return f"{owners.get(address, 'unknown')} ({address})" if address else "no answer"


def _in_ms(rtt: float | None) -> str:
    return "" if rtt is None else f" {1e3 * rtt:.3f} ms"


def _link(topology: Topology, routes: Routes, one: str | None, other: str | None, address: str) -> str | None:
    if one is None or other is None:
        return None
    joining = places.links_between(topology, one, other)
    if len(joining) == 1:
        return joining[0]
    ports = {topology_link: port for port, topology_link in places.interfaces(topology, one).items()}
    leaving = {hop.rpartition("%")[2] for hop in _hops(routes, one, address)}
    fitting = [name for name in joining if ports[name] in leaving]
    return fitting[0] if len(fitting) == 1 else None


def _hops(routes: Routes, node: str, address: str) -> tuple[str, ...]:
    found = lookup(routes.get(node, {}), address)
    return found[1] if found else ()


def steps(topology: Topology, routes: Routes, source: str, address: str) -> frozenset[Step]:
    """Follow every equal-cost next hop from a node on and return all steps that some flow may take."""
    owners, found, queue = places.addresses(topology), set(), [source]
    while queue:
        node = queue.pop()
        ports = places.interfaces(topology, node)
        for hop in _hops(routes, node, address):
            gateway, _, port = hop.partition("%")
            there = owners.get(gateway or address)
            step = (node, ports.get(port), there) if there and there != node else None
            if step and step not in found:
                found.add(step)
                queue.append(step[2])
    return frozenset(found)
