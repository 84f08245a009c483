"""Path loss, line of sight and shadowing: free space, log-distance, the scenarios of TR 38.901 clauses 7.4.1 and 7.4.2.

Distances and heights in metres, carriers in hertz, losses in dB.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import erf, exp, hypot, log10, pi, sqrt

import numpy as np

from sdr.channel.field import Field
from testbed.errors import BadInput, nearest
from testbed.model.propagation import LIGHT


@dataclass(frozen=True)
class Place:
    """Where the two ends are.

    Attributes:
        distance: along the ground. base, user: heights of the antennas above it. carrier: hertz.
        building, street: mean height of buildings and width of streets, of RMa.
    """

    distance: float
    base: float
    user: float
    carrier: float
    building: float = 5.0
    street: float = 20.0

    def __post_init__(self) -> None:
        """Refuse what is no place.

        Raises:
            BadInput: the distance is negative, or a height or the carrier is not above 0.
        """
        for name in ("base", "user", "carrier", "building", "street"):
            if not 0 < getattr(self, name) < np.inf:
                raise BadInput(f"{name} is {getattr(self, name)}; expected more than 0 (metres, hertz)")
        if not 0 <= self.distance < np.inf:
            raise BadInput(f"distance is {self.distance} m; expected 0 or more")

    @property
    def length(self) -> float:
        """Distance between the antennas; 1 m at least, below which no formula here holds."""
        return max(1.0, hypot(self.distance, self.base - self.user))

    @property
    def ghz(self) -> float:
        """The carrier as the formulas want it."""
        return self.carrier / 1e9


@dataclass(frozen=True)
class Scenario:
    """One of TR 38.901.

    Attributes:
        direct, hidden: loss with and without line of sight (table 7.4.1-1; the latter is never below the former).
        sight: probability of a line of sight (table 7.4.2-1).
        shadow: standard deviations in dB of the shadowing, with and without line of sight.
        apart: metres in which the correlation of shadowing falls to 1/e, with and without line of sight (table 7.5-6),
            and that of the line of sight itself (table 7.6.3.1-2).
        tallest: the user antenna's greatest height, metres.
    """

    direct: Callable[[Place], float]
    hidden: Callable[[Place], float]
    sight: Callable[[Place], float]
    shadow: Callable[[Place], tuple[float, float]]
    apart: tuple[float, float, float]
    tallest: float = np.inf

    def loss(self, place: Place, in_sight: bool) -> float:
        """Return the loss in dB, without shadowing.

        Raises:
            BadInput: the user's antenna is higher than the scenario has it.
        """
        if place.user > self.tallest:
            raise BadInput(f"user's height is {place.user} m; this scenario is for {self.tallest:g} m at most")
        direct = self.direct(place)
        return direct if in_sight else max(direct, self.hidden(place))

    def draw(
        self, place: Place, at: tuple[float, float], seed: Sequence[int], sight: bool | None = None,
        shadowing: bool = True,
    ) -> tuple[bool, float]:  # fmt: skip
        """Return whether there is a line of sight to a user, and the loss in dB.

        Args:
            at: where the user is on the ground, metres. seed: the base station's; what is close together is alike.
            sight: given instead of drawn. shadowing: whether it is added.
        """
        drawn = share_of(self.field(2, seed).at(*at)) < self.sight(place)
        in_sight = drawn if sight is None else sight
        loss, hidden = self.loss(place, in_sight), int(not in_sight)
        if shadowing:
            loss += self.shadow(place)[hidden] * self.field(hidden, seed).at(*at)
        return in_sight, loss

    def field(self, of: int, seed: Sequence[int]) -> Field:
        """Return what differs from place to place: shadowing in sight (0) and hidden (1), the line of sight (2)."""
        return _field(self.apart[of], (*seed, of))


@lru_cache(maxsize=1024)
def _field(distance: float, seed: tuple[int, ...]) -> Field:
    return Field(distance, seed)


def share_of(value: float) -> float:
    """Share of a normal distribution that is below a value."""
    return (1 + erf(value / sqrt(2))) / 2


def free_space(length: float, carrier: float) -> float:
    """Return the loss in dB over `length` metres of free space (ITU-R P.525)."""
    if not (length > 0 and carrier > 0):
        raise BadInput(f"free space over {length} m at {carrier} Hz; expected more than 0 of both")
    return 20 * log10(4 * pi * length * carrier / LIGHT)


def log_distance(length: float, exponent: float, reference: float, at: float = 1.0) -> float:
    """Return the loss in dB: `reference` dB `at` that distance in metres, then 10 `exponent` dB per decade."""
    if not (length > 0 and at > 0):
        raise BadInput(f"log-distance loss over {length} m from {at} m; expected more than 0 of both")
    return reference + 10 * exponent * log10(length / at)


BY_DISTANCE = ("free-space", "log-distance")
"""Models that know the distance alone."""


def by_distance(model: str, length: float, carrier: float, exponent: float, reference: float | None) -> float:
    """Return the loss in dB of one of them.

    Args:
        length: metres. carrier: hertz.
        exponent, reference: of log-distance: its slope, and its loss in dB at 1 m; None is that of free space.
    """
    if model == "free-space":
        return free_space(length, carrier)
    return log_distance(length, exponent, free_space(1.0, carrier) if reference is None else reference)


def find(name: str) -> Scenario:
    """Return the scenario called `name`.

    Raises:
        BadInput: no such scenario; the message lists the known ones, the nearest first.
    """
    if name not in SCENARIOS:
        raise BadInput(f"no scenario called {name!r}{nearest(name, SCENARIOS)} (known: {', '.join(SCENARIOS)})")
    return SCENARIOS[name]


def _break_point(place: Place) -> float:
    """Of UMa and UMi (note 1). The environment is 1 m high: always in UMi, in UMa for users of 13 m and lower."""
    return 4 * max(place.base - 1, 0.0) * max(place.user - 1, 0.0) * place.carrier / LIGHT


def _urban(place: Place, constant: float, slope: float, beyond: float) -> float:
    """Two slopes, of UMa and UMi."""
    edge, frequency = _break_point(place), 20 * log10(place.ghz)
    if place.distance <= edge:
        return constant + slope * log10(place.length) + frequency
    further = beyond * log10(edge**2 + (place.base - place.user) ** 2) if edge or place.base != place.user else 0.0
    return constant + 40 * log10(place.length) + frequency - further


def _uma_direct(place: Place) -> float:
    return _urban(place, 28.0, 22.0, 9.0)


def _uma_hidden(place: Place) -> float:
    return 13.54 + 39.08 * log10(place.length) + 20 * log10(place.ghz) - 0.6 * (place.user - 1.5)


def _umi_direct(place: Place) -> float:
    return _urban(place, 32.4, 21.0, 9.5)


def _umi_hidden(place: Place) -> float:
    return 35.3 * log10(place.length) + 22.4 + 21.3 * log10(place.ghz) - 0.3 * (place.user - 1.5)


def _rma_direct(place: Place) -> float:
    edge = 2 * pi * place.base * place.user * place.carrier / LIGHT
    if place.distance <= edge:
        return _rma_near(place, place.length)
    return _rma_near(place, edge) + 40 * log10(place.length / edge)


def _rma_near(place: Place, length: float) -> float:
    h = place.building
    first = 20 * log10(40 * pi * length * place.ghz / 3)
    return first + min(0.03 * h**1.72, 10) * log10(length) - min(0.044 * h**1.72, 14.77) + 0.002 * log10(h) * length


def _rma_hidden(place: Place) -> float:
    h, base = place.building, place.base
    heights = 7.5 * log10(h) - (24.37 - 3.7 * (h / base) ** 2) * log10(base)
    slope = (43.42 - 3.1 * log10(base)) * (log10(place.length) - 3)
    user = 3.2 * log10(11.75 * place.user) ** 2 - 4.97
    return 161.04 - 7.1 * log10(place.street) + heights + slope + 20 * log10(place.ghz) - user


def _rma_shadow(place: Place) -> tuple[float, float]:
    edge = 2 * pi * place.base * place.user * place.carrier / LIGHT
    return (4.0 if place.distance <= edge else 6.0), 8.0


def _inh_direct(place: Place) -> float:
    return 32.4 + 17.3 * log10(place.length) + 20 * log10(place.ghz)


def _inh_hidden(place: Place) -> float:
    return 38.3 * log10(place.length) + 17.30 + 24.9 * log10(place.ghz)


def _urban_sight(distance: float, decay: float) -> float:
    return 1.0 if distance <= 18 else 18 / distance + exp(-distance / decay) * (1 - 18 / distance)


def _uma_sight(place: Place) -> float:
    return _urban_sight(place.distance, 63)


def _umi_sight(place: Place) -> float:
    return _urban_sight(place.distance, 36)


def _rma_sight(place: Place) -> float:
    return exp(-max(place.distance - 10, 0.0) / 1000)


def _mixed_office_sight(place: Place) -> float:
    d = place.distance
    if d <= 1.2:
        return 1.0
    return exp(-(d - 1.2) / 4.7) if d < 6.5 else 0.32 * exp(-(d - 6.5) / 32.6)


def _open_office_sight(place: Place) -> float:
    d = place.distance
    if d <= 5:
        return 1.0
    return exp(-(d - 5) / 70.8) if d <= 49 else 0.54 * exp(-(d - 49) / 211.7)


def _constant(direct: float, hidden: float) -> Callable[[Place], tuple[float, float]]:
    return lambda place: (direct, hidden)


SCENARIOS: Mapping[str, Scenario] = {
    "UMa": Scenario(_uma_direct, _uma_hidden, _uma_sight, _constant(4.0, 6.0), (37, 50, 50), 13.0),
    "UMi": Scenario(_umi_direct, _umi_hidden, _umi_sight, _constant(4.0, 7.82), (10, 13, 50), 22.5),
    "RMa": Scenario(_rma_direct, _rma_hidden, _rma_sight, _rma_shadow, (37, 120, 60), 10.0),
    "InH-mixed": Scenario(_inh_direct, _inh_hidden, _mixed_office_sight, _constant(3.0, 8.03), (10, 6, 10)),
    "InH-open": Scenario(_inh_direct, _inh_hidden, _open_office_sight, _constant(3.0, 8.03), (10, 6, 10)),
}
