"""Places whose distances follow distances in hops: stress majorization.

Gansner, Koren, North, "Graph drawing by stress majorization", GD 2004, started from classical scaling (Torgerson 1952)
so that it does not end in a folded drawing; small graphs are also started from seeded random places, and the drawing
with the fewest crossing links is taken.
"""

from __future__ import annotations

from functools import lru_cache

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from testbed.report.layout import Points

_Array = NDArray[np.float64]
_MOST_STARTS = 40
"""Nodes; above, one start is all that a quick drawing can afford."""
_NEAR = 0.2
"""Hops."""


@lru_cache(maxsize=16)
def places(names: tuple[str, ...], links: tuple[tuple[str, str], ...]) -> Points:
    """Place every node, see `layout`. Kept, since a report draws the same wires many times with other settings."""
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(names)
    graph.add_edges_from(links)
    if len(names) == 1:
        return {names[0]: (0.0, 0.0)}
    wanted = _distances(graph, names)
    index = {name: i for i, name in enumerate(names)}
    edges = np.array([(index[a], index[b]) for a, b in graph.edges], dtype=np.intp).reshape(-1, 2)
    points = _upright(_best(wanted, edges))
    return {name: (float(x), float(y)) for name, (x, y) in zip(names, points, strict=True)}


def _distances(graph: nx.Graph[str], names: tuple[str, ...]) -> _Array:
    """Hops between all pairs; what is not connected stands a little further off than anything that is."""
    index = {name: i for i, name in enumerate(names)}
    hops = np.full((len(names), len(names)), np.inf)
    for source, lengths in nx.all_pairs_shortest_path_length(graph):
        for target, length in lengths.items():
            hops[index[source], index[target]] = length
    reached = hops[np.isfinite(hops)]
    hops[np.isinf(hops)] = max(2.0, float(reached.max()) * 0.75 + 1)
    return hops


def _classical(wanted: _Array) -> _Array:
    """Torgerson's scaling, and a little circle over it so that nodes alike in every way do not lie on each other."""
    count = len(wanted)
    centre = np.eye(count) - 1.0 / count
    values, vectors = np.linalg.eigh(-0.5 * centre @ (wanted**2) @ centre)
    axes = vectors[:, [-1, -2]] * np.sqrt(np.maximum(values[[-1, -2]], 0.0))
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
    angle = 2 * np.pi * np.arange(count) / count
    return axes + 0.05 * np.column_stack((np.cos(angle), np.sin(angle)))


def _best(wanted: _Array, edges: NDArray[np.intp]) -> _Array:
    count = len(wanted)
    if count > _MOST_STARTS:
        return _majorize(_classical(wanted), wanted, rounds=300 if count <= 150 else 60)
    random = np.random.default_rng(1)
    starts = [_classical(wanted), *(random.normal(scale=wanted.max() / 2, size=(count, 2)) for _ in range(12))]
    drawn = [_majorize(start, wanted, rounds=300) for start in starts]
    return min(
        drawn,
        key=lambda points: (_crossings(points, edges) + _grazes(points, edges), round(_stress(points, wanted), 6)),
    )


def _stress(points: _Array, wanted: _Array) -> float:
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    return float((((gaps - wanted) / np.maximum(wanted, 1.0)) ** 2).sum())


def _crossings(points: _Array, edges: NDArray[np.intp]) -> int:
    """How many pairs of links cross: the ends of each lie on both sides of the other."""
    first, second = np.triu_indices(len(edges), k=1)
    a, b = points[edges[first, 0]], points[edges[first, 1]]
    c, d = points[edges[second, 0]], points[edges[second, 1]]
    apart = (edges[first][:, :, None] != edges[second][:, None, :]).all(axis=(1, 2))
    crossing = (_side(a, b, c) != _side(a, b, d)) & (_side(c, d, a) != _side(c, d, b)) & apart
    return int(crossing.sum())


def _grazes(points: _Array, edges: NDArray[np.intp]) -> int:
    """How many links pass so close to a node that is not theirs that they seem to end there."""
    start, along = points[edges[:, 0]], points[edges[:, 1]] - points[edges[:, 0]]
    share = ((points[None] - start[:, None]) * along[:, None]).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-9)[
        :, None
    ]
    foot = start[:, None] + np.clip(share, 0, 1)[..., None] * along[:, None]
    near = np.linalg.norm(points[None] - foot, axis=2) < _NEAR
    near[np.arange(len(edges))[:, None], edges] = False
    return int(near.sum())


def _side(a: _Array, b: _Array, c: _Array) -> NDArray[np.bool_]:
    ab, ac = b - a, c - a
    return ab[:, 0] * ac[:, 1] > ab[:, 1] * ac[:, 0]


def _majorize(points: _Array, wanted: _Array, rounds: int) -> _Array:
    """SMACOF with weights of 1/d^2, so that near pairs matter most."""
    weights = np.where(wanted > 0, 1.0 / np.where(wanted > 0, wanted, 1.0) ** 2, 0.0)
    inverse = np.linalg.pinv(np.diag(weights.sum(axis=1)) - weights)
    strength = weights * wanted  # zero on the diagonal
    for _ in range(rounds):
        gaps = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
        pull = strength / np.maximum(gaps, 1e-9)
        moved = inverse @ (pull.sum(axis=1)[:, None] * points - pull @ points)
        done = float(np.abs(moved - points).max()) < 1e-3
        points = moved
        if done:
            break
    return points


def _upright(points: _Array) -> _Array:
    """Turn the longest extent along x; the first node comes to the left and to the top."""
    points = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    turned = points @ axes.T
    return turned * np.where(turned[0] > 0, -1.0, 1.0)
