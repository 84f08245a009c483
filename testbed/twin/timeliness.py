"""Keeping account of when values were measured, when they ought to have come, and when the twin held them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection

from testbed.twin import metrics, status
from testbed.twin.metrics import Alignment, FieldAges, Update
from testbed.twin.picture import Arrival, Field

AGES_EVERY = 5.0
"""Seconds. Percentiles over five minutes of all fields are not free: so often is often enough."""


class Timeliness:
    """A mirror's ages, alignment and latencies. For one thread.

    Alignment and latencies count from `start_counting` on: before, the twin is being brought into step.
    """

    def __init__(self, first_due: float, period: float) -> None:
        """Args:
        first_due: Unix seconds of the first deadline. period: seconds between two.
        """
        self._first_due, self._period = first_due, period
        self._tick = 0
        self._count_from: int | None = None
        self._arrived: dict[int, dict[Field, float]] = {}
        self._ages = FieldAges()
        self._latencies: deque[float] = deque(maxlen=2000)
        self._percentiles: tuple[float, dict[Field, metrics.Percentiles], metrics.Percentiles | None] = (0.0, {}, None)
        self.alignment = Alignment()

    def start_counting(self, now: float) -> None:
        """Count the periods that begin from now on; only the first call does anything."""
        if self._count_from is None:
            self._count_from = math.ceil((now - self._first_due) / self._period)

    def close(self, now: float, planned: Collection[Field]) -> None:
        """Close the periods whose last deadline is a period ago: what ought to have come, what came in time."""
        while self._first_due + (self._tick + 2) * self._period <= now:
            arrived = self._arrived.pop(self._tick, {})
            delays = [arrived[key] for key in planned if key in arrived]
            if self._count_from is not None and self._tick >= self._count_from:
                self.alignment.close(len(planned), delays, self._period)
            self._tick += 1

    def took(self, key: Field, arrival: Arrival, applied: float, *, sent: bool) -> None:
        """The twin holds a value since `applied`. `sent`: it had to be set, it was not there already."""
        self._ages.add(*key, Update(arrival.measured, applied))
        tick = int((arrival.due - self._first_due) / self._period + 0.01)
        if tick >= self._tick:
            self._arrived.setdefault(tick, {})[key] = applied - arrival.due
        if sent and self._count_from is not None:
            self._latencies.append(applied - arrival.measured)

    def fields(self, now: float) -> tuple[status.FieldStatus, ...]:
        """Every field's age; stale is what is older than three periods."""
        if now - self._percentiles[0] > AGES_EVERY or len(self._percentiles[1]) < len(self._ages.updates):
            self._percentiles = (now, self._ages.by_field(now), self._ages.overall(now))
        known = self._percentiles[1]
        return tuple(
            status.FieldStatus(*key, age=age, stale=age > 3 * self._period, aoi=aged(known.get(key)))
            for key, age in sorted(self._ages.current(now).items())
        )

    def overall(self) -> status.Aged | None:
        """Ages over all fields, as of the last `fields`."""
        return aged(self._percentiles[2])

    def set_latency_ms(self) -> status.Aged | None:
        """From a sample measured on the rack to the twin's link set, milliseconds."""
        return aged(metrics.percentiles([1e3 * value for value in self._latencies]))


def aged(found: metrics.Percentiles | None) -> status.Aged | None:
    """The published form."""
    return None if found is None else status.Aged(found.p50, found.p95, found.p99)
