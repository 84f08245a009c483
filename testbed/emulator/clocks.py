"""The clocks of a lab's guests: each kernel has its own, set when it booted; they run alike and stand apart.

They are asked over the same kind of path, so what one way takes longer than the other cancels out between two guests;
what is promised, though, is only half of each question's time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from testbed.emulator.client import Client
from testbed.emulator.messages import SetClock

_ASKED = 15
_STEPS = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a guest's clock is ahead of ours, and how wrong that may be; seconds."""

    ahead: float
    error: float


def read(agent: Client, asked: int = _ASKED) -> Reading:
    """Compare a guest's clock with ours, by the quickest of some answers (RFC 5905 8: offset by four times)."""
    return min((_once(agent) for _ in range(asked)), key=lambda reading: reading.error)


def _once(agent: Client) -> Reading:
    before = time.time()
    theirs = agent.hello().time
    after = time.time()
    return Reading(theirs - (before + after) / 2, (after - before) / 2)


def apart(one: Reading, other: Reading) -> float:
    """Return by how much two guests' clocks differ at most, seconds."""
    return abs(one.ahead - other.ahead) + one.error + other.error


def align(agents: Iterable[Client]) -> None:
    """Set the guests' clocks to ours; done again where a step came late because the machine was busy."""
    for agent in agents:
        for _ in range(_STEPS):
            reading = read(agent)
            if abs(reading.ahead) <= reading.error:
                break
            agent.call(SetClock(step=-reading.ahead))
