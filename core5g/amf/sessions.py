"""PDU sessions, between UEs, gNBs and an SMF (3GPP TS 23.502, 4.3; TS 24.501, 5.4.5; TS 38.413, 8.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from core5g.amf import context, service
from core5g.amf.causes import Cause
from core5g.amf.lookup import ue_of
from core5g.amf.ue import Held
from core5g.nas.mobility import SESSION_CONTAINER, DownlinkTransport, UplinkTransport
from core5g.smf.base import Action, Answer, Request, Transfer

if TYPE_CHECKING:
    from core5g.amf.amf import Amf
    from core5g.amf.gnb import Gnb
    from core5g.amf.ue import Ue

_INITIAL = 1
"""Request type of a new session (TS 24.501, 9.11.3.47)."""


async def forward(amf: Amf, ue: Ue, message: UplinkTransport) -> None:
    """Take a UE's message for the SMF; what cannot be forwarded goes back."""
    number = message.session
    if amf.smf is None or number is None or message.kind != SESSION_CONTAINER:
        _back(amf, ue, message, Cause.NOT_FORWARDED)
    elif message.request == _INITIAL:
        await _create(amf, ue, number, message)
    elif number in ue.sessions:
        act(amf, ue, number, await amf.smf.message((ue.imsi, number), message.container))
    else:
        _back(amf, ue, message, Cause.NOT_FORWARDED)


def _back(amf: Amf, ue: Ue, message: UplinkTransport, cause: Cause) -> None:
    amf.counts["not_forwarded"] += 1
    reply = DownlinkTransport(
        container=message.container, kind=message.kind, session=message.session, cause=cause.value
    )  # fmt: skip
    ue.send(reply)


async def _create(amf: Amf, ue: Ue, number: int, message: UplinkTransport) -> None:
    """Set up a session in a slice and a data network that the UE may use, its defaults where it names none."""
    one = message.slice or next(iter(ue.slices), None)
    subscribed = ue.subscription.of(one) if ue.subscription is not None and one is not None else None
    if one not in ue.slices or one is None or subscribed is None or ue.area is None or amf.smf is None:
        _back(amf, ue, message, Cause.NOT_FORWARDED)
        return
    dnn = message.dnn or next(iter(subscribed.dnns), "")
    may = subscribed.dnns.get(dnn)
    if may is None:
        _back(amf, ue, message, Cause.DNN_NOT_IN_SLICE)
        return
    ue.sessions[number] = Held(one, dnn)
    answer = await amf.smf.create(Request(ue.imsi, number, one, dnn, may, ue.area, message.container))
    if ue.sessions.get(number) is None:  # it left meanwhile
        await amf.smf.drop((ue.imsi, number))
        return
    act(amf, ue, number, answer)


def act(amf: Amf, ue: Ue, number: int, answer: Answer) -> None:
    """Do what an SMF wants done; a UE that is idle is called first."""
    if answer.over:
        ue.sessions.pop(number, None)
    if answer.message is None and answer.action is Action.NONE:
        return
    if ue.gnb is None:
        ue.pending.append((number, answer))
        service.call(amf, ue)
        return
    nas = None
    if answer.message is not None:
        nas = ue.bytes_of(DownlinkTransport(container=answer.message, session=number))
    _send(ue, ue.gnb, number, answer, nas)


def _send(ue: Ue, gnb: Gnb, number: int, answer: Answer, nas: bytes | None) -> None:
    match answer.action:
        case Action.SETUP if number in ue.sessions:
            context.set_up(ue, [(number, ue.sessions[number], answer.transfer, nas)])
        case Action.MODIFY:
            item = {
                "pDUSessionID": number,
                **({} if nas is None else {"nAS-PDU": nas}),
                "pDUSessionResourceModifyRequestTransfer": answer.transfer,
            }
            gnb.about(ue, "PDUSessionResourceModifyRequest", {"PDUSessionResourceModifyListModReq": [item]})
        case Action.RELEASE:
            item = {"pDUSessionID": number, "pDUSessionResourceReleaseCommandTransfer": answer.transfer}
            ies = {"NAS-PDU": nas, "PDUSessionResourceToReleaseListRelCmd": [item]}
            gnb.about(ue, "PDUSessionResourceReleaseCommand", ies)
        case _ if nas is not None:
            gnb.downlink(ue, nas)


