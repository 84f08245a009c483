"""Tracks made up from a model and a seed; the same arguments always give the same track."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

import numpy as np

from testbed.errors import BadInput
from testbed.model.profile import load_profile
from testbed.model.propagation import LIGHT
from testbed.model.traces.orbit import Array, slant, walker
from testbed.model.traces.track import FIELDS, Setting, Track, track_of

MOST_STEPS = 1_000_000
BLOCK = 256
"""Steps for which all satellites are worked out at once; more would only take memory."""
NONE = -1
FEED = 4e-3
"""Seconds; frames and scheduling of a satellite link, both ends together: our assumption."""


def leo_pass(
    *,
    seconds: float = 120.0, step: float = 1.0, height: float = 550.0, inclination: float = 53.0, planes: float = 72.0,
    each: float = 22.0, latitude: float = 50.0, longitude: float = 5.0, mask: float = 25.0, every: float = 15.0,
    gap: float = 0.1, seed: float = 0.0,
) -> Track:  # fmt: skip
    """Follow the satellites of a constellation from a terminal whose gateway stands near it.

    Every `every` seconds the terminal is given the satellite highest above it; where that is another than before,
    nothing arrives for `gap` seconds. While none is above `mask` nothing arrives at all.

    Args:
        seconds, step: length, and time between two settings. height: km. inclination, mask: degrees.
        planes, each: the Walker constellation. latitude, longitude: of the terminal, degrees.
        every: seconds between assignments; Starlink's are 15 s (Mohan et al., "A multifaceted look at Starlink
            performance", WWW 2024). gap: seconds.
        seed: where the constellation stands at the start.
    """  # fmt: skip
    if gap >= step:
        raise BadInput(f"gap={gap:g}: expected less than step={step:g}")
    start = float(np.random.default_rng(int(seed)).uniform(0, 86_400))
    times = _moments(seconds, step)
    there = walker(height, inclination, int(planes), int(each))
    blocks = (times[first : first + BLOCK] for first in range(0, len(times), BLOCK))
    seen = ((b, *slant(there, start + b, latitude, longitude)) for b in blocks)
    rows = (row for block in seen for row in zip(*block, strict=True))
    return track_of(_handovers(rows, every, mask, gap))


def _handovers(
    rows: Iterable[tuple[float, Array, Array]], every: float, mask: float, gap: float
) -> Iterator[tuple[float, Setting]]:
    """Follow the terminal through rows of time, range and elevation of each satellite."""
    serving, slot = NONE, -1
    for time, far, high in rows:
        before, here = serving, math.floor(time / every + 1e-9)
        if here != slot or (serving != NONE and high[serving] < mask):
            best = int(high.argmax())
            serving = best if high[best] >= mask else NONE
        if serving == NONE:
            yield float(time), {"loss": 1.0}
        elif serving != before and slot >= 0:
            yield float(time), {"loss": 1.0}
            yield float(time) + gap, {"delay": _round_the_bend(far[serving]), "loss": 0.0}
        else:
            yield float(time), {"delay": _round_the_bend(far[serving]), "loss": 0.0}
        slot = here


def _round_the_bend(km: float) -> float:
    """Return the seconds up to a satellite and down to a gateway as far from it."""
    return 2 * float(km) * 1e3 / LIGHT + FEED


def rain_event(
    *, profile: str = "microwave", seconds: float = 1800.0, step: float = 5.0, peak: float = 60.0, rise: float = 300.0,
    fall: float = 900.0, gusts: float = 0.2, seed: float = 0.0,
) -> Track:  # fmt: skip
    """Let a shower pass over a radio link.

    The rain rate rises exponentially to its peak and falls off again as a convective cell's does (the EXCELL model's
    profile: Capsoni et al., Radio Science 22(3), 1987), with gusts on top; the profile says what that does to the link.

    Args:
        profile: one with a parameter `rain`, other parameters given: `microwave(km=5)`. peak: mm/h. rise, fall: seconds
            in which the rate changes by a factor e. gusts: standard deviation of the logarithm, correlated over 30 s.
    """
    random = np.random.default_rng(int(seed))
    times = _moments(seconds, step)
    top = seconds * rise / (rise + fall)
    cell = peak * np.exp(-np.where(times < top, (top - times) / rise, (times - top) / fall))
    rain = cell * np.exp(_wander(random, len(times), step, 30.0) * gusts)
    return track_of((float(t), _rained(profile, float(mm))) for t, mm in zip(times, rain, strict=True))


def _rained(profile: str, rain: float) -> Setting:
    """The forward direction of a profile at this rain rate, rounded to 0.5 mm/h: nobody measures rain better."""
    name, _, given = profile.partition("(")
    others = given.rstrip(")").strip()
    call = f"{name}({f'{others}, ' if others else ''}rain={round(2 * min(rain, 250.0)) / 2:g})"
    forward, _ = load_profile(call)
    found = Setting(delay=forward.delay, loss=forward.mean_loss)
    if forward.rate is not None:
        found["rate"] = forward.rate
    return found


def daily_load(
    *, rate: float = 1e9, seconds: float = 86_400.0, step: float = 60.0, least: float = 0.15, most: float = 0.85,
    busiest: float = 20.5, noise: float = 0.05, start: float = 0.0, seed: float = 0.0,
) -> Track:  # fmt: skip
    """Let others use a link through a day: what they leave, and how long their packets keep ours waiting.

    The share in use swings once a day between `least` and `most` with its top at `busiest` o'clock; the wait is that of
    a queue with random arrivals (M/M/1, 1500-byte packets: Kleinrock, Queueing Systems I, 3.2).

    Args:
        rate: of the link, bit/s. start: hour of day at the beginning. noise: standard deviation of the share.
    """
    random = np.random.default_rng(int(seed))
    times = _moments(seconds, step)
    swing = 0.5 + 0.5 * np.cos((times / 3600 + start - busiest) / 24 * 2 * np.pi)
    used = np.clip(least + (most - least) * swing + noise * _wander(random, len(times), step, 600.0), 0.0, 0.99)
    waits = 1500 * 8 / rate * used / (1 - used)
    return track_of(
        (float(t), {"rate": float(rate * (1 - u)), "wait": float(w), "jitter": float(w)})
        for t, u, w in zip(times, used, waits, strict=True)
    )


def random_walk(
    *, field: str = "delay", low: float = 0.005, high: float = 0.05, seconds: float = 60.0, step: float = 0.1,
    stride: float = 0.05, seed: float = 0.0,
) -> Track:  # fmt: skip
    """Walk one setting at random between two bounds, from the middle, turned back at each.

    Args:
        field: delay, wait or jitter (seconds), loss (share), rate (bit/s).
        stride: standard deviation of a step, as a share of the span.
    """
    if field not in FIELDS:
        raise BadInput(f"field {field!r}: expected one of {', '.join(FIELDS)}")
    if not 0 <= low < high:
        raise BadInput(f"a walk from {low:g} to {high:g}: expected low below high")
    random = np.random.default_rng(int(seed))
    times = _moments(seconds, step)
    walked = 0.5 + np.cumsum(random.normal(0.0, stride, len(times)))
    folded = np.abs((walked + 1) % 2 - 1)
    walk = zip(times, folded, strict=True)
    return track_of((float(t), cast(Setting, {field: low + (high - low) * float(at)})) for t, at in walk)


def _moments(seconds: float, step: float) -> Array:
    if not (0 < step <= seconds and seconds / step <= MOST_STEPS):
        raise BadInput(f"seconds={seconds:g}, step={step:g}: expected a step above 0, and at most {MOST_STEPS} of them")
    return np.arange(0.0, seconds, step)


def _wander(random: np.random.Generator, count: int, step: float, memory: float) -> Array:
    """Return a stationary Gaussian walk of unit variance that forgets over `memory` seconds (Ornstein-Uhlenbeck)."""
    keep = math.exp(-step / memory)
    steps = random.normal(0.0, math.sqrt(1 - keep * keep), count)
    steps[:1] = random.normal(0.0, 1.0, min(1, count))
    found = np.empty(count)
    now = 0.0
    for index, change in enumerate(steps):
        now = keep * now + change
        found[index] = now
    return found


LIMITS: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("seconds", "step", "rise", "fall", "every"), (0.001, 1000000000.0)),
    **dict.fromkeys(("least", "most", "noise", "stride"), (0.0, 1.0)),
    **dict.fromkeys(("low", "high"), (0.0, 1000000000000.0)),
    **dict.fromkeys(("planes", "each"), (1.0, 500.0)),
    **dict.fromkeys(("busiest", "start"), (0.0, 24.0)),
    "height": (160.0, 40_000.0), "inclination": (0.0, 180.0), "latitude": (-90.0, 90.0), "longitude": (-180.0, 180.0),
    "mask": (0.0, 90.0), "gap": (0.0, 60.0), "peak": (0.0, 250.0), "gusts": (0.0, 2.0), "rate": (1e3, 1e12),
    "seed": (0.0, 2.0**53),
}  # fmt: skip
"""What the arguments of generators may be; the same name means the same in all of them."""

GENERATORS: Mapping[str, Callable[..., Track]] = {
    "leo-pass": leo_pass,
    "rain-event": rain_event,
    "daily-load": daily_load,
    "random-walk": random_walk,
}
