"""Where frames go: from a known network to each switch's forwarding, without a switch or a socket in sight.

Shortest paths, all of them where several are equally short. Behind a single one stands a backup that the switch takes
by itself when the port goes dark: a neighbour whose own way does not lead back (RFC 5286, inequality 1), so that no
frame circles. What comes to everybody goes along one tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import networkx as nx

from testbed.control.messages import Network, Pin, Policy
from testbed.errors import BadInput, nearest

DRAINED = 1e6
"""Weight of a drained link, whose others are 1: more than any path without one."""


@dataclass(frozen=True, slots=True)
class Hops:
    """Ports that lead on: all of `best` in turns, `backup` when the only best one is dark."""

    best: tuple[int, ...]
    backup: int | None = None


@dataclass(slots=True)
class Forwarding:
    """What one switch does.

    Attributes:
        edges: ports that packets come in by from elsewhere than another of these switches.
        flood: ports that what comes to everybody arrives on and goes out of.
        targets: switch or bridge to the ports that lead there. stations: MAC to the own port, or to who it is on.
        pinned: (source MAC, destination MAC) to the port.
    """

    edges: tuple[int, ...] = ()
    flood: tuple[int, ...] = ()
    targets: dict[str, Hops] = field(default_factory=dict)
    stations: dict[str, int | str] = field(default_factory=dict)
    pinned: dict[tuple[str, str], int] = field(default_factory=dict)


def forwarding(network: Network, policy: Policy, dark: frozenset[str] = frozenset()) -> dict[str, Forwarding]:
    """Work out what every switch does.

    Args:
        dark: links that carry nothing now.

    Raises:
        BadInput: the policy names a link or node that is not there, or a pin whose links are no path.
    """
    graph = _graph(network, policy, dark)
    made = {switch: Forwarding() for switch in network.switches}
    distances = dict(nx.all_pairs_dijkstra_path_length(graph, weight="weight"))
    for switch, it in made.items():
        for target in {station.segment for station in network.stations} - {switch}:
            if target in distances[switch]:
                it.targets[target] = _hops(graph, distances, switch, target)
        for station in network.stations:
            if station.segment == switch:
                it.stations[station.mac] = station.port
            elif station.segment in it.targets:
                it.stations[station.mac] = station.segment
    for switch, port in _edges(network):
        if switch in made:
            made[switch].edges += (port,)
    _flood(graph, network, made)
    for pin in policy.pins:
        _pin(pin, network, made, dark)
    return made


def _edges(network: Network) -> Iterator[tuple[str, int]]:
    """Give the ports that lead to a station, or to a bridge, which nobody controls."""
    yield from ((station.segment, station.port) for station in network.stations)
    for cable in network.cables:
        if not network.switches.keys() >= set(cable.ends):
            yield from zip(cable.ends, cable.ports, strict=True)


def _graph(network: Network, policy: Policy, dark: frozenset[str]) -> nx.MultiGraph:
    known = {cable.link for cable in network.cables}
    for link in policy.drained:
        if link not in known:
            raise BadInput(
                f"no link {link!r} between switches{nearest(link, known)} (known: {', '.join(sorted(known))})"
            )
    graph: nx.MultiGraph = nx.MultiGraph()
    graph.add_nodes_from(network.switches)
    graph.add_nodes_from(station.segment for station in network.stations)
    for cable in network.cables:
        if cable.link not in dark:
            ports = dict(zip(cable.ends, cable.ports, strict=True))
            weight = DRAINED if cable.link in policy.drained else 1.0
            graph.add_edge(*cable.ends, key=cable.link, weight=weight, ports=ports)
    return graph


Distances = Mapping[str, Mapping[str, float]]


def _neighbours(graph: nx.MultiGraph, switch: str) -> Iterator[tuple[int, str, float]]:
    """Give port, neighbour and weight of each cable."""
    for _, neighbour, data in graph.edges(switch, data=True):
        yield data["ports"][switch], neighbour, data["weight"]


def _hops(graph: nx.MultiGraph, distances: Distances, switch: str, target: str) -> Hops:
    """Split the neighbours into those on a shortest path, and of the rest the nearest that does not lead back."""
    here = distances[switch][target]
    best, others = [], []
    for port, neighbour, weight in sorted(_neighbours(graph, switch)):
        beyond = distances[neighbour][target]
        if weight + beyond == here:
            best.append(port)
        elif beyond < distances[neighbour][switch] + here:
            others.append((weight + beyond, port))
    backup = min(others)[1] if len(best) == 1 and others else None
    return Hops(tuple(best), backup)


def _flood(graph: nx.MultiGraph, network: Network, made: Mapping[str, Forwarding]) -> None:
    tree = nx.minimum_spanning_edges(graph, weight="weight", keys=True, data=True)
    ports: dict[str, set[int]] = {switch: set() for switch in made}
    for _, _, _, data in tree:
        for switch, port in data["ports"].items():
            ports.get(switch, set()).add(port)
    for station in network.stations:
        ports.get(station.segment, set()).add(station.port)
    for switch, it in made.items():
        it.flood = tuple(sorted(ports[switch]))


def _pin(pin: Pin, network: Network, made: Mapping[str, Forwarding], dark: frozenset[str]) -> None:
    """Put a pinned path into the switches along it; while a link of it is dark, the shortest path holds."""
    hops = dict(_walk(pin, network))
    if dark & set(pin.links):
        return
    for source in _of(pin.source, network):
        for target in _of(pin.destination, network):
            for switch, port in hops.items():
                if switch in made:
                    made[switch].pinned[source, target] = port


def _of(node: str, network: Network) -> list[str]:
    """Return a node's MACs.

    Raises:
        BadInput: no such node on the switches.
    """
    macs = [station.mac for station in network.stations if station.node == node]
    if not macs:
        known = sorted({station.node for station in network.stations})
        raise BadInput(f"no node {node!r} on the switches{nearest(node, known)} (known: {', '.join(known)})")
    return macs


def _walk(pin: Pin, network: Network) -> Iterator[tuple[str, int]]:
    """Give each switch of a pinned path with the port towards the next.

    Raises:
        BadInput: the links do not lead from the source's switch to the destination's.
    """
    for node in (pin.source, pin.destination):
        _of(node, network)
    cables = {cable.link: cable for cable in network.cables}
    starts = {station.segment for station in network.stations if station.node == pin.source}
    goals = {station.segment for station in network.stations if station.node == pin.destination}
    here = _start(pin, cables, starts)
    for link in pin.links:
        ends = cables[link].ends
        if here not in ends:
            raise BadInput(f"pin {pin.source} to {pin.destination}: link {link} does not lead on from {here}")
        side = ends.index(here)
        yield here, cables[link].ports[side]
        here = ends[1 - side]
    if here not in goals:
        raise BadInput(
            f"pin {pin.source} to {pin.destination}: its links end at {here}, not at {', '.join(sorted(goals))}"
        )


def _start(pin: Pin, cables: Mapping[str, object], starts: set[str]) -> str:
    for link in pin.links:
        if link not in cables:
            raise BadInput(
                f"pin: no link {link!r} between switches{nearest(link, cables)} (known: {', '.join(cables)})"
            )
    first = getattr(cables[pin.links[0]], "ends", ()) if pin.links else ()
    start = next((end for end in first if end in starts), None)
    if start is None:
        raise BadInput(
            f"pin {pin.source} to {pin.destination}: its links begin elsewhere than {', '.join(sorted(starts))}"
        )
    return start
