"""Resources of PDU sessions at an emulated gNB (3GPP TS 38.413, 8.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from core5g.gtpu.tunnel import Tunnel
from core5g.ngap import codec, values
from core5g.ngap.errors import NgapError

if TYPE_CHECKING:
    from core5g.ran.gnb import Gnb
    from core5g.ran.ue import Ue


class Opened(NamedTuple):
    """A gNB's end of a session's tunnel: its number there, where packets go to, traffic class by flow."""

    teid: int
    uplink: Tunnel
    tos: dict[int, int]


Item = Mapping[str, Any]
_NO_SESSION: values.Cause = ("radioNetwork", "unknown-PDU-session-ID")


def set_up(gnb: Gnb, ue: Ue, wanted: Iterable[Item], of: str) -> dict[str, Any]:
    """Set sessions up; return what to answer.

    Args:
        wanted: with a transfer and perhaps a NAS message each. of: which lists: `SU`, or `Cxt` with a UE's context.
    """
    made, failed = [], []
    for one in wanted:
        number = one["pDUSessionID"]
        try:
            transfer = _made(gnb, ue, number, one["pDUSessionResourceSetupRequestTransfer"])
            made.append({"pDUSessionID": number, "pDUSessionResourceSetupResponseTransfer": transfer})
        except NgapError as error:
            gnb.counts["resources_refused"] += 1
            why = codec.encode_value("PDUSessionResourceSetupUnsuccessfulTransfer", {"cause": error.cause})
            failed.append({"pDUSessionID": number, "pDUSessionResourceSetupUnsuccessfulTransfer": why})
            continue
        nas = one.get("pDUSessionNAS-PDU", one.get("nAS-PDU"))
        if nas is not None:
            ue.downlink(nas)
    return {
        f"PDUSessionResourceSetupList{of}Res": made or None,
        f"PDUSessionResourceFailedToSetupList{of}Res": failed or None,
    }


def _made(gnb: Gnb, ue: Ue, number: int, transfer: Any) -> bytes:
    uplink, qualities = read(transfer)
    end = prepared(gnb, ue, number, uplink, qualities)
    session = ue.sessions.all[number]
    session.close()
    session.attach(gnb.plane, end)
    there = values.tunnel_value(gnb.plane.address, end.teid)
    answer = {
        "dLQosFlowPerTNLInformation": {
            "uPTransportLayerInformation": there,
            "associatedQosFlowList": [{"qosFlowIdentifier": one} for one in qualities],
        }
    }
    return codec.encode_value("PDUSessionResourceSetupResponseTransfer", answer)


def read(transfer: Any) -> tuple[Tunnel, dict[int, int]]:
    """Return where a session's packets go to, and the 5QI of each of its flows (0 for one that is no standard's).

    Raises:
        NgapError: the transfer does not say.
    """
    found = codec.decode_value("PDUSessionResourceSetupRequestTransfer", transfer)
    flows = {one["qosFlowIdentifier"]: _quality(one) for one in found["QosFlowSetupRequestList"]}
    host, teid = values.tunnel_of(found["UL-NGU-UP-TNLInformation"])
    return Tunnel(str(host), teid), flows


def prepared(gnb: Gnb, ue: Ue, number: int, uplink: Tunnel, qualities: Mapping[int, int]) -> Opened:
    """Have an end of a session's tunnel at a gNB, which packets may come by from here on.

    Raises:
        NgapError: the UE has no such session.
    """
    session = ue.sessions.all.get(number)
    if session is None:
        raise NgapError(f"{ue} has no session {number}", _NO_SESSION[1], _NO_SESSION[0])
    tos = {flow: gnb.config.dscp.get(quality, 0) << 2 for flow, quality in qualities.items()}
    return Opened(gnb.plane.open(session.received), uplink, tos)


def _quality(one: Item) -> int:
    kind, value = one["qosFlowLevelQosParameters"]["qosCharacteristics"]
    return value["fiveQI"] if kind == "nonDynamic5QI" else 0


def modify(ue: Ue, wanted: Iterable[Item]) -> dict[str, Any]:
    """Change sessions; return what to answer."""
    made, failed = [], []
    for one in wanted:
        number = one["pDUSessionID"]
        if number in ue.sessions.all:
            answer = codec.encode_value("PDUSessionResourceModifyResponseTransfer", {})
            made.append({"pDUSessionID": number, "pDUSessionResourceModifyResponseTransfer": answer})
        else:
            why = codec.encode_value("PDUSessionResourceModifyUnsuccessfulTransfer", {"cause": _NO_SESSION})
            failed.append({"pDUSessionID": number, "pDUSessionResourceModifyUnsuccessfulTransfer": why})
        if "nAS-PDU" in one:
            ue.downlink(one["nAS-PDU"])
    return {
        "PDUSessionResourceModifyListModRes": made or None,
        "PDUSessionResourceFailedToModifyListModRes": failed or None,
    }


def release(ue: Ue, wanted: Iterable[Item]) -> dict[str, Any]:
    """Give resources of sessions back; return what to answer."""
    answer = codec.encode_value("PDUSessionResourceReleaseResponseTransfer", {})
    released = []
    for one in wanted:
        session = ue.sessions.all.get(one["pDUSessionID"])
        if session is not None:
            session.close()
        released.append(
            {"pDUSessionID": one["pDUSessionID"], "pDUSessionResourceReleaseResponseTransfer": answer}
        )  # fmt: skip
    return {"PDUSessionResourceReleasedListRelRes": released}
