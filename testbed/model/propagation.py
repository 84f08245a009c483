"""How long signals take and how much rain takes from them: what expressions of link profiles may call.

Sources: ITU-R P.838-3 (specific attenuation of rain), ITU-R P.530-18 clause 2.4.1 (effective path), geometry.
"""

from __future__ import annotations

from math import acos, cos, exp, log10, radians, sin, sqrt

LIGHT = 299_792_458.0
"""m/s."""
FIBRE_INDEX = 1.468
"""Group index of ITU-T G.652 fibre at 1550 nm."""
EARTH = 6378.137
"""km; equatorial radius (WGS 84)."""
GRAVITATION = 398_600.4418
"""km^3/s^2; of the Earth (WGS 84)."""

_Curve = tuple[tuple[tuple[float, float, float], ...], float, float]
# (a, b, c) of each term, then slope and constant, of ITU-R P.838-3 tables 1 to 4.
_K: dict[str, _Curve] = {
    "h": (
        ((-5.33980, -0.10008, 1.13098), (-0.35351, 1.26970, 0.45400), (-0.23789, 0.86036, 0.15354),
         (-0.94158, 0.64552, 0.16817)), -0.18961, 0.71147,
    ),
    "v": (
        ((-3.80595, 0.56934, 0.81061), (-3.44965, -0.22911, 0.51059), (-0.39902, 0.73042, 0.11899),
         (0.50167, 1.07319, 0.27195)), -0.16398, 0.63297,
    ),
}  # fmt: skip
_ALPHA: dict[str, _Curve] = {
    "h": (
        ((-0.14318, 1.82442, -0.55187), (0.29591, 0.77564, 0.19822), (0.32177, 0.63773, 0.13164),
         (-5.37610, -0.96230, 1.47828), (16.1721, -3.29980, 3.43990)), 0.67849, -1.95537,
    ),
    "v": (
        ((-0.07771, 2.33840, -0.76284), (0.56727, 0.95545, 0.54039), (-0.20238, 1.14520, 0.26809),
         (-48.2991, 0.791669, 0.116226), (48.5833, 0.791459, 0.116479)), -0.053739, 0.83433,
    ),
}  # fmt: skip


def fibre_delay(km: float) -> float:
    """Return the seconds that light takes through `km` of fibre: 4.9 us/km."""
    return km * 1e3 * FIBRE_INDEX / LIGHT


def air_delay(km: float) -> float:
    """Return the seconds that a radio wave takes over `km`."""
    return km * 1e3 / LIGHT


def rain_coefficients(ghz: float, polarisation: str) -> tuple[float, float]:
    """Return k and alpha of gamma = k R^alpha (dB/km, R in mm/h) for 1 to 1000 GHz and `h` or `v` (P.838-3)."""
    f = log10(ghz)
    return 10 ** _along(_K[polarisation], f), _along(_ALPHA[polarisation], f)


def _along(curve: _Curve, f: float) -> float:
    terms, slope, constant = curve
    return sum(a * exp(-(((f - b) / c) ** 2)) for a, b, c in terms) + slope * f + constant


def rain_fade(ghz: float, km: float, mm_h: float, polarisation: str = "v") -> float:
    """Return the dB that rain takes from a terrestrial path.

    Args:
        ghz: carrier. km: path length. mm_h: rain rate at a point; P.530's reduction of the path to an effective one is
            made for the rate that is exceeded 0.01 % of the time.
        polarisation: `h` or `v`.
    """
    if mm_h <= 0:
        return 0.0
    k, alpha = rain_coefficients(ghz, polarisation)
    share = 0.477 * km**0.633 * mm_h ** (0.073 * alpha) * ghz**0.123 - 10.579 * (1 - exp(-0.024 * km))
    return k * mm_h**alpha * km * min(2.5, 1 / share if share > 0.4 else 2.5)


def modulation_bits(margin: float, most: float = 8.0, step: float = 2.92) -> float:
    """Return the bits a symbol carries when adaptive modulation has `margin` dB over what its lowest step, 2, needs.

    Args:
        margin: dB; negative is an outage, 0 bits. most: bits of the highest step.
        step: dB from one step to the next: 17.5 dB from QPSK to 256-QAM (RACOM RAy17 manual).
    """
    return 0.0 if margin < 0 else min(most, 2.0 + margin // step)


def slant_range(height: float, elevation: float) -> float:
    """Return the km from the ground to a satellite `height` km up, seen `elevation` degrees above the horizon.

    By the law of cosines in the triangle with the Earth's centre (3GPP TR 38.811 clause 6.6.2).
    """
    up = sin(radians(elevation))
    return sqrt((EARTH * up) ** 2 + height**2 + 2 * height * EARTH) - EARTH * up


def ground_distance(height: float, elevation: float) -> float:
    """Return the km along the ground from a place to the point below a satellite it sees at `elevation` degrees."""
    e = radians(elevation)
    return EARTH * (acos(EARTH / (EARTH + height) * cos(e)) - e) if height > 0 else 0.0


def pass_seconds(height: float, least_elevation: float) -> float:
    """Return how long the longest pass of a satellite on a circular orbit is above `least_elevation` degrees.

    By Kepler's third law; the Earth is taken to stand still meanwhile.
    """
    angle = 2 * ground_distance(height, least_elevation) / EARTH
    return angle * sqrt((EARTH + height) ** 3 / GRAVITATION)
