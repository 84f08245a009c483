"""How UEs leave: connections that end, deregistration (3GPP TS 23.502, 4.2.6 and 4.2.2.3; TS 38.413, 8.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core5g.amf import handover, sessions
from core5g.amf.lookup import ue_of
from core5g.nas.mobility import SWITCH_OFF, DeregistrationAccept, DeregistrationRequest
from core5g.ngap.values import Cause

if TYPE_CHECKING:
    from core5g.amf.amf import Amf
    from core5g.amf.gnb import Gnb
    from core5g.amf.ue import Ue


def disconnected(amf: Amf, ue: Ue, reason: str) -> None:
    """A UE's connection is gone; registered ones are idle from here on, others are forgotten."""
    if ue.gnb is not None and ue.gnb.ues.get(ue.ran) is ue:
        del ue.gnb.ues[ue.ran]
    ue.left(reason)
    handover.abandon(amf, ue)
    if ue.registered:
        sessions.rest(amf, ue)
    else:
        amf.remove(ue)


def let_go(amf: Amf, ue: Ue, cause: Cause) -> None:
    """Have a UE's connection released; the gNB's answer ends it."""
    if ue.gnb is None:
        disconnected(amf, ue, "it had no connection")
    else:
        ue.gnb.release(ue, cause)


def requested(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB does not need a connection any more, or has lost the UE."""
    let_go(amf, ue_of(amf, gnb, ies), ies["Cause"])


def complete(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB has released what it was told to."""
    ue = amf.ues.get(ies["AMF-UE-NGAP-ID"])
    if ue is not None and ue.gnb is gnb and ue.ran == ies["RAN-UE-NGAP-ID"]:
        disconnected(amf, ue, "it was released")


def context_failed(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB has no room for a UE."""
    amf.counts["contexts_refused"] += 1
    disconnected(amf, ue_of(amf, gnb, ies), f"{gnb} has no room for it: {ies['Cause'][1]}")


def deregister(amf: Amf, ue: Ue, request: DeregistrationRequest, trusted: bool) -> None:
    """A UE leaves. One that cannot prove who it is changes nothing of who it says it is (TS 24.501, 4.4.4.3)."""
    if trusted:
        amf.counts["deregistrations"] += 1
        if ue.procedure is not None:
            ue.procedure.cancel()
        ue.registered = False
        sessions.drop(amf, ue, tuple(ue.sessions))
    if not request.kind & SWITCH_OFF:
        ue.send(DeregistrationAccept())
    let_go(amf, ue, ("nas", "deregister"))


def void(amf: Amf, ue: Ue) -> None:
    """Forget what was agreed with a UE that begins anew over its connection; it stays connected."""
    if ue.registered:
        amf.remove(ue)
        amf.ues[ue.number] = ue
    ue.registered, ue.security, ue.guti = False, None, None


def replaced(amf: Amf, before: Ue) -> None:
    """A subscriber has registered anew, without its old keys: what was known of it is void."""
    before.registered = False
    if before.procedure is not None:
        before.procedure.cancel()
    let_go(amf, before, ("nas", "normal-release"))
