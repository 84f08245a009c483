"""Idle UEs that want to talk, and those that are wanted (3GPP TS 23.502, 4.2.3; TS 24.501, 5.6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from core5g.amf import context, release, sessions
from core5g.amf.causes import Cause
from core5g.nas.mobility import ServiceAccept, ServiceReject, ServiceRequest
from core5g.nas.security import PLAIN
from core5g.ngap import values

if TYPE_CHECKING:
    from core5g.amf.amf import Amf
    from core5g.amf.ue import Ue

_CALLS, _BETWEEN = 4, 2.0
"""How often a UE is called, and how many seconds apart (T3513)."""


async def request(amf: Amf, ue: Ue, message: ServiceRequest, trusted: bool) -> None:
    """Answer a service request."""
    if not trusted or not ue.registered:
        amf.counts["services_refused"] += 1
        ue.send(ServiceReject(cause=Cause.UNKNOWN_IDENTITY), PLAIN)
        release.let_go(amf, ue, ("nas", "normal-release"))
        return
    amf.counts["services"] += 1
    sessions.same(amf, ue, message.sessions)
    asked = message.uplink_data or frozenset()
    resources = await sessions.resources(amf, ue, asked | ue.wanted)
    ue.wanted.clear()
    active = {number for number, *_ in resources}
    accept = ServiceAccept(
        sessions=frozenset(ue.sessions) if message.sessions is not None else None,
        not_reactivated=asked - active if message.uplink_data is not None else None,
    )
    context.send(ue, ue.bytes_of(accept), resources)
    sessions.deliver(amf, ue)


def call(amf: Amf, ue: Ue, calls: int = _CALLS) -> None:
    """Call an idle UE, again if need be, unless it is called already."""
    if ue.call is not None or ue.gnb is not None:
        return
    if calls == _CALLS:
        amf.counts["calls"] += 1
    page(amf, ue)

    def due() -> None:
        ue.call = None
        if calls > 1:
            call(amf, ue, calls - 1)
            return
        amf.counts["calls_unanswered"] += 1
        ue.wanted.clear()
        ue.pending.clear()

    ue.call = asyncio.get_running_loop().call_later(_BETWEEN, due)


def page(amf: Amf, ue: Ue) -> int:
    """Call an idle UE in its registration area; return how many gNBs do (TS 38.413, 8.5.1)."""
    if ue.guti is None or ue.gnb is not None:
        return 0
    areas = [{"tAI": values.area_value(one)} for one in sorted(amf.config.areas)][:16]
    ies = {"UEPagingIdentity": ("fiveG-S-TMSI", values.temporary_value(ue.guti.short)), "TAIListForPaging": areas}
    wanted = [gnb for gnb in amf.gnbs if amf.config.areas & gnb.areas.keys()]
    for gnb in wanted:
        gnb.send("Paging", ies)
    return len(wanted)
