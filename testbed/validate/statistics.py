"""What measurements allow to be said: confidence intervals without assumptions on distributions.

A packet that was lost is an infinite delay for percentiles, NaN in lists by packet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.95
LOOKS = 5
LOOK = 1 - (1 - CONFIDENCE) / LOOKS
"""Confidence of one look at measurements that are added to until they decide, at most `LOOKS` times.

Who looks five times at 95 % intervals and stops at the first that decides is wrong far more often than in 5 %; each
look gets a fifth of that (Bonferroni), so that all together keep to it."""


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


def arrived(values: Sequence[float]) -> list[float]:
    """Return the values of packets that arrived: neither NaN nor infinite."""
    return [value for value in values if math.isfinite(value)]


def lost_last(values: Sequence[float]) -> list[float]:
    """Return the values with infinity for lost packets (NaN), as percentiles want them."""
    return [math.inf if math.isnan(value) else value for value in values]


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


@lru_cache(maxsize=64)
def _combinations(trials: int) -> Floats:
    """Logarithms of the binomial coefficients; kept, since an interval is found by asking for many shares."""
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1, dtype=np.float64)))])
    return logs[-1] - logs - logs[::-1]


def _binomial_cumulative(trials: int, share: float) -> Floats:
    """P(X <= k) for k from 0 to `trials`."""
    if share <= 0 or share >= 1:
        return np.ones(trials + 1) if share <= 0 else np.append(np.zeros(trials), 1.0)
    successes = np.arange(trials + 1)
    chances = np.exp(_combinations(trials) + successes * math.log(share) + (trials - successes) * math.log1p(-share))
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
