"""Where radios are at a time, and what that does between two of them: loss, delay, shift of frequency."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from math import dist, hypot

import numpy as np

from sdr.broker.scenario import Radio, Scenario
from sdr.channel.pathloss import BY_DISTANCE, Place, by_distance, find
from testbed.errors import BadInput
from testbed.model.propagation import LIGHT

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Way:
    """What distance does between two radios at a moment.

    Attributes:
        loss: dB. delay: seconds. phase: of the carrier, turns; 0 where nobody moves.
        speed: at which the way becomes longer, m/s. relative: of the two radios, m/s, whatever its direction.
    """

    loss: float = 0.0
    delay: float = 0.0
    phase: float = 0.0
    speed: float = 0.0
    relative: float = 0.0


def where(radio: Radio, at: float) -> tuple[Vector, Vector]:
    """Return position (m) and velocity (m/s) at a time in seconds since count 0; at a waypoint, of what comes next."""
    if radio.waypoints:
        return _on_the_way(radio, at)
    position, velocity = radio.position or (0.0, 0.0, 0.0), radio.velocity or (0.0, 0.0, 0.0)
    return _along(position, velocity, at), velocity


def _on_the_way(radio: Radio, at: float) -> tuple[Vector, Vector]:
    points = radio.waypoints
    index = bisect_right([point.at for point in points], at)
    if index in (0, len(points)):
        return points[max(0, index - 1)].position, (0.0, 0.0, 0.0)
    before, after = points[index - 1], points[index]
    x, y, z = ((b - a) / (after.at - before.at) for a, b in zip(before.position, after.position, strict=True))
    return _along(before.position, (x, y, z), at - before.at), (x, y, z)


def _along(start: Vector, velocity: Vector, seconds: float) -> Vector:
    x, y, z = (place + speed * seconds for place, speed in zip(start, velocity, strict=True))
    return x, y, z


def way(scenario: Scenario, cell: str, ue: str, at: float, sight: bool | None) -> Way:
    """Return what lies between a cell and a UE at a time; nothing where one of them is nowhere.

    Args:
        sight: whether there is a line of sight; None draws it.

    Raises:
        BadInput: they are where the path loss holds no more.
    """
    one, other = scenario.cells[cell], scenario.ues[ue]
    if not (one.placed and other.placed and scenario.carrier):
        return Way()
    (here, here_moves), (there, there_moves) = where(one, at), where(other, at)
    length = _length(here, there)
    apart = np.subtract(there, here) / length
    relative = np.subtract(there_moves, here_moves)
    try:
        loss = _loss(scenario, here, there, sight, scenario.seed_of(cell, "shadow"))
    except BadInput as error:
        raise BadInput(f"{cell} to {ue} at {at:g} s: {error}") from None
    turns = length * scenario.carrier / LIGHT if one.moves or other.moves else 0.0
    return Way(loss, length / LIGHT, -turns % 1.0, float(apart @ relative), float(hypot(*relative)))


def _loss(scenario: Scenario, here: Vector, there: Vector, sight: bool | None, seed: list[int]) -> float:
    carrier, length = scenario.carrier or 1.0, _length(here, there)
    if scenario.model in BY_DISTANCE:
        return by_distance(scenario.model, length, carrier, scenario.exponent, scenario.reference)
    model = find(scenario.model)
    place = Place(hypot(there[0] - here[0], there[1] - here[1]), here[2], there[2], carrier)
    return model.draw(place, there[:2], seed, sight, scenario.shadowing)[1]


def _length(here: Vector, there: Vector) -> float:
    return max(1.0, dist(here, there))  # below, no model of a loss holds
