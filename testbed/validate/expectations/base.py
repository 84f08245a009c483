"""The contract of every kind of expectation: how a round measures it, and when two rounds reproduce each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from testbed.model.change import Expectation
from testbed.model.verdict import Measured
from testbed.report import wording
from testbed.validate.scene import Scene

BEFORE = ("before-1", "before-2")
AFTER = ("after-1", "after-2")

KEPT_SAMPLES = 400
KEPT_PROOF = 24


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of expectation.

    Attributes:
        measure: measures an expectation in a round. Raises TestbedError when the measuring itself fails.
        differs: why two rounds of the same network do not reproduce each other; empty when they do.
        phases: rounds it is measured in.
        forecast: the value two rounds after the change foretell for the rack, or None.
        wave: those of one wave are measured at the same time, after the waves below: first what puts hardly a packet
            on the links, then delays, then losses, and last what fills links.
    """

    measure: Callable[[Scene, Any], Measured]
    differs: Callable[[Any, Measured, Measured], str]
    phases: tuple[str, ...] = BEFORE + AFTER
    forecast: Callable[[Measured, Measured], float | None] = lambda one, other: mean(one.value, other.value)
    wave: int = 0


def mean(one: float | None, other: float | None) -> float | None:
    """Return the mean of two values, None when either is missing."""
    return None if one is None or other is None else (one + other) / 2


def same_answer(expectation: Expectation, one: Measured, other: Measured) -> str:
    """Compare rounds of an expectation that is a yes or a no."""
    return "" if one.holds == other.holds else wording.rounds(expectation, (one, other))


@dataclass(frozen=True, slots=True)
class SameNumber:
    """Compares rounds by value.

    Two rounds agree when their values are within `tolerance` (SI) or `share` of the larger one; or their intervals,
    widened by half (95 % becomes about 99.7 %), touch, because over many expectations 95 % alone would often cry wolf;
    or they are within a quarter, and that is less than half of what separates the nearer one from the bound: a busy
    machine moves round-trip times by more than their intervals say, and so far from the bound it means nothing.

    Attributes:
        bound: reads the bound off an expectation.
    """

    tolerance: float
    share: float
    bound: Callable[[Any], float]

    def __call__(self, expectation: Expectation, one: Measured, other: Measured) -> str:
        """Return why two rounds do not agree, or an empty string."""
        if one.value is None or other.value is None:
            return "" if one.value is other.value else wording.rounds(expectation, (one, other))
        if self._near(one.value, other.value, self.bound(expectation)) or _touch(one, other):
            return ""
        return f"{wording.rounds(expectation, (one, other))}; further apart than their confidence intervals allow"

    def _near(self, one: float, other: float, bound: float) -> bool:
        apart, larger = abs(one - other), max(abs(one), abs(other))
        margin = min(abs(one - bound), abs(other - bound)) if (one < bound) == (other < bound) else 0.0
        return apart <= max(self.tolerance, self.share * larger, min(0.25 * larger, 0.5 * margin))


def _touch(one: Measured, other: Measured) -> bool:
    (low, high), (other_low, other_high) = _widened(one), _widened(other)
    return low <= other_high and other_low <= high


def _widened(measured: Measured) -> tuple[float, float]:
    value = measured.value or 0.0
    low = value if measured.low is None else measured.low
    high = float("inf") if measured.high is None else measured.high
    return value - 1.5 * (value - low), value + 1.5 * (high - value)


def below(bound: float, low: float | None, high: float | None) -> bool | None:
    """Judge an interval against an upper bound: wholly below holds, wholly at or above does not, else undecided.

    Args:
        low, high: None where the samples cannot bound it.
    """
    if high is not None and high < bound:
        return True
    return False if low is not None and low >= bound else None


def above(bound: float, low: float | None, high: float | None) -> bool | None:
    """Judge an interval against a lower bound, as `below` does."""
    if low is not None and low >= bound:
        return True
    return False if high is not None and high < bound else None


def thinned(samples: list[float]) -> tuple[float, ...]:
    """Return at most `KEPT_SAMPLES` of the samples, evenly taken, for plots."""
    step = max(1, -(-len(samples) // KEPT_SAMPLES))
    return tuple(samples[::step])
