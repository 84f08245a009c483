"""`throughput`: what TCP reaches, by iperf3."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from testbed.emulator.messages import Throughput as Measure
from testbed.emulator.messages import ThroughputResult
from testbed.model.change import Throughput
from testbed.model.verdict import Measured
from testbed.validate import places
from testbed.validate.expectations.base import Kind, SameNumber, above, thinned
from testbed.validate.scene import Scene

SECONDS = (3.0, 6.0)
# More than the bound is not asked for: filling a fast link proves nothing more and starves what else the guest runs.
HEADROOM = 1.5
# Student's t, two-sided 97.5 %, by degrees of freedom from 1; beyond, the normal distribution is near enough. There are
# two looks at most, so that both together keep to 95 % (Bonferroni).
STUDENT = (25.45, 6.205, 4.177, 3.495, 3.163, 2.969, 2.841, 2.752, 2.685, 2.634)
NORMAL = 2.241


def measure(scene: Scene, expectation: Throughput) -> Measured:
    """Send for a few seconds, and for longer when that leaves the bound inside the interval."""
    address = places.address_of(scene.topology, expectation.destination)
    sink = places.sink_of(scene.topology, expectation.destination)
    result, seconds = _run(scene, expectation, address, sink, SECONDS[0])
    value, low, high, holds = assess(result.intervals, expectation.above)
    if holds is None:
        result, seconds = _run(scene, expectation, address, sink, SECONDS[1])
        value, low, high, holds = assess(result.intervals, expectation.above)
    received = f"{result.received_rate / 1e6:.4g} Mbit/s received over {seconds:g} s"
    proof = (
        f"TCP from {expectation.source} to {address}: {received}",
        f"{result.retransmits} segments sent again; asked for at most {HEADROOM:g} times the bound",
        scene.shown_way(expectation.source, expectation.destination),
    )
    samples = thinned(list(result.intervals))
    return Measured(phase=scene.phase, holds=holds, value=value, low=low, high=high, samples=samples, proof=proof)


def _run(
    scene: Scene, expectation: Throughput, address: str, sink: str, seconds: float
) -> tuple[ThroughputResult, float]:
    request = Measure(
        source=expectation.source,
        destination=address,
        sink=sink,
        seconds=seconds,
        limit_rate=HEADROOM * expectation.above,
    )
    return scene.call(request), seconds


def assess(intervals: Sequence[float], bound: float) -> tuple[float | None, float | None, float | None, bool | None]:
    """Judge rates of successive intervals, the first left out: TCP is still in slow start (RFC 5681).

    Args:
        intervals: bit/s. bound: bit/s.

    Returns:
        Mean, low and high (Student), and whether it holds. Fewer than two intervals decide nothing.
    """
    steady = list(intervals[1:]) if len(intervals) > 2 else list(intervals)
    if not steady:
        return None, None, None, None
    value = statistics.fmean(steady)
    if len(steady) < 2:
        return value, None, None, None
    t = STUDENT[len(steady) - 2] if len(steady) - 2 < len(STUDENT) else NORMAL
    half = t * statistics.stdev(steady) / math.sqrt(len(steady))
    low, high = max(0.0, value - half), value + half
    return value, low, high, above(bound, low, high)


KIND = Kind(measure, SameNumber(0.0, 0.15, lambda e: e.above), wave=3)
