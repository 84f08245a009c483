"""Where the labels of links go: on or beside their wire, where they hide the least of everything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot

LINE = 14.0
"""Pixels from one line of a label to the next."""
_CHARACTER = 6.2
_GAP = 3.0
_ROUNDS = 4
_SHARES = (0.5, 0.45, 0.55, 0.4, 0.6, 0.35, 0.65, 0.3, 0.7, 0.25, 0.75)
_STEPS = 40


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle around its middle."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Return the area that both cover, with a gap around one of them."""
        wide = (self.width + other.width) / 2 + _GAP - abs(self.x - other.x)
        high = (self.height + other.height) / 2 + _GAP - abs(self.y - other.y)
        return min(wide, self.width) * min(high, self.height) if wide > 0 and high > 0 else 0.0

    def has(self, point: tuple[float, float]) -> bool:
        """Tell whether a point is inside."""
        return abs(point[0] - self.x) < self.width / 2 and abs(point[1] - self.y) < self.height / 2


@dataclass(frozen=True, slots=True)
class Wire:
    """A link on paper: from, bent over (a quadratic Bezier's control point), to."""

    start: tuple[float, float]
    bend: tuple[float, float]
    end: tuple[float, float]

    def at(self, t: float) -> tuple[float, float]:
        """Return the point at share `t` of the way."""
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        return (
            a * self.start[0] + b * self.bend[0] + c * self.end[0],
            a * self.start[1] + b * self.bend[1] + c * self.end[1],
        )


def place(
    texts: Mapping[str, Sequence[str]], wires: Mapping[str, Wire], nodes: Sequence[Box]
) -> tuple[dict[str, Box], bool]:
    """Find a place for each label; each moves again when the others have found theirs.

    Args:
        texts: link to its label's lines; a link without lines gets none. nodes: what must stay free.

    Returns:
        Link to the label's place, and whether no label covers a node, another label or another link's wire.
    """
    spots = {name: list(_spots(wires[name], lines)) for name, lines in texts.items() if lines}
    points = {name: [wire.at(step / _STEPS) for step in range(_STEPS + 1)] for name, wire in wires.items()}
    alone = {name: [_alone(spot, name, points, nodes) for spot in found] for name, found in spots.items()}
    chosen: dict[str, int] = {}

    def cost(name: str, index: int) -> float:
        spot = spots[name][index]
        others = sum(spot.overlap(spots[other][chosen[other]]) for other in chosen if other != name)
        return alone[name][index] + others + _LIKED * index

    for _ in range(_ROUNDS):
        before = dict(chosen)
        for name, found in spots.items():
            chosen[name] = min(range(len(found)), key=lambda index, name=name: cost(name, index))
        if chosen == before:
            break
    placed = {name: spots[name][index] for name, index in chosen.items()}
    return placed, all(cost(name, index) - _LIKED * index <= 0 for name, index in chosen.items())


_LIKED = 4.0
"""What a place further down the list of spots costs, in square pixels hidden."""
_POINT = 60.0
"""What it costs to hide one of `_STEPS` pieces of another link's wire."""


def _alone(spot: Box, name: str, points: Mapping[str, Sequence[tuple[float, float]]], nodes: Sequence[Box]) -> float:
    """What a label would hide of nodes and of wires: of its own only where so much of it that it would vanish."""
    hidden = sum(spot.overlap(node) for node in nodes)
    for other, line in points.items():
        covered = sum(map(spot.has, line))
        hidden += _POINT * (max(0, covered - _STEPS // 2) if other == name else covered)
    return hidden


def _spots(wire: Wire, lines: Sequence[str]) -> Iterator[Box]:
    """Where a label may stand, best first: on the wire from its middle outwards, then beside it."""
    width, height = max(map(len, lines)) * _CHARACTER + 6, len(lines) * LINE
    for t in _SHARES:
        yield Box(*wire.at(t), width, height)
    dx, dy = wire.end[0] - wire.start[0], wire.end[1] - wire.start[1]
    length = max(hypot(dx, dy), 1e-6)
    across = (-dy / length, dx / length)
    off = (abs(across[0]) * width + abs(across[1]) * height) / 2 + _GAP
    for t in _SHARES:
        x, y = wire.at(t)
        for side in (off, -off):
            yield Box(x + side * across[0], y + side * across[1], width, height)
