"""`rtt`: a percentile of the round-trip time, by STAMP (RFC 8762)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from testbed.model.change import RoundTrip
from testbed.model.verdict import Measured
from testbed.validate import places
from testbed.validate.expectations.base import Kind, SameNumber, below, thinned
from testbed.validate.expectations.looks import looks
from testbed.validate.scene import Scene
from testbed.validate.statistics import LOOK, lost_last, percentile_interval

INTERVAL = 0.008
FEWEST = 100
MOST = 2000


def measure(scene: Scene, expectation: RoundTrip) -> Measured:
    """Send test packets until the interval of the percentile is on one side of the bound, or time is up."""
    samples: list[float] = []
    kernel = False
    value, low, high, holds = assess(samples, expectation.percentile, expectation.below)
    for result in looks(scene, expectation, first=needed(expectation.percentile), most=MOST, interval=INTERVAL):
        samples += lost_last(result.rtt)
        kernel = result.kernel_timestamps
        value, low, high, holds = assess(samples, expectation.percentile, expectation.below)
        if holds is not None:
            break
    address = places.address_of(scene.topology, expectation.destination)
    way = scene.shown_way(expectation.source, expectation.destination)
    proof = (*_shown(samples, expectation, address, kernel), way)
    kept = thinned([sample for sample in samples if math.isfinite(sample)])
    return Measured(phase=scene.phase, holds=holds, value=value, low=low, high=high, samples=kept, proof=proof)


def needed(percentile: float) -> int:
    """Return how many samples can bound a percentile from above in one look, a third more, `FEWEST` at least.

    With n samples the largest is above the percentile q unless all are below: q^n < half of what is left of `LOOK`.
    """
    least = math.log((1 - LOOK) / 2) / math.log(percentile / 100)
    return min(MOST, max(FEWEST, math.ceil(1.33 * least)))


def assess(
    samples: Sequence[float], percentile: float, bound: float
) -> tuple[float | None, float | None, float | None, bool | None]:
    """Judge round-trip times; a lost packet counts as one that takes for ever.

    Args:
        samples: seconds, infinite for a lost packet. percentile: 0 to 100. bound: seconds.

    Returns:
        Value, low and high (None where unbounded), and whether it holds. Nothing measured is never True or False.
    """
    if not samples:
        return None, None, None, None
    value, low, high = percentile_interval(samples, percentile, LOOK)
    finite = [number if math.isfinite(number) else None for number in (value, low, high)]
    return finite[0], finite[1], finite[2], below(bound, low, high)


def _shown(samples: Sequence[float], expectation: RoundTrip, address: str, kernel: bool) -> list[str]:
    arrived = sorted(sample for sample in samples if math.isfinite(sample))
    clock = "kernel" if kernel else "user-space"
    lines = [f"{len(arrived)} of {len(samples)} STAMP packets from {expectation.source} to {address} came back"]
    if arrived:
        shown = (arrived[0], arrived[len(arrived) // 2], arrived[-1])
        lines.append("min/median/max " + "/".join(f"{1e3 * s:.3f}" for s in shown) + f" ms by {clock} timestamps")
    return lines


KIND = Kind(measure, SameNumber(0.3e-3, 0.05, lambda e: e.below), wave=1)
