"""What an SMF and a gNB tell each other through the AMF (3GPP TS 38.413, 9.3.4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core5g.gtpu.tunnel import Tunnel
from core5g.nas.values import Ambr
from core5g.ngap import codec, values
from core5g.smf.base import Transfer
from core5g.smf.session import DEFAULT_FLOW, Flow, Session
from core5g.udm.base import Quality


def setup(session: Session) -> bytes:
    """Return where a gNB sends a session's packets to, and how its flows are to be treated."""
    if session.uplink is None:
        raise ValueError(f"{session}: its UPF has no tunnel for it")
    flows = [_flow(DEFAULT_FLOW, session.quality), *(_extra(one) for one in session.flows.values())]
    ies = {
        "PDUSessionAggregateMaximumBitRate": values.rates_value(session.ambr, "pDUSessionAggregate"),
        "UL-NGU-UP-TNLInformation": _there(session.uplink),
        "PDUSessionType": "ipv4",
        "QosFlowSetupRequestList": flows,
    }
    return codec.encode_value("PDUSessionResourceSetupRequestTransfer", ies)


def modify(session: Session, flows: Iterable[Flow] = (), gone: Iterable[int] = ()) -> bytes:
    """Return what changes at a gNB: the aggregate rate, flows that are added and that are gone."""
    left = [{"qosFlowIdentifier": one, "cause": ("nas", "normal-release")} for one in gone]
    ies = {
        "PDUSessionAggregateMaximumBitRate": values.rates_value(session.ambr, "pDUSessionAggregate"),
        "QosFlowAddOrModifyRequestList": [_extra(one) for one in flows] or None,
        "QosFlowToReleaseList": left or None,
    }
    return codec.encode_value("PDUSessionResourceModifyRequestTransfer", ies)


def release(cause: values.Cause = ("nas", "normal-release")) -> bytes:
    """Return why a gNB is to give a session's resources back."""
    return codec.encode_value("PDUSessionResourceReleaseCommandTransfer", {"cause": cause})


def made(transfer: Transfer) -> Tunnel:
    """Return where a gNB wants a session's packets.

    Raises:
        NgapError: it does not say.
    """
    found = codec.decode_value("PDUSessionResourceSetupResponseTransfer", transfer)
    return _tunnel(found["dLQosFlowPerTNLInformation"]["uPTransportLayerInformation"])


def switched(transfer: Transfer) -> Tunnel:
    """Return where a gNB that a UE came to wants a session's packets; raises as `made`."""
    return _tunnel(codec.decode_value("PathSwitchRequestTransfer", transfer)["dL-NGU-UP-TNLInformation"])


def switch(session: Session) -> bytes:
    """Return what a gNB that a UE came to is told."""
    there = None if session.uplink is None else _there(session.uplink)
    value = {} if there is None else {"uL-NGU-UP-TNLInformation": there}
    return codec.encode_value("PathSwitchRequestAcknowledgeTransfer", value)


def prepared(transfer: Transfer) -> Tunnel:
    """Return where a gNB that a UE is to go to will want a session's packets; raises as `made`."""
    found = codec.decode_value("HandoverRequestAcknowledgeTransfer", transfer)
    return _tunnel(found["dL-NGU-UP-TNLInformation"])


def command() -> bytes:
    """Return what the gNB that a UE leaves is told: packets are not forwarded."""
    return codec.encode_value("HandoverCommandTransfer", {})


def _there(tunnel: Tunnel) -> Any:
    return values.tunnel_value(tunnel.host, tunnel.teid)


def _tunnel(value: Any) -> Tunnel:
    address, teid = values.tunnel_of(value)
    return Tunnel(str(address), teid)


def _flow(number: int, quality: Quality, rates: dict[str, int] | None = None) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "qosCharacteristics": ("nonDynamic5QI", {"fiveQI": quality.identifier}),
        "allocationAndRetentionPriority": {
            "priorityLevelARP": quality.priority,
            "pre-emptionCapability": (
                "may-trigger-pre-emption" if quality.may_preempt else "shall-not-trigger-pre-emption"
            ),
            "pre-emptionVulnerability": "pre-emptable" if quality.preemptable else "not-pre-emptable",
        },
    }
    if rates is not None:
        parameters["gBR-QosInformation"] = rates
    return {"qosFlowIdentifier": number, "qosFlowLevelQosParameters": parameters}


def _extra(flow: Flow) -> dict[str, Any]:
    if flow.guaranteed is None:
        return _flow(flow.number, flow.quality)
    return _flow(flow.number, flow.quality, _rates(flow.guaranteed, flow.most or flow.guaranteed))


def _rates(guaranteed: Ambr, most: Ambr) -> dict[str, int]:
    return {
        "maximumFlowBitRateDL": most.downlink,
        "maximumFlowBitRateUL": most.uplink,
        "guaranteedFlowBitRateDL": guaranteed.downlink,
        "guaranteedFlowBitRateUL": guaranteed.uplink,
    }
