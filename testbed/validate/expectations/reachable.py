"""`reachable`: packets from a node reach a destination, or must not."""

from __future__ import annotations

from testbed.emulator.messages import Reach, Reached
from testbed.model.change import Reachable
from testbed.model.verdict import Measured
from testbed.validate import places
from testbed.validate.expectations.base import KEPT_PROOF, Kind, same_answer
from testbed.validate.scene import Scene

COUNT = 10
INTERVAL = 0.02
# What must not be reached is asked for over a window, so that a path which opens late is seen.
NEGATIVE_COUNT = 30
NEGATIVE_INTERVAL = 0.1
MOST = 40


def measure(scene: Scene, expectation: Reachable) -> Measured:
    """Send ICMP echoes; a share of replies that leaves it open is asked for again."""
    address = places.address_of(scene.topology, expectation.destination)
    sent, received, proof = 0, 0, []
    holds = None
    while holds is None and sent < MOST:
        reached = _ask(scene, expectation, address)
        sent, received = sent + reached.sent, received + reached.received
        proof += reached.detail
        holds = assess(sent, received, expectation.reachable)
        if not reached.sent:
            break
    summary = f"{received} of {sent} ICMP echoes from {expectation.source} to {address} were answered"
    way = scene.shown_way(expectation.source, expectation.destination)
    value = received / sent if sent else None
    return Measured(phase=scene.phase, holds=holds, value=value, proof=(summary, way, *proof[:KEPT_PROOF]))


def _ask(scene: Scene, expectation: Reachable, address: str) -> Reached:
    count, interval = (COUNT, INTERVAL) if expectation.reachable else (NEGATIVE_COUNT, NEGATIVE_INTERVAL)
    return scene.call(Reach(source=expectation.source, destination=address, count=count, interval=interval))


def assess(sent: int, received: int, wanted: bool) -> bool | None:
    """Judge packets delivered.

    Args:
        sent, received: packets. wanted: whether they are to arrive.

    Returns:
        Wanted: True when more than half come back, False when none does. Unwanted: True when none does, False when
        any does. None when nothing was sent, or when only few come back.
    """
    if sent == 0:
        return None
    if not wanted:
        return received == 0
    if received == 0:
        return False
    return True if 2 * received > sent else None


KIND = Kind(measure, same_answer)
