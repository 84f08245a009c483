"""Where the nodes of a drawing go: distances on paper follow distances in hops (stress majorization)."""

from __future__ import annotations

from collections.abc import Mapping

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from testbed.model.topology import Topology

Points = Mapping[str, tuple[float, float]]
_Array = NDArray[np.float64]


def layout(topology: Topology) -> Points:
    """Place every node, the same every time.

    Stress majorization (Gansner, Koren, North, "Graph drawing by stress majorization", GD 2004), started from
    classical scaling (Torgerson 1952) so that it does not end in a folded drawing.

    Returns:
        node name to x and y, in hops; the longer side of the drawing lies along x, and y grows downwards.
    """
    graph: nx.Graph[str] = nx.Graph()
    graph.add_nodes_from(topology.nodes)
    graph.add_edges_from((one.endpoints[0].node, one.endpoints[1].node) for one in topology.links.values())
    names = list(topology.nodes)
    if len(names) == 1:
        return {names[0]: (0.0, 0.0)}
    wanted = _distances(graph, names)
    points = _upright(_majorize(_classical(wanted), wanted, rounds=300 if len(names) <= 150 else 60))
    return {name: (float(x), float(y)) for name, (x, y) in zip(names, points, strict=True)}


def _distances(graph: nx.Graph[str], names: list[str]) -> _Array:
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


def _majorize(points: _Array, wanted: _Array, rounds: int) -> _Array:
    """SMACOF with weights of 1/d^2, so that near pairs matter most."""
    off = ~np.eye(len(wanted), dtype=bool)
    weights = np.zeros_like(wanted)
    weights[off] = 1.0 / wanted[off] ** 2
    inverse = np.linalg.pinv(np.diag(weights.sum(axis=1)) - weights)
    for _ in range(rounds):
        gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
        pull = np.zeros_like(wanted)
        pull[off] = -weights[off] * wanted[off] / np.maximum(gaps[off], 1e-9)
        pull -= np.diag(pull.sum(axis=1))
        moved = inverse @ (pull @ points)
        done = float(np.abs(moved - points).max()) < 1e-4
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
