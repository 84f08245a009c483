"""Slices as queues of ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testbed.control.messages import Slice
from testbed.emulator.messages import WireLink

_PART = 0.98
"""Of a link's rate, at which its queues are emptied: so packets wait where they are told apart, not in the link."""
_LEAST = 0.01


@dataclass(frozen=True, slots=True)
class Queues:
    """Of one port, whole bit/s.

    Attributes:
        rate: of all together. guaranteed: queue number to its least; 0 is for all other packets.
    """

    rate: float
    guaranteed: Mapping[int, float]


def queues(slices: Sequence[Slice], links: Sequence[WireLink]) -> dict[tuple[str, str], Queues]:
    """Return the queues of each port, by node and interface, that leads into a link with a rate."""
    wanted = {number: one.guaranteed for number, one in enumerate(slices, 1) if one.guaranteed is not None}
    found: dict[tuple[str, str], Queues] = {}
    for link in links if wanted else ():
        for end, way in zip(link.ends, (link.forward, link.backward), strict=True):
            if isinstance(way.rate, float) and way.rate > 0:
                rate = _PART * way.rate
                rest = max(_LEAST * rate, rate - sum(wanted.values()))
                shares = {number: float(round(share)) for number, share in {0: rest, **wanted}.items()}
                found[end.node, end.interface] = Queues(float(round(rate)), shares)
    return found
