"""Test packets in batches, each as many as all before it, looked at after each: what decides soon costs little."""

from __future__ import annotations

import time
from collections.abc import Iterator

from testbed.emulator.messages import Stamp, StampResult
from testbed.model.change import Loss, RoundTrip
from testbed.validate import places
from testbed.validate.scene import Scene
from testbed.validate.statistics import LOOKS


def looks(
    scene: Scene, expectation: Loss | RoundTrip, *, first: int, most: int, interval: float
) -> Iterator[StampResult]:
    """Send a batch by STAMP whenever the next is asked for, at least one; end when time or packets are up.

    Args:
        first: packets of the first batch. most: of all batches. interval: seconds between two packets.
    """
    address = places.address_of(scene.topology, expectation.destination)
    reflector = places.sink_of(scene.topology, expectation.destination)
    sent, deadline = 0, time.monotonic() + scene.span
    for _ in range(LOOKS):
        result: StampResult = scene.call(
            Stamp(
                source=expectation.source,
                destination=address,
                reflector=reflector,
                count=min(sent or first, most - sent),
                interval=interval,
            )
        )
        sent += result.sent
        yield result
        if not result.sent or sent >= most or time.monotonic() + sent * interval > deadline:
            return
