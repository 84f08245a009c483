"""UEs that go from gNB to gNB while they are connected (3GPP TS 23.502, 4.9.1; TS 38.413, 8.4; TS 33.501, 6.9.2)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core5g.amf import context
from core5g.amf.lookup import ue_of
from core5g.ngap import codec, values
from core5g.ngap.errors import NgapError
from core5g.security import keys

if TYPE_CHECKING:
    from core5g.amf.amf import Amf
    from core5g.amf.gnb import Gnb
    from core5g.amf.ue import Ue

_CHAIN = 8
"""Values of the next hop chaining counter."""
_PREPARATION = 5.0
"""s: for the other gNB to answer."""


@dataclass(slots=True)
class Handover:
    """A handover by way of the AMF.

    Attributes:
        target: gNB that the UE is to go to. ran: its number there, None until that has answered.
        answer: of the target. sessions: that it has resources for.
    """

    target: Gnb
    answer: asyncio.Future[dict[str, Any]]
    ran: int | None = None
    sessions: set[int] = field(default_factory=set)


def path_switch(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A UE has come to a gNB from another, which gave it over by itself (Xn)."""
    ue = amf.ues.get(ies["SourceAMF-UE-NGAP-ID"])
    if ue is None or ue.gnb is None or ue.security is None or not ue.registered:
        raise NgapError("a UE that is not known", "unknown-local-UE-NGAP-ID", "radioNetwork")
    amf.later(_switch(amf, ue, gnb, ies))


async def _switch(amf: Amf, ue: Ue, gnb: Gnb, ies: dict[str, Any]) -> None:
    asked = {one["pDUSessionID"]: one["pathSwitchRequestTransfer"] for one in
             ies["PDUSessionResourceToBeSwitchedDLList"]}  # fmt: skip
    moved = {number: await _switched(amf, ue, number, transfer) for number, transfer in asked.items()}
    lost = [number for number, answer in moved.items() if answer is None]
    if len(lost) == len(moved):
        amf.counts["path_switches_refused"] += 1
        _refuse(gnb, ue, ies["RAN-UE-NGAP-ID"], lost)
        return
    _come(amf, ue, gnb, ies["RAN-UE-NGAP-ID"], ies["UserLocationInformation"])
    for number in ue.sessions.keys() - moved.keys():
        if amf.smf is not None:
            await amf.smf.deactivate((ue.imsi, number))
    amf.counts["path_switches"] += 1
    switched = [{"pDUSessionID": number, "pathSwitchRequestAcknowledgeTransfer": answer}
                for number, answer in moved.items() if answer is not None]  # fmt: skip
    gone = [_lost(number, "PathSwitchRequest") for number in lost]
    acknowledge = {
        "UESecurityCapabilities": values.capability_value(ue.capability) if ue.capability is not None else None,
        "SecurityContext": _next_hop(ue),
        "PDUSessionResourceSwitchedList": switched,
        "PDUSessionResourceReleasedListPSAck": gone or None,
        "AllowedNSSAI": values.slices_value(ue.slices),
    }
    gnb.about(ue, "PathSwitchRequestAcknowledge", acknowledge)


async def _switched(amf: Amf, ue: Ue, number: int, transfer: Any) -> bytes | None:
    if number not in ue.sessions or amf.smf is None:
        return None
    return await amf.smf.switched((ue.imsi, number), transfer)


def _refuse(gnb: Gnb, ue: Ue, ran: int, lost: list[int]) -> None:
    gone = [_lost(number, "PathSwitchRequest") for number in lost]
    ies = {"AMF-UE-NGAP-ID": ue.number, "RAN-UE-NGAP-ID": ran, "PDUSessionResourceReleasedListPSFail": gone}
    gnb.send("PathSwitchRequestFailure", ies, ran + 1)


def _lost(number: int, of: str) -> dict[str, Any]:
    """A session that does not come along, as `of`UnsuccessfulTransfer of a list says it."""
    cause = {"cause": ("radioNetwork", "unknown-PDU-session-ID")}
    name = f"{of}UnsuccessfulTransfer"
    return {"pDUSessionID": number, name[0].lower() + name[1:]: codec.encode_value(name, cause)}


