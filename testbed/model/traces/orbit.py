"""Where satellites are: two-body orbits from their elements, seen from a place on a turning, spherical Earth.

Source: Vallado, "Fundamentals of Astrodynamics and Applications", chapters 1 and 2 (Kepler's equation, from elements to
vectors). No perturbations: over the minutes of a pass they change a slant range by less than a kilometre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from testbed.model.propagation import EARTH, GRAVITATION

Array = NDArray[np.float64]
TURN = 7.2921159e-5
"""rad/s; rotation of the Earth (WGS 84)."""


@dataclass(frozen=True, slots=True)
class Elements:
    """Orbital elements at time 0; each a number, or an array of one value a satellite.

    Attributes:
        axis: semi-major, km. eccentricity: 0 to below 1.
        inclination, node (right ascension), perigee (argument of), anomaly (mean): degrees.
    """

    axis: Array | float
    eccentricity: Array | float = 0.0
    inclination: Array | float = 0.0
    node: Array | float = 0.0
    perigee: Array | float = 0.0
    anomaly: Array | float = 0.0


def walker(height: float, inclination: float, planes: int, each: int, phasing: int = 1) -> Elements:
    """Return the elements of a Walker delta constellation, `inclination`: `planes` * `each` / `planes` / `phasing`.

    Args:
        height: km above the equator. planes: evenly around the Earth. each: satellites in a plane. phasing: F.
    """
    plane, place = np.divmod(np.arange(planes * each), each)
    anomaly = 360.0 * (place / each + phasing * plane / (planes * each))
    return Elements(EARTH + height, 0.0, inclination, 360.0 * plane / planes, 0.0, anomaly)


def slant(elements: Elements, times: Array, latitude: float, longitude: float) -> tuple[Array, Array]:
    """Return how far satellites are and how high they stand.

    Args:
        times: seconds, shape (t,). latitude, longitude: of the place, degrees.

    Returns:
        Range in km and elevation in degrees, each of shape (t, satellites).
    """
    there = _positions(elements, times)
    phi, here = np.radians(latitude), np.radians(longitude) + TURN * times
    up = np.stack([np.cos(phi) * np.cos(here), np.cos(phi) * np.sin(here), np.full_like(here, np.sin(phi))], axis=-1)
    line = there - EARTH * up[:, None, :]
    far = np.linalg.norm(line, axis=-1)
    return far, np.degrees(np.arcsin(np.clip(np.einsum("tsk,tk->ts", line, up) / far, -1.0, 1.0)))


def _positions(elements: Elements, times: Array) -> Array:
    """Return inertial positions in km, shape (t, satellites, 3)."""
    axis, e, i, node, perigee, anomaly = (np.atleast_1d(np.asarray(v, dtype=float)) for v in _fields(elements))
    i, node, perigee, anomaly = (np.radians(angle) for angle in (i, node, perigee, anomaly))
    mean = anomaly + np.sqrt(GRAVITATION / axis**3) * times[:, None]
    eccentric = _kepler(mean, e)
    x, y = axis * (np.cos(eccentric) - e), axis * np.sqrt(1 - e**2) * np.sin(eccentric)
    u, v = x * np.cos(perigee) - y * np.sin(perigee), x * np.sin(perigee) + y * np.cos(perigee)
    tilted = v * np.cos(i)
    return np.stack(
        [u * np.cos(node) - tilted * np.sin(node), u * np.sin(node) + tilted * np.cos(node), v * np.sin(i)], axis=-1
    )


def _fields(elements: Elements) -> tuple[Array | float, ...]:
    it = elements
    return it.axis, it.eccentricity, it.inclination, it.node, it.perigee, it.anomaly


def _kepler(mean: Array, e: Array) -> Array:
    """Solve Kepler's equation E - e sin E = M by Newton's method; ten steps give 1e-12 for e below 0.9."""
    found = mean + e * np.sin(mean)
    for _ in range(12):
        found = found - (found - e * np.sin(found) - mean) / (1 - e * np.cos(found))
    return found
