"""UEs that go from one emulated gNB to another while they are connected (3GPP TS 23.502, 4.9.1; TS 38.413, 8.4).

Two ways: by Xn, gNBs arrange it between them and tell the AMF afterwards; by N2, the AMF arranges it. What gNBs tell
each other in containers that the core does not look into is a reference here: both are of this process.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core5g.nas.values import plmn_bytes
from core5g.ngap import codec, values
from core5g.ngap.errors import NgapError
from core5g.ran import resources
from core5g.ran.errors import NoService
from core5g.ran.resources import Opened

if TYPE_CHECKING:
    from core5g.ran.gnb import Gnb
    from core5g.ran.ue import Ue

PATIENCE = 10.0
"""s: for the core to answer."""
_TO_TARGET = "SourceNGRANNode-ToTargetNGRANNode-TransparentContainer"
_TO_SOURCE = "TargetNGRANNode-ToSourceNGRANNode-TransparentContainer"


@dataclass(slots=True)
class Arrival:
    """A UE that is to come: its number at the gNB, ends of its sessions' tunnels there, its key."""

    ue: Ue
    number: int = 0
    opened: Mapping[int, Opened] | None = None
    key: bytes = b""


async def by_xn(ue: Ue, target: Gnb) -> None:
    """Hand a UE over from gNB to gNB.

    Raises:
        NoService: it has no connection or session, or the core refuses.
    """
    source, number, there = _from(ue, "Xn handover")
    ours = target.adopt(ue, there)
    opened = {
        one.number: resources.prepared(target, ue, one.number, one.uplink, _qualities(ue, one.number))
        for one in ue.sessions.all.values()
        if one.uplink is not None
    }
    request = {
        "RAN-UE-NGAP-ID": ours,
        "SourceAMF-UE-NGAP-ID": there,
        "UserLocationInformation": target.location,
        "UESecurityCapabilities": values.capability_value(ue.config.capability),
        "PDUSessionResourceToBeSwitchedDLList": [_switch(target, one, end) for one, end in opened.items()],
    }
    _arrive(ue, target, Arrival(ue, ours, opened))
    source.lose(number)
    try:
        answer = await _asked(target, ours, "PathSwitchRequest", request)
    except NoService as refused:
        target.lose(ours)
        ue.released("its path was not switched")
        raise NoService(str(ue), "Xn handover", refused.cause) from None
    ue.key = values.key_of(answer["SecurityContext"]["nextHopNH"])


async def by_n2(ue: Ue, target: Gnb) -> None:
    """Hand a UE over by way of the AMF; where that refuses, it stays where it is. Raises as `by_xn`."""
    source, number, _ = _from(ue, "N2 handover")
    reference = secrets.token_bytes(8)
    arrival = target.coming[reference] = Arrival(ue)
    nothing = codec.encode_value("HandoverRequiredTransfer", {})
    active = [one.number for one in ue.sessions.all.values() if one.uplink is not None]
    required = {
        "AMF-UE-NGAP-ID": source.there(number),
        "RAN-UE-NGAP-ID": number,
        "HandoverType": "intra5gs",
        "Cause": ("radioNetwork", "handover-desirable-for-radio-reason"),
        "TargetID": ("targetRANNodeID", _identity(target)),
        "PDUSessionResourceListHORqd": [{"pDUSessionID": one, "handoverRequiredTransfer": nothing} for one in active],
        "SourceToTarget-TransparentContainer": _to_target(target, reference),
    }
    try:
        await _asked(source, number, "HandoverRequired", required)
    except NoService as refused:
        raise NoService(str(ue), "N2 handover", refused.cause) from None
    finally:
        del target.coming[reference]
    _arrive(ue, target, arrival)
    target.about(arrival.number, "HandoverNotify", {"UserLocationInformation": target.location})


def _from(ue: Ue, what: str) -> tuple[Gnb, int, int]:
    """Return where a UE is: gNB, its number there and at the AMF."""
    there = ue.gnb.there(ue.number) if ue.number is not None else None
    if ue.number is None or there is None:
        raise NoService(str(ue), what, "it is not connected")
    if all(one.uplink is None for one in ue.sessions.all.values()):
        raise NoService(str(ue), what, "it has no session that is active")
    return ue.gnb, ue.number, there


async def _asked(gnb: Gnb, number: int, name: str, ies: dict[str, Any]) -> dict[str, Any]:
    waiting = gnb.moves[number] = asyncio.get_running_loop().create_future()
    gnb.send(name, ies, number + 1)
    try:
        async with asyncio.timeout(PATIENCE):
            return await waiting
    except TimeoutError:
        raise NoService(str(gnb), name, f"no answer within {PATIENCE:g} s") from None
    finally:
        del gnb.moves[number]