def deliver(amf: Amf, ue: Ue) -> None:
    """Tell a UE that is connected now what has waited for it; its resources are what it has asked for since."""
    pending, ue.pending = ue.pending, []
    for number, answer in pending:
        act(amf, ue, number, Answer(answer.message, over=answer.over))


async def resources(amf: Amf, ue: Ue, wanted: Iterable[int]) -> context.Resources:
    """Return what is to be set up at a UE's gNB, of the sessions that are wanted."""
    found: context.Resources = []
    for number in sorted(wanted):
        held = ue.sessions.get(number)
        if held is None or amf.smf is None or ue.area is None:
            continue
        answer = await amf.smf.activate((ue.imsi, number), ue.area)
        if answer.action is Action.SETUP:
            found.append((number, held, answer.transfer))
    return found


def same(amf: Amf, ue: Ue, theirs: frozenset[int] | None) -> None:
    """End the sessions that a UE says it has not (TS 24.501, 5.6.1.4.1)."""
    if theirs is not None:
        drop(amf, ue, [number for number in ue.sessions if number not in theirs])


def drop(amf: Amf, ue: Ue, numbers: Iterable[int]) -> None:
    """Forget sessions; the SMF is told."""
    for number in numbers:
        if ue.sessions.pop(number, None) is not None and amf.smf is not None:
            amf.later(amf.smf.drop((ue.imsi, number)))


def rest(amf: Amf, ue: Ue) -> None:
    """A UE is idle: packets for it wait."""
    for number in ue.sessions:
        if amf.smf is not None:
            amf.later(amf.smf.deactivate((ue.imsi, number)))


def in_context(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB has a UE's context, with its sessions or without."""
    _outcome(amf, ue_of(amf, gnb, ies), ies, "Cxt")


def set_up(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB has resources for sessions, or for some."""
    _outcome(amf, ue_of(amf, gnb, ies), ies, "SU")


def _outcome(amf: Amf, ue: Ue, ies: dict[str, Any], of: str) -> None:
    for one in ies.get(f"PDUSessionResourceSetupList{of}Res", ()):
        amf.later(_made(amf, ue, one["pDUSessionID"], one["pDUSessionResourceSetupResponseTransfer"]))
    for one in ies.get(f"PDUSessionResourceFailedToSetupList{of}Res", ()):
        amf.later(_refused(amf, ue, one["pDUSessionID"]))


async def _made(amf: Amf, ue: Ue, number: int, transfer: Transfer) -> None:
    if number in ue.sessions and amf.smf is not None:
        act(amf, ue, number, await amf.smf.made((ue.imsi, number), transfer))


async def _refused(amf: Amf, ue: Ue, number: int) -> None:
    amf.counts["resources_refused"] += 1
    if number in ue.sessions and amf.smf is not None:
        act(amf, ue, number, await amf.smf.refused((ue.imsi, number)))


def modified(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB has changed sessions, or not; what the UE thinks of it comes by itself."""
    ue_of(amf, gnb, ies)
    amf.counts["modifications_refused"] += len(ies.get("PDUSessionResourceFailedToModifyListModRes", ()))


def released(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB has given resources back."""
    ue_of(amf, gnb, ies)


def notified(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB could not keep sessions."""
    ue = ue_of(amf, gnb, ies)
    for one in ies.get("PDUSessionResourceReleasedListNot", ()):
        if one["pDUSessionID"] in ue.sessions and amf.smf is not None:
            amf.later(amf.smf.deactivate((ue.imsi, one["pDUSessionID"])))
