"""A flow-level prediction: shortest paths over OSPF costs (RFC 2328 section 16), in milliseconds, to screen.

It knows costs, cut links, shut interfaces and configured delays; it knows no timers, filters, queues or daemons.
The emulation decides, and where the two disagree the verdict says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any

import networkx as nx

from testbed.model.topology import SEGMENTS, Host, Topology
from testbed.validate.lines import DEFAULT_COST, Edit, Ports, ports

MOST_PATHS = 16


@dataclass(frozen=True, slots=True)
class Predicted:
    """What the shortest-path calculation says of one flow.

    Attributes:
        paths: equal-cost paths, each the nodes passed, source and destination included; empty when there is none.
        links: that the first of them uses. cost: of each of them.
        delay: seconds one way, along the first. round_trip: seconds there and back.
    """

    paths: tuple[tuple[str, ...], ...] = ()
    links: tuple[str, ...] = ()
    cost: int | None = None
    delay: float | None = None
    round_trip: float | None = None


def graph(topology: Topology, edits: Iterable[Edit] = ()) -> nx.MultiDiGraph:
    """Return the links that carry packets, each direction an edge with `cost`, `delay` (seconds) and `link`."""
    table = ports(topology, edits)
    made = nx.MultiDiGraph()
    made.add_nodes_from(topology.nodes)
    for name, link in topology.links.items():
        one, other = link.endpoints
        if not link.up or table[one.node, one.interface].shut or table[other.node, other.interface].shut:
            continue
        for left, right, impairment in ((one, other, link.forward), (other, one, link.backward)):
            cost = _cost(topology, table, left.node, left.interface)
            made.add_edge(left.node, right.node, key=name, link=name, cost=cost, delay=impairment.delay)
    return made


def _cost(topology: Topology, table: Ports, node: str, interface: str) -> int:
    if isinstance(topology.nodes[node], SEGMENTS):
        return 0
    cost = table[node, interface].cost
    return DEFAULT_COST if cost is None else cost


def predict(topology: Topology, network: nx.MultiDiGraph, source: str, destination: str) -> Predicted:
    """Return the shortest paths from one node to another; hosts on the way carry nothing for others.

    Args:
        network: from `graph`.
        source, destination: nodes.
    """
    transit = [n for n, model in topology.nodes.items() if not isinstance(model, Host) or n in (source, destination)]
    inner = network.subgraph(transit)
    try:
        paths = tuple(map(tuple, islice(nx.all_shortest_paths(inner, source, destination, "cost"), MOST_PATHS)))
        back = nx.shortest_path(inner, destination, source, "cost")
    except (nx.NetworkXNoPath, nx.NodeNotFound):
        return Predicted()
    hops = _along(inner, paths[0])
    delay = sum(hop["delay"] for hop in hops)
    there_and_back = delay + sum(hop["delay"] for hop in _along(inner, back))
    links = tuple(hop["link"] for hop in hops)
    return Predicted(paths, links, sum(hop["cost"] for hop in hops), delay, there_and_back)


def _along(network: nx.MultiDiGraph, path: Iterable[str]) -> list[dict[str, Any]]:
    """The edges of a path, of parallel ones the cheapest."""
    return [min(network[a][b].values(), key=lambda edge: edge["cost"]) for a, b in pairwise(path)]


def next_hops(topology: Topology, network: nx.MultiDiGraph) -> dict[str, dict[str, frozenset[str]]]:
    """Return, of each router, to each other node the neighbours its packets go to first."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for target in topology.nodes:
        predecessors, _ = nx.dijkstra_predecessor_and_distance(network.reverse(copy=False), target, weight="cost")
        for node, ways in predecessors.items():
            if node != target:
                found.setdefault(node, {})[target] = frozenset(ways)
    return found


def cut_off(topology: Topology, before: nx.MultiDiGraph, after: nx.MultiDiGraph) -> list[str]:
    """Return the nodes that had a link that carries packets to the rest and have none afterwards."""
    names = set(topology.nodes)
    parts_before = nx.number_weakly_connected_components(before)
    if nx.number_weakly_connected_components(after) <= parts_before or not names:
        return []
    largest = max(nx.weakly_connected_components(after), key=len)
    together = next(part for part in nx.weakly_connected_components(before) if largest <= part)
    return sorted(together - largest)