def _come(amf: Amf, ue: Ue, gnb: Gnb, ran: int, location: Any) -> None:
    if ue.gnb is not None and ue.gnb.ues.get(ue.ran) is ue:
        del ue.gnb.ues[ue.ran]
    ue.gnb, ue.ran = gnb, ran
    gnb.ues[ran] = ue
    _, ue.area = values.location_of(location)


def _next_hop(ue: Ue) -> dict[str, Any]:
    """Return a key that the gNB before does not know (TS 33.501, 6.9.2.1.1)."""
    count, key = ue.hop
    if ue.security is None:
        raise NgapError("a UE without keys", "unspecified")
    ue.hop = (count + 1) % _CHAIN, keys.next_hop(ue.security.key, key)
    return {"nextHopChainingCount": ue.hop[0], "nextHopNH": values.key_value(ue.hop[1])}


def required(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB wants to give a UE to another, and needs the AMF for it (N2)."""
    ue = ue_of(amf, gnb, ies)
    if ue.handover is None and ue.registered:
        amf.later(_hand_over(amf, ue, gnb, ies))
    else:
        _unprepared(gnb, ue, ("radioNetwork", "ho-failure-in-target-5GC-ngran-node-or-target-system"))


async def _hand_over(amf: Amf, ue: Ue, source: Gnb, ies: dict[str, Any]) -> None:
    amf.counts["handovers_requested"] += 1
    target = _target(amf, ies["TargetID"])
    if target is None:
        _unprepared(source, ue, ("radioNetwork", "unknown-targetID"))
        return
    numbers = [one["pDUSessionID"] for one in ies["PDUSessionResourceListHORqd"]]
    handover = ue.handover = Handover(target, asyncio.get_running_loop().create_future())
    try:
        async with asyncio.timeout(_PREPARATION):
            await _ask(amf, ue, handover, numbers, ies)
            answer = await handover.answer
    except (TimeoutError, NgapError) as error:
        amf.counts["handovers_refused"] += 1
        abandon(amf, ue)
        cause = error.cause if isinstance(error, NgapError) else ("radioNetwork", "tngrelocprep-expiry")
        if ue.gnb is source:
            _unprepared(source, ue, cause)
        return
    if ue.gnb is source and ue.handover is handover:
        await _command(amf, ue, source, numbers, answer)


def _target(amf: Amf, value: tuple[str, Any]) -> Gnb | None:
    if value[0] != "targetRANNodeID" or value[1]["globalRANNodeID"][0] != "globalGNB-ID":
        return None
    body = value[1]["globalRANNodeID"][1]
    identity = (values.plmn_of(body["pLMNIdentity"]), *body["gNB-ID"][1])
    return next((one for one in amf.gnbs if one.identity == identity), None)


async def _ask(amf: Amf, ue: Ue, handover: Handover, numbers: list[int], ies: dict[str, Any]) -> None:
    """Have the other gNB set up what the UE has."""
    listed = []
    for number in numbers:
        held = ue.sessions.get(number)
        transfer = await amf.smf.prepare((ue.imsi, number)) if amf.smf is not None and held is not None else None
        if held is not None and transfer is not None:
            item = {
                "pDUSessionID": number,
                "s-NSSAI": values.slice_value(held.slice),
                "handoverRequestTransfer": transfer,
            }
            listed.append(item)
    if not listed or ue.guti is None or ue.capability is None:
        raise NgapError("no session to hand over", "no-radio-resources-available-in-target-cell", "radioNetwork")
    request = {
        "AMF-UE-NGAP-ID": ue.number,
        "HandoverType": ies["HandoverType"],
        "Cause": ies["Cause"],
        "UEAggregateMaximumBitRate": context.rates(ue),
        "UESecurityCapabilities": values.capability_value(ue.capability),
        "SecurityContext": _next_hop(ue),
        "PDUSessionResourceSetupListHOReq": listed,
        "AllowedNSSAI": values.slices_value(ue.slices),
        "SourceToTarget-TransparentContainer": ies["SourceToTarget-TransparentContainer"],
        "GUAMI": values.amf_value(ue.guti),
    }
    handover.target.send("HandoverRequest", request, ue.number + 1)


def _moving(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> tuple[Ue, Handover]:
    ue = amf.ues.get(ies["AMF-UE-NGAP-ID"])
    if ue is None or ue.handover is None or ue.handover.target is not gnb:
        raise NgapError("a UE that is not to come here", "unknown-local-UE-NGAP-ID", "radioNetwork")
    return ue, ue.handover


def acknowledged(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """The other gNB is ready."""
    _, handover = _moving(amf, gnb, ies)
    handover.ran = ies["RAN-UE-NGAP-ID"]
    if not handover.answer.done():
        handover.answer.set_result(ies)


def failed(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """The other gNB cannot take the UE."""
    _, handover = _moving(amf, gnb, ies)
    if not handover.answer.done():
        group, value = ies["Cause"]
        handover.answer.set_exception(NgapError(f"{gnb} cannot take it", value, group))


async def _command(amf: Amf, ue: Ue, source: Gnb, numbers: list[int], answer: dict[str, Any]) -> None:
    """Have the gNB send the UE away."""
    handover = ue.handover
    listed = []
    for one in answer["PDUSessionResourceAdmittedList"]:
        number, transfer = one["pDUSessionID"], one["handoverRequestAcknowledgeTransfer"]
        told = await amf.smf.prepared((ue.imsi, number), transfer) if amf.smf is not None else None
        if told is not None and handover is not None:
            handover.sessions.add(number)
            listed.append({"pDUSessionID": number, "handoverCommandTransfer": told})
    lost = [_lost(number, "HandoverPreparation")
            for number in numbers if handover is not None and number not in handover.sessions]  # fmt: skip
    command = {
        "HandoverType": "intra5gs",
        "PDUSessionResourceHandoverList": listed or None,
        "PDUSessionResourceToReleaseListHOCmd": lost or None,
        "TargetToSource-TransparentContainer": answer["TargetToSource-TransparentContainer"],
    }
    source.about(ue, "HandoverCommand", command)


def arrived(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """The UE has come."""
    ue, handover = _moving(amf, gnb, ies)
    source, before = ue.gnb, ue.ran
    if source is not None:
        pair = ("uE-NGAP-ID-pair", {"aMF-UE-NGAP-ID": ue.number, "rAN-UE-NGAP-ID": before})
        cause = ("radioNetwork", "successful-handover")
        source.send("UEContextReleaseCommand", {"UE-NGAP-IDs": pair, "Cause": cause}, before + 1)
    _come(amf, ue, gnb, ies["RAN-UE-NGAP-ID"], ies["UserLocationInformation"])
    ue.handover = None
    amf.counts["handovers"] += 1
    for number in tuple(ue.sessions):
        amf.later(_arrived(amf, ue, number, number in handover.sessions))


async def _arrived(amf: Amf, ue: Ue, number: int, there: bool) -> None:
    if amf.smf is not None:
        if there:
            await amf.smf.handed_over((ue.imsi, number), arrived=True)
        else:
            await amf.smf.deactivate((ue.imsi, number))


def cancelled(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """The gNB that the UE was to leave keeps it."""
    ue = ue_of(amf, gnb, ies)
    abandon(amf, ue)
    gnb.about(ue, "HandoverCancelAcknowledge")


def abandon(amf: Amf, ue: Ue) -> None:
    """A handover will not be; who has prepared for it is told."""
    handover, ue.handover = ue.handover, None
    if handover is None:
        return
    if not handover.answer.done():
        handover.answer.cancel()
    if handover.ran is not None:
        pair = ("uE-NGAP-ID-pair", {"aMF-UE-NGAP-ID": ue.number, "rAN-UE-NGAP-ID": handover.ran})
        cause = ("radioNetwork", "handover-cancelled")
        handover.target.send("UEContextReleaseCommand", {"UE-NGAP-IDs": pair, "Cause": cause}, handover.ran + 1)
    for number in handover.sessions:
        if amf.smf is not None:
            amf.later(amf.smf.handed_over((ue.imsi, number), arrived=False))


def status(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """What the gNB that a UE leaves tells the next of the packets that were under way."""
    ue = ue_of(amf, gnb, ies)
    handover = ue.handover
    if handover is None or handover.ran is None:
        return
    name = "RANStatusTransfer-TransparentContainer"
    about = {"AMF-UE-NGAP-ID": ue.number, "RAN-UE-NGAP-ID": handover.ran, name: ies[name]}
    handover.target.send("DownlinkRANStatusTransfer", about, handover.ran + 1)


def _unprepared(gnb: Gnb, ue: Ue, cause: values.Cause) -> None:
    gnb.about(ue, "HandoverPreparationFailure", {"Cause": cause})
