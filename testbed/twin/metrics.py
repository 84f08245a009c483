"""How well a twin is in step: age of information, alignment, mismatches, RTT error.

Age of information (Kaul, Yates, Gruteser 2012): at time t the age of a field is t minus the time at which the newest
value that the twin holds was *measured*. Between updates it grows with slope one, at an update it falls: a sawtooth.
Percentiles are over time, not over updates: an update that never comes makes them grow.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Update:
    """A value measured at `measured` that the twin held from `applied` on (Unix seconds)."""

    measured: float
    applied: float


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of something in seconds, over `weight` (seconds of time, or a count)."""

    p50: float
    p95: float
    p99: float
    weight: float


Tooth = tuple[float, float]
"""A stretch of age from its lowest to its highest, in seconds; as long in time as it is high."""


def teeth(updates: Iterable[Update], start: float, end: float) -> list[Tooth]:
    """Cut the age process between two moments into stretches of slope one.

    Args:
        updates: in any order. An update older than what the twin already held changes nothing.
        start, end: Unix seconds. Time before the first update has no age and is left out.

    Returns:
        Stretches whose lengths add up to the time for which there was an age.
    """
    stretches: list[Tooth] = []
    newest, since = -math.inf, start
    for update in sorted(updates, key=lambda u: (u.applied, u.measured)):
        if update.applied >= end:
            break
        if update.measured <= newest:
            continue
        stretches += _stretch(newest, since, update.applied)
        newest, since = update.measured, max(start, update.applied)
    return stretches + _stretch(newest, since, end)


def _stretch(newest: float, since: float, until: float) -> list[Tooth]:
    known = math.isfinite(newest) and until > since
    return [(since - newest, until - newest)] if known else []


def over_time(stretches: Sequence[Tooth], shares: Sequence[float]) -> list[float]:
    """Percentiles of the age over time, exact: the share of time with an age of at most the result is `share`.

    Args:
        stretches: from `teeth`, not empty.
        shares: 0 to 1.

    Returns:
        Seconds, one for each share.
    """
    opening, closing = Counter(a for a, _ in stretches), Counter(b for _, b in stretches)
    marks = sorted(opening.keys() | closing.keys())
    held, covering = [0.0], 0
    for low, high in pairwise(marks):
        covering += opening[low] - closing[low]
        held.append(held[-1] + covering * (high - low))
    return [_at(marks, held, share * held[-1]) for share in shares]


def _at(marks: Sequence[float], held: Sequence[float], wanted: float) -> float:
    """Invert the piecewise linear function that goes through (marks, held)."""
    place = min(bisect_right(held, wanted), len(held) - 1)
    below = place - 1
    while place < len(held) - 1 and held[place] == held[below]:
        place += 1
    rise = held[place] - held[below] if below >= 0 else 0.0
    if rise <= 0:
        return marks[place]
    return marks[below] + (wanted - held[below]) / rise * (marks[place] - marks[below])


def age_of_information(updates: Iterable[Update], start: float, end: float) -> Percentiles | None:
    """Age p50, p95 and p99 over the time between two moments; None when there never was an update."""
    stretches = teeth(updates, start, end)
    if not stretches:
        return None
    return Percentiles(*over_time(stretches, (0.5, 0.95, 0.99)), weight=sum(b - a for a, b in stretches))


def pooled(fields: Iterable[Iterable[Update]], start: float, end: float) -> Percentiles | None:
    """Age over all fields: each field's time counts alike."""
    stretches = [tooth for updates in fields for tooth in teeth(updates, start, end)]
    if not stretches:
        return None
    return Percentiles(*over_time(stretches, (0.5, 0.95, 0.99)), weight=sum(b - a for a, b in stretches))


def percentiles(values: Sequence[float]) -> Percentiles | None:
    """Of plain values, linear between the two nearest; None for no values."""
    if not values:
        return None
    ordered = sorted(values)
    return Percentiles(*(_between(ordered, share) for share in (0.5, 0.95, 0.99)), weight=len(ordered))


def _between(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


@dataclass(slots=True)
class Alignment:
    """Updates that were in the twin in time, out of those planned, over the last `window` deadlines.

    An update planned for `due` is in time when the twin holds its value before the next one is due. A poll that was
    skipped because the one before it took too long was planned too: polling faster than devices answer lowers this.
    """

    window: int = 300
    _deadlines: deque[tuple[int, int]] = field(default_factory=deque)

    def close(self, planned: int, delays: Iterable[float], period: float) -> None:
        """Account for one deadline.

        Args:
            planned: updates that ought to have come for it, whether or not they did.
            delays: of those that came, from the deadline until the twin held them, seconds.
            period: until the next deadline, seconds.
        """
        self._deadlines.append((planned, sum(delay < period for delay in delays)))
        while len(self._deadlines) > self.window:
            self._deadlines.popleft()

    @property
    def planned(self) -> int:
        return sum(planned for planned, _ in self._deadlines)

    @property
    def in_time(self) -> int:
        return sum(in_time for _, in_time in self._deadlines)

    @property
    def share(self) -> float:
        """From 0 to 1; 0 when nothing was planned."""
        return self.in_time / self.planned if self.planned else 0.0


@dataclass(slots=True)
class FieldAges:
    """Updates of every mirrored field in a sliding window of `window` seconds."""

    window: float = 300.0
    updates: dict[tuple[str, str], deque[Update]] = field(default_factory=dict)

    def add(self, entity: str, metric: str, update: Update) -> None:
        """Remember an update; what left the window is forgotten, but for the one that gives its first age."""
        kept = self.updates.setdefault((entity, metric), deque())
        kept.append(update)
        while len(kept) > 1 and kept[1].applied < update.applied - self.window:
            kept.popleft()

    def by_field(self, now: float) -> dict[tuple[str, str], Percentiles]:
        """Each field's age over the window that ends now."""
        ages = {key: age_of_information(kept, now - self.window, now) for key, kept in self.updates.items()}
        return {key: age for key, age in ages.items() if age is not None}

    def overall(self, now: float) -> Percentiles | None:
        """Age over all fields together."""
        return pooled(self.updates.values(), now - self.window, now)

    def current(self, now: float) -> dict[tuple[str, str], float]:
        """Each field's age at this moment, seconds."""
        return {key: now - max(update.measured for update in kept) for key, kept in self.updates.items()}