def _qualities(ue: Ue, number: int) -> dict[int, int]:
    """The 5QI of each flow: gNBs tell each other."""
    return {one.flow: one.quality or 0 for one in ue.sessions.all[number].flows.values()}


def _switch(gnb: Gnb, number: int, end: Opened) -> dict[str, Any]:
    transfer = {
        "dL-NGU-UP-TNLInformation": values.tunnel_value(gnb.plane.address, end.teid),
        "qosFlowAcceptedList": [{"qosFlowIdentifier": flow} for flow in end.tos],
    }
    encoded = codec.encode_value("PathSwitchRequestTransfer", transfer)
    return {"pDUSessionID": number, "pathSwitchRequestTransfer": encoded}


def _arrive(ue: Ue, target: Gnb, arrival: Arrival) -> None:
    for number, end in (arrival.opened or {}).items():
        session = ue.sessions.all.get(number)
        if session is not None:
            session.leave()
            session.attach(target.plane, end)
    ue.come_to(target, arrival.number)
    ue.key = arrival.key or ue.key


def _identity(gnb: Gnb) -> dict[str, Any]:
    return {"globalRANNodeID": gnb.identity, "selectedTAI": values.area_value(gnb.config.area)}


def _to_target(gnb: Gnb, reference: bytes) -> bytes:
    cell = {"pLMNIdentity": plmn_bytes(gnb.config.area.plmn), "nRCellIdentity": (gnb.config.cell, 36)}
    last = {"globalCellID": ("nR-CGI", cell), "cellType": {"cellSize": "medium"}, "timeUEStayedInCell": 1}
    value = {
        "rRCContainer": reference,
        "targetCell-ID": ("nR-CGI", cell),
        "uEHistoryInformation": [{"lastVisitedCellInformation": ("nGRANCell", last)}],
    }
    return codec.encode_value(_TO_TARGET, value)


def asked(gnb: Gnb, ies: dict[str, Any]) -> None:
    """A UE is to come by way of the AMF: have what it needs ready."""
    about = ies["AMF-UE-NGAP-ID"]
    reference = codec.decode_value(_TO_TARGET, ies["SourceToTarget-TransparentContainer"])["rRCContainer"]
    arrival = gnb.coming.get(reference)
    wanted = ies["PDUSessionResourceSetupListHOReq"]
    try:
        if arrival is None:
            raise NgapError("nobody that is to come", "ho-target-not-allowed", "radioNetwork")
        opened = {one["pDUSessionID"]: _opened(gnb, arrival.ue, one) for one in wanted}
    except NgapError as error:
        gnb.send("HandoverFailure", {"AMF-UE-NGAP-ID": about, "Cause": error.cause})
        return
    arrival.opened, arrival.key = opened, values.key_of(ies["SecurityContext"]["nextHopNH"])
    arrival.number = gnb.adopt(arrival.ue, about)
    answer = {
        "PDUSessionResourceAdmittedList": [_admitted(gnb, number, end) for number, end in opened.items()],
        "TargetToSource-TransparentContainer": codec.encode_value(_TO_SOURCE, {"rRCContainer": reference}),
    }
    gnb.about(arrival.number, "HandoverRequestAcknowledge", answer)


def _opened(gnb: Gnb, ue: Ue, one: Mapping[str, Any]) -> Opened:
    uplink, qualities = resources.read(one["handoverRequestTransfer"])
    return resources.prepared(gnb, ue, one["pDUSessionID"], uplink, qualities)


def _admitted(gnb: Gnb, number: int, end: Opened) -> dict[str, Any]:
    transfer = {
        "dL-NGU-UP-TNLInformation": values.tunnel_value(gnb.plane.address, end.teid),
        "qosFlowSetupResponseList": [{"qosFlowIdentifier": flow} for flow in end.tos],
    }
    encoded = codec.encode_value("HandoverRequestAcknowledgeTransfer", transfer)
    return {"pDUSessionID": number, "handoverRequestAcknowledgeTransfer": encoded}


def answered(gnb: Gnb, ies: dict[str, Any]) -> None:
    """The core does what a gNB has asked for."""
    waiting = gnb.moves.get(ies["RAN-UE-NGAP-ID"])
    if waiting is not None and not waiting.done():
        waiting.set_result(ies)


def refused(gnb: Gnb, ies: dict[str, Any]) -> None:
    """The core does not."""
    waiting = gnb.moves.get(ies["RAN-UE-NGAP-ID"])
    if waiting is not None and not waiting.done():
        cause = values.cause_text(ies["Cause"]) if "Cause" in ies else "no session could be switched"
        waiting.set_exception(NoService(str(gnb), "handover", cause))
