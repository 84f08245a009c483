"""Which node of a lab goes into which of its guests: equal work for each, few links between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

ROUTER, HOST, BRIDGE = 4.0, 1.0, 0.5
"""Work of a node by its kind: a router's daemons start, talk and compute; a host mostly waits."""
WEIGHTS = {"router": ROUTER, "host": HOST, "bridge": BRIDGE, "switch": HOST}
_STARTS = 8
_ROUNDS = 20

Graph = Mapping[str, Mapping[str, int]]
"""Node to its neighbours, each with the count of links there."""


def place(weights: Mapping[str, float], links: Iterable[tuple[str, str]], guests: int) -> dict[str, int]:
    """Assign nodes to guests.

    The nodes are lined up so that neighbours stand together, by walks from several of them; each line is cut into
    pieces of equal weight, the pieces are mended node by node, and the best of these is taken.

    Args:
        weights: each node's work. links: pairs of nodes.
        guests: how many there are; with fewer nodes than guests some stay empty.

    Returns:
        Node to the number of its guest, from 1; always the same for the same nodes and links. No guest has more than
        its equal share and the heaviest node.
    """
    if guests == 1 or len(weights) <= 1:
        return dict.fromkeys(weights, 1)
    graph = _graph(weights, links)
    count = min(guests, len(weights))
    starts = sorted(graph, key=lambda name: (len(graph[name]), name))
    starts = starts[:: max(1, len(starts) // _STARTS)][:_STARTS]
    tries = [_mended(_pieces(walk(graph, start), weights, count), graph, weights, count)
             for start in starts for walk in (_depth_first, _breadth_first)]  # fmt: skip
    return min(tries, key=lambda placed: (cut(placed, graph), _spread(placed, weights, count)))


def cut(placed: Mapping[str, int], graph: Graph) -> int:
    """Return how many links cross between guests."""
    return sum(many for one in graph for other, many in graph[one].items() if placed[one] != placed[other]) // 2


def _graph(weights: Mapping[str, float], links: Iterable[tuple[str, str]]) -> Graph:
    graph: dict[str, dict[str, int]] = {name: {} for name in sorted(weights)}
    for one, other in links:
        if one != other:
            graph[one][other] = graph[one].get(other, 0) + 1
            graph[other][one] = graph[other].get(one, 0) + 1
    return graph


def _walk(graph: Graph, start: str, position: Callable[[list[str]], int]) -> list[str]:
    """Visit all nodes from `start`; a part that cannot be reached follows."""
    seen: dict[str, None] = {}
    for root in (start, *graph):
        waiting = [root]
        while waiting:
            name = waiting.pop(position(waiting))
            if name not in seen:
                seen[name] = None
                waiting += sorted(graph[name].keys() - seen.keys(), key=lambda other: (-len(graph[other]), other))
    return list(seen)


def _depth_first(graph: Graph, start: str) -> list[str]:
    return _walk(graph, start, lambda waiting: len(waiting) - 1)


def _breadth_first(graph: Graph, start: str) -> list[str]:
    return _walk(graph, start, lambda waiting: 0)


def _pieces(line: Sequence[str], weights: Mapping[str, float], guests: int) -> dict[str, int]:
    """Cut a line of nodes into pieces of about equal weight, none empty."""
    total = sum(weights.values())
    placed: dict[str, int] = {}
    guest, passed = 1, 0.0
    for position, name in enumerate(line):
        middle = passed + weights[name] / 2
        must = len(line) - position <= guests - guest
        if placed and guest < guests and (must or middle > total * guest / guests) and guest in placed.values():
            guest += 1
        placed[name] = guest
        passed += weights[name]
    return placed


def _mended(placed: dict[str, int], graph: Graph, weights: Mapping[str, float], guests: int) -> dict[str, int]:
    """Move nodes to where more of their neighbours are, as long as links between guests become fewer by it."""
    most = sum(weights.values()) / guests + max(weights.values())
    load = dict.fromkeys(range(1, guests + 1), 0.0)
    members = dict.fromkeys(load, 0)
    for name, guest in placed.items():
        load[guest] += weights[name]
        members[guest] += 1
    for _ in range(_ROUNDS):
        moved = False
        for name, neighbours in graph.items():
            here = placed[name]
            pull = dict.fromkeys(load, 0)
            for other, many in neighbours.items():
                pull[placed[other]] += many
            there = max(load, key=lambda guest: (pull[guest], -load[guest], -guest))
            fits = load[there] + weights[name] <= most and members[here] > 1
            if there != here and pull[there] > pull[here] and fits:
                placed[name] = there
                load[here] -= weights[name]
                load[there] += weights[name]
                members[here] -= 1
                members[there] += 1
                moved = True
        if not moved:
            break
    return placed


def _spread(placed: Mapping[str, int], weights: Mapping[str, float], guests: int) -> float:
    load = dict.fromkeys(range(1, guests + 1), 0.0)
    for name, guest in placed.items():
        load[guest] += weights[name]
    return max(load.values()) - min(load.values())
