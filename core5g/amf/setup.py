"""What gNBs say about themselves, and the way of NAS messages through them (3GPP TS 38.413, 8.6 and 8.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core5g.amf import registration, release
from core5g.amf.lookup import ue_of
from core5g.nas import security
from core5g.nas.codec import decode_mobility
from core5g.nas.errors import NasError
from core5g.nas.fields import MobilityMessage
from core5g.nas.mobility import DeregistrationRequest, RegistrationRequest, ServiceRequest
from core5g.nas.values import plmn_bytes
from core5g.ngap import values
from core5g.ngap.errors import NgapError

if TYPE_CHECKING:
    from core5g.amf.amf import Amf
    from core5g.amf.gnb import Gnb
    from core5g.amf.ue import Ue

_OPENING = RegistrationRequest | ServiceRequest | DeregistrationRequest


def request(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """NG setup: a gNB says what it has, and hears what this AMF has."""
    areas = {
        values.area_of({"pLMNIdentity": plmn["pLMNIdentity"], "tAC": item["tAC"]}): tuple(
            values.slice_of(one["s-NSSAI"]) for one in plmn["tAISliceSupportList"]
        )
        for item in ies["SupportedTAList"]
        for plmn in item["broadcastPLMNList"]
    }
    cause = _refusal(amf, areas)
    if cause is not None:
        amf.counts["gnbs_refused"] += 1
        gnb.send("NGSetupFailure", {"Cause": cause, "TimeToWait": "v10s"})
        return
    gnb.areas = areas
    gnb.identity = _identity(ies["GlobalRANNodeID"])
    gnb.name = ies.get("RANNodeName") or gnb.association.peer
    for old in [one for one in amf.gnbs if one is not gnb and one.identity == gnb.identity]:
        old.association.close("its gNB called anew")
    gnb.send("NGSetupResponse", _about_us(amf))


def _refusal(amf: Amf, areas: dict[Any, Any]) -> values.Cause | None:
    if not any(area.plmn in amf.config.plmns for area in areas):
        return "misc", "unknown-PLMN-or-SNPN"
    if not amf.config.areas & areas.keys():
        return "misc", "unspecified"
    if not any(set(amf.config.slices).intersection(slices) for slices in areas.values()):
        return "radioNetwork", "slice-not-supported"
    return None


def _identity(value: tuple[str, Any]) -> tuple[str, int, int]:
    kind, body = value
    if kind != "globalGNB-ID":
        raise NgapError(f"{kind}: expected a gNB", "semantic-error")
    number, length = body["gNB-ID"][1]
    return values.plmn_of(body["pLMNIdentity"]), number, length


def _about_us(amf: Amf) -> dict[str, Any]:
    config = amf.config
    slices = values.slices_value(config.slices)
    return {
        "AMFName": config.name,
        "ServedGUAMIList": [{"gUAMI": values.amf_value(config.guti(0)._replace(plmn=plmn))} for plmn in config.plmns],
        "RelativeAMFCapacity": config.capacity,
        "PLMNSupportList": [{"pLMNIdentity": plmn_bytes(plmn), "sliceSupportList": slices} for plmn in config.plmns],
    }


def reset(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB has lost its UEs, or some (8.7.4)."""
    kind, body = ies["ResetType"]
    ues = list(gnb.ues.values()) if kind == "nG-Interface" else list(_meant(amf, gnb, body))
    for ue in ues:
        release.disconnected(amf, ue, f"{gnb} was reset")
    listed = None if kind == "nG-Interface" else body
    gnb.send("NGResetAcknowledge", {"UE-associatedLogicalNG-connectionList": listed})


def _meant(amf: Amf, gnb: Gnb, pairs: list[dict[str, int]]) -> Any:
    for pair in pairs:
        by_number = amf.ues.get(pair.get("aMF-UE-NGAP-ID", -1))
        ue = by_number or gnb.ues.get(pair.get("rAN-UE-NGAP-ID", -1))
        if ue is not None and ue.gnb is gnb:
            yield ue


def error(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A gNB complains; about a UE that it does not know, the connection is gone."""
    amf.counts["complaints"] += 1
    ue = amf.ues.get(ies.get("AMF-UE-NGAP-ID", -1))
    cause = ies.get("Cause", ("", ""))[1]
    if ue is not None and ue.gnb is gnb and cause in ("unknown-local-UE-NGAP-ID", "inconsistent-remote-UE-NGAP-ID"):
        release.disconnected(amf, ue, f"{gnb} does not know it")


def undelivered(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A message that did not reach its UE; who waits for an answer will send it again."""
    ue_of(amf, gnb, ies)
    amf.counts["nas_undelivered"] += 1


def radio_capability(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """What a UE's radio can do, kept for the next gNB."""
    ue_of(amf, gnb, ies).radio = ies["UERadioCapability"]


def uplink(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A NAS message of a connected UE."""
    ue = ue_of(amf, gnb, ies)
    _, ue.area = values.location_of(ies["UserLocationInformation"])
    amf.received(ue, ies["NAS-PDU"])


def initial(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> None:
    """A UE's first message over a new connection."""
    nas = ies["NAS-PDU"]
    try:
        message = decode_mobility(security.inside_of(nas))
    except NasError:
        amf.counts["nas_errors"] += 1
        raise NgapError("the first NAS message of a UE cannot be read", "semantic-error") from None
    if not isinstance(message, _OPENING):
        raise NgapError(f"{type(message).__name__} as a UE's first message", "semantic-error")
    ue, trusted, message = _whose(amf, nas, message)
    _connect(amf, gnb, ue, ies)
    amf.begin(ue, message, trusted)


def _whose(amf: Amf, nas: bytes, message: MobilityMessage) -> tuple[Ue, bool, MobilityMessage]:
    """Find the UE; one that cannot prove to be it is another one for now."""
    identity = message.identity if isinstance(message, _OPENING) else None
    ue = amf.named(identity)
    if ue is None or ue.security is None or security.header_of(nas) == security.PLAIN:
        return amf.new_ue(), False, message
    try:
        inside = ue.security.accept(nas)
    except NasError:
        amf.counts["nas_not_intact"] += 1
        return amf.new_ue(), False, message
    ue.start = ue.security.received - 1
    return ue, True, registration.whole(ue, inside)


def _connect(amf: Amf, gnb: Gnb, ue: Ue, ies: dict[str, Any]) -> None:
    if ue.gnb is not None:  # it has come back before its old connection was known to be gone
        ue.gnb.release(ue, ("radioNetwork", "release-due-to-5gc-generated-reason"))
        release.disconnected(amf, ue, "it came back over another connection")
    ue.gnb, ue.ran = gnb, ies["RAN-UE-NGAP-ID"]
    ue.wants_context = "UEContextRequest" in ies
    if ue.call is not None:
        amf.counts["calls_answered"] += 1
        ue.quiet()
    _, ue.area = values.location_of(ies["UserLocationInformation"])
    gnb.ues[ue.ran] = ue
