"""The rack's load as background flows of the twin, scaled down as a whole where the twin could not carry it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from testbed.emulator.loading import LoadFlow
from testbed.twin.picture import LinkView
from testbed.twin.state import MirroredFlow

CAP_PPS = 2000.0
"""Packets a second in the whole twin; more would take the kernel's one core from what is measured."""

FLOOR = 50e3
"""bit/s. Less than this on a link is routing and measuring, which the twin has of its own."""


def flows(links: Mapping[str, LinkView]) -> tuple[tuple[MirroredFlow, ...], float]:
    """One flow for each loaded direction of each link, from end to end of that link only.

    Load is mirrored link by link: which paths it takes across the network is not known from counters.

    Returns:
        The flows, and the share of the rack's load that they are: 1, or less when `CAP_PPS` is reached.
    """
    wanted = [flow for view in links.values() if view.up for end in (0, 1) for flow in _flow(view, end)]
    packets = sum(flow.rate / (8 * flow.size) for flow in wanted)
    scale = min(1.0, CAP_PPS / packets) if packets else 1.0
    scaled = [flow.model_copy(update={"rate": flow.rate * scale}) for flow in wanted]
    return tuple(flow for flow in scaled if flow.rate >= 8), scale


def _flow(view: LinkView, end: int) -> list[MirroredFlow]:
    here, there = view.link.endpoints[end], view.link.endpoints[1 - end]
    networks = {a.network for a in here.addresses}
    address = next((str(a.ip) for a in there.addresses if a.network in networks), None)
    if address is None or view.loads[end] < FLOOR:
        return []
    size = view.sizes[end]
    return [MirroredFlow(source=here.node, sink=there.node, destination=address, rate=view.loads[end], size=size)]


def load_flow(flow: MirroredFlow) -> LoadFlow:
    """The agent's form of a mirrored flow."""
    return LoadFlow(source=flow.source, destination=flow.destination, sink=flow.sink, rate=flow.rate, size=flow.size)


def differs(old: Sequence[MirroredFlow], new: Sequence[MirroredFlow]) -> bool:
    """Whether the twin's load must be set anew: a flow came or went, or its rate moved by more than a tenth."""
    before = {(f.source, f.destination): f.rate for f in old}
    after = {(f.source, f.destination): f.rate for f in new}
    return before.keys() != after.keys() or any(
        not math.isclose(before[key], after[key], rel_tol=0.1, abs_tol=FLOOR / 5) for key in after
    )
