"""`convergence`: the longest gap in user packets while the change goes in.

It is the one expectation that is about the event itself, so each of its rounds is one application of the change; it is
measured by a stream that runs across it.
"""

from __future__ import annotations

from testbed.emulator.messages import StreamResult, StreamStart, StreamStop
from testbed.errors import AgentError
from testbed.model.change import ConvergenceGap
from testbed.model.verdict import Measured
from testbed.validate import places
from testbed.validate.expectations.base import AFTER, Kind, below, same_answer
from testbed.validate.routes import Call
from testbed.validate.scene import Scene

INTERVAL = 0.005


def start(scene: Scene, expectation: ConvergenceGap) -> int:
    """Start the stream and return its number."""
    destination = expectation.destination
    request = StreamStart(
        source=expectation.source,
        destination=places.address_of(scene.topology, destination),
        sink=places.sink_of(scene.topology, destination),
        interval=INTERVAL,
    )
    return scene.call(request).stream


def stop(call: Call, stream: int) -> StreamResult:
    """Stop a stream and return what became of its packets."""
    return call(StreamStop(stream=stream))


def measured(phase: str, expectation: ConvergenceGap, result: StreamResult) -> Measured:
    """Judge one application: the gap is known to within one interval of the stream."""
    if result.sent == 0:
        raise AgentError(f"the stream from {expectation.source} to {expectation.destination} sent nothing")
    low, high = result.longest_gap, result.longest_gap + INTERVAL
    holds = below(expectation.below, low, high) if result.received else False
    proof = (
        f"{result.received} of {result.sent} packets, one each {1e3 * INTERVAL:g} ms, arrived",
        f"longest gap {1e3 * result.longest_gap:.1f} ms, {result.reordered} reordered, {result.duplicated} twice",
    )
    return Measured(phase=phase, holds=holds, value=result.longest_gap, low=low, high=high, proof=proof)


def measure(scene: Scene, expectation: ConvergenceGap) -> Measured:
    """Not used: streams run across the change, see `testbed.validate.apply`."""
    raise AgentError(f"a convergence gap is measured across a change, not in round {scene.phase}")


def _longest(one: Measured, other: Measured) -> float | None:
    return None if one.value is None or other.value is None else max(one.value, other.value)


KIND = Kind(measure, same_answer, phases=AFTER, forecast=_longest)
