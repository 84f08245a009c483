"""What measurements allow to be said: confidence intervals without assumptions on distributions, and comparisons.

A packet that was lost is an infinite delay for percentiles, NaN in lists by packet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Reproduced = Literal["same", "different", "undecided"]


def percentile(samples: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile: the smallest sample that `percent` of all do not exceed.

    Always a value that was measured, so infinite samples (lost packets) are handled as what they are.

    Raises:
        ValueError: no samples, a NaN among them, or a percentile outside 0 to 100.
    """
    ordered = _ordered(samples, percent)
    return float(ordered[_rank(len(ordered), percent)])


def percentile_interval(
    samples: Sequence[float], percent: float, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return a percentile and its confidence interval, for any distribution (David, Nagaraja: Order Statistics, 7.1).

    The number of samples below the true percentile is binomial, so two of the ordered samples bracket it; each is
    wrong with a probability of at most half of what is left of the confidence.

    Args:
        samples: any unit, infinity for what never arrived. percent: 0 to 100. confidence: 0 to 1, both excluded.

    Returns:
        Value, low, high. Low is minus infinity and high is infinity where the samples are too few to bound it.

    Raises:
        ValueError: as `percentile`.
    """
    ordered = _ordered(samples, percent)
    count, tail = len(ordered), (1 - confidence) / 2
    below = _binomial_cumulative(count, percent / 100)  # below[k] = P(at most k samples below)
    low = int(np.searchsorted(below, tail, side="right"))  # the largest l with P(fewer than l) <= tail
    high = int(np.searchsorted(below, 1 - tail, side="left")) + 1  # the smallest u with P(at least u) <= tail
    return (
        float(ordered[_rank(count, percent)]),
        float(ordered[low - 1]) if low >= 1 else -math.inf,
        float(ordered[high - 1]) if high <= count else math.inf,
    )


def binomial_interval(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of a share (Biometrika 26, 1934): its coverage is never below the confidence.

    Raises:
        ValueError: no trials, or hits outside 0 to trials.
    """
    if not 0 <= hits <= trials or trials < 1:
        raise ValueError(f"{hits} of {trials} is no share; expected 0 <= hits <= trials and at least one trial")
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _solve(lambda share: 1 - _at_most(hits - 1, trials, share), tail)
    high = 1.0 if hits == trials else _solve(lambda share: -_at_most(hits, trials, share), -tail)
    return low, high


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return Wilson's 95 % score interval of a share (JASA 22, 1927): narrower, right on average.

    Raises:
        ValueError: no trials, or hits outside 0 to trials.
    """
    if not 0 <= hits <= trials or trials < 1:
        raise ValueError(f"{hits} of {trials} is no share; expected 0 <= hits <= trials and at least one trial")
    z, share = 1.959963984540054, hits / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == trials else middle + half)


def both_arrived(one: Sequence[float], other: Sequence[float]) -> tuple[list[float], list[float]]:
    """Keep the places where two lists by packet both have a value; a longer list's rest has no partner."""
    pairs = [(a, b) for a, b in zip(one, other, strict=False) if not (math.isnan(a) or math.isnan(b))]
    return [a for a, _ in pairs], [b for _, b in pairs]


def arrived(values: Sequence[float]) -> list[float]:
    """Return the values of packets that arrived: neither NaN nor infinite."""
    return [value for value in values if math.isfinite(value)]


def lost_last(values: Sequence[float]) -> list[float]:
    """Return the values with infinity for lost packets (NaN), as percentiles want them."""
    return [math.inf if math.isnan(value) else value for value in values]


def distance(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Two-sample Kolmogorov-Smirnov test.

    Returns:
        The largest distance of the two empirical distributions (0 to 1), and the probability of one at least as large
        when both come from the same distribution (asymptotic, with Stephens's correction; conservative with ties).

    Raises:
        ValueError: a list is empty or has a NaN.
    """
    first, second = _ordered(one, 50), _ordered(other, 50)
    points = np.concatenate([first, second])
    apart = np.searchsorted(first, points, "right") / len(first) - np.searchsorted(second, points, "right") / len(
        second
    )
    largest = float(np.max(np.abs(apart)))
    root = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    return largest, _kolmogorov((root + 0.12 + 0.11 / root) * largest)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether two runs of the same network agree.

    Attributes:
        verdict: `same` when the difference lies within the tolerance for certain, `different` when outside for certain.
        shift: percentile of the second run less that of the first. low, high: its interval, 95 % or more.
    """

    verdict: Reproduced
    shift: float
    low: float
    high: float


def compare(one: Sequence[float], other: Sequence[float], percent: float, tolerance: float) -> Comparison:
    """Compare a percentile of two runs (two one-sided tests, Schuirmann 1987): a run that cannot tell is not a pass.

    Args:
        one, other: samples, infinity for lost packets. tolerance: the largest difference without a meaning.

    Returns:
        The comparison; the interval of the shift joins the two runs' 97.5 % intervals, so it holds with 95 %.

    Raises:
        ValueError: as `percentile`, or a negative tolerance.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance is {tolerance}; expected at least 0")
    value, low, high = percentile_interval(one, percent, 0.975)
    other_value, other_low, other_high = percentile_interval(other, percent, 0.975)
    shift = _minus(other_value, value)
    lowest, highest = _minus(other_low, high), _minus(other_high, low)
    verdict: Reproduced = "undecided"
    if -tolerance <= lowest and highest <= tolerance:
        verdict = "same"
    elif lowest > tolerance or highest < -tolerance:
        verdict = "different"
    return Comparison(verdict, shift, lowest, highest)


def _minus(one: float, other: float) -> float:
    """Subtract, where two infinities of one sign (everything was lost in both) are no difference."""
    return 0.0 if one == other else one - other


def _ordered(samples: Sequence[float], percent: float) -> Floats:
    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    if not len(ordered):
        raise ValueError("no samples; expected at least one")
    if np.isnan(ordered[-1]):
        raise ValueError("a sample is NaN; give lost packets as infinity, or leave them out")
    if not 0 <= percent <= 100:
        raise ValueError(f"percentile is {percent}; expected 0 to 100")
    return ordered


def _rank(count: int, percent: float) -> int:
    return max(0, math.ceil(round(count * percent / 100, 9)) - 1)


def _log_factorials(count: int) -> Floats:
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1, dtype=np.float64)))])


def _binomial_cumulative(trials: int, share: float) -> Floats:
    """P(X <= k) for k from 0 to `trials`."""
    if share <= 0 or share >= 1:
        return np.ones(trials + 1) if share <= 0 else np.append(np.zeros(trials), 1.0)
    logs, successes = _log_factorials(trials), np.arange(trials + 1)
    combinations = logs[-1] - logs - logs[::-1]
    chances = np.exp(combinations + successes * math.log(share) + (trials - successes) * math.log1p(-share))
    return np.minimum(np.cumsum(chances), 1.0)


def _at_most(hits: int, trials: int, share: float) -> float:
    return float(_binomial_cumulative(trials, share)[hits])


def _solve(rising: Callable[[float], float], target: float) -> float:
    """Find where a function that rises over 0 to 1 takes a value, by halving."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return (low + high) / 2


def _kolmogorov(value: float) -> float:
    """Tail of the Kolmogorov distribution: 2 * sum of (-1)^(k-1) exp(-2 k^2 value^2)."""
    if value < 0.2:
        return 1.0
    return min(1.0, max(0.0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * value * value) for k in range(1, 101))))
