"""`loss`: the share of packets lost on the way there and back, by STAMP (RFC 8762)."""

from __future__ import annotations

import math

from testbed.model.change import Loss
from testbed.model.verdict import Measured
from testbed.validate import places
from testbed.validate.expectations.base import Kind, SameNumber, below
from testbed.validate.expectations.looks import looks
from testbed.validate.scene import Scene
from testbed.validate.statistics import LOOK, binomial_interval

INTERVAL = 0.002
FEWEST = 200
MOST = 6000


def measure(scene: Scene, expectation: Loss) -> Measured:
    """Send test packets until the interval of the share lost is on one side of the bound, or time is up."""
    sent = received = forward = backward = 0
    value, low, high, holds = assess(sent, received, expectation.below)
    for result in looks(scene, expectation, first=needed(expectation.below), most=MOST, interval=INTERVAL):
        sent, received = sent + result.sent, received + result.received
        forward, backward = forward + result.lost_forward, backward + result.lost_backward
        value, low, high, holds = assess(sent, received, expectation.below)
        if holds is not None:
            break
    address = places.address_of(scene.topology, expectation.destination)
    proof = (
        f"{sent - received} of {sent} STAMP packets from {expectation.source} to {address} lost",
        f"{forward} lost on the way there, {backward} on the way back",
        scene.shown_way(expectation.source, expectation.destination),
    )
    return Measured(phase=scene.phase, holds=holds, value=value, low=low, high=high, proof=proof)


def needed(bound: float) -> int:
    """Return how many packets, none of them lost, show in one look that less than `bound` is lost, and a third more."""
    least = math.log((1 - LOOK) / 2) / math.log1p(-bound) if 0 < bound < 1 else 0.0
    return min(MOST, max(FEWEST, math.ceil(1.33 * least)))


def assess(sent: int, received: int, bound: float) -> tuple[float | None, float | None, float | None, bool | None]:
    """Judge a share lost.

    Args:
        sent, received: packets. bound: share, 0 to 1.

    Returns:
        Value, low and high, and whether it holds. Nothing sent is never True or False.
    """
    if sent <= 0:
        return None, None, None, None
    lost = max(0, sent - received)
    low, high = binomial_interval(lost, sent, LOOK)
    return lost / sent, low, high, below(bound, low, high)


KIND = Kind(measure, SameNumber(0.0005, 0.0, lambda e: e.below), wave=2)
