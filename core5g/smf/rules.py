"""A PDU session as the rules that its UPF is given (3GPP TS 29.244, 5.2; TS 23.501, 5.8.2)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

from core5g.gtpu.tunnel import Tunnel
from core5g.pfcp.codec import Elements
from core5g.pfcp.values import Fseid, Fteid, OuterHeader, Rates, UeAddress
from core5g.smf.session import DEFAULT_FLOW, Flow, Session

ACCESS, CORE = 0, 1
UP, DOWN = 1, 2
"""Number of the rules of the default flow, and of the actions of all."""
_FORWARD, _WAIT = b"\x02", b"\x0c"
"""Apply Action: forward; keep, and tell the SMF of the first (8.2.26)."""
_SESSION_RATE, _USAGE = 1, 1
_VOLUME = 2
_NO_TRIGGER = b"\x00\x00"
_REMOVE_GTPU = 0
_IPV4 = 1
_OF_DEFAULT, _OF_FLOW = 255, 100
END_MARKER = 2
"""PFCPSMReq-Flags: SNDEM (8.2.33)."""


def establishment(session: Session, node: str) -> Elements:
    """Return what sets a session up at its UPF; the UPF chooses where its gNB sends to."""
    address = ip_address(node)
    return {
        "node_id": address,
        "f_seid": Fseid(session.seid, address),
        "create_pdr": [_uplink(session), _downlink(session, DOWN, DEFAULT_FLOW, _OF_DEFAULT)],
        "create_far": [
            {
                "far_id": UP,
                "apply_action": _FORWARD,
                "forwarding_parameters": {"destination_interface": CORE, "network_instance": session.dnn},
            },
            {"far_id": DOWN, "apply_action": _WAIT},
        ],
        "create_qer": [_rate(_SESSION_RATE, DEFAULT_FLOW, Rates(session.ambr.uplink, session.ambr.downlink))],
        "create_urr": [{"urr_id": [_USAGE], "measurement_method": _VOLUME, "reporting_triggers": _NO_TRIGGER}],
        "pdn_type": _IPV4,
    }


def _uplink(session: Session) -> Elements:
    return {
        "pdr_id": UP,
        "precedence": _OF_DEFAULT,
        "pdi": {
            "source_interface": ACCESS,
            "f_teid": Fteid(choose=1),
            "network_instance": session.dnn,
            "ue_ip_address": UeAddress(session.address),
        },
        "outer_header_removal": _REMOVE_GTPU,
        "far_id": UP,
        "urr_id": [_USAGE],
        "qer_id": [_SESSION_RATE],
    }


def _downlink(session: Session, number: int, rate: int, precedence: int) -> Elements:
    return {
        "pdr_id": number,
        "precedence": precedence,
        "pdi": {
            "source_interface": CORE,
            "network_instance": session.dnn,
            "ue_ip_address": UeAddress(session.address, destination=True),
        },
        "far_id": DOWN,
        "urr_id": [_USAGE],
        "qer_id": [rate],
    }


def _rate(number: int, flow: int, most: Rates | None) -> Elements:
    ies: Elements = {"qer_id": [number], "gate_status": 0, "qfi": flow}
    return ies if most is None else {**ies, "mbr": most}


def forward(session: Session, to: Tunnel, dscp: Mapping[int, int], moved: bool = False) -> Elements:
    """Return what has packets go to a gNB.

    Args:
        dscp: of a 5QI. moved: from another gNB, which is told that no more come.
    """
    there: Elements = {
        "destination_interface": ACCESS,
        "network_instance": session.dnn,
        "outer_header_creation": OuterHeader(to.teid, ip_address(to.host)),
    }
    marking = dscp.get(session.quality.identifier)
    if marking is not None:
        there["transport_level_marking"] = marking << 10 | 0xFC
    if moved:
        there["pfcpsmreq_flags"] = END_MARKER
    return {"update_far": [{"far_id": DOWN, "apply_action": _FORWARD, "update_forwarding_parameters": there}]}


def wait() -> Elements:
    """Return what has packets wait at the UPF."""
    return {"update_far": [{"far_id": DOWN, "apply_action": _WAIT}]}


def query() -> Elements:
    """Return what asks how much has gone through."""
    return {"query_urr": [{"urr_id": [_USAGE]}]}


def rate(session: Session) -> Elements:
    """Return what changes a session's aggregate rate."""
    most = Rates(session.ambr.uplink, session.ambr.downlink)
    return {"update_qer": [{"qer_id": [_SESSION_RATE], "mbr": most}]}


def add(session: Session, flow: Flow) -> Elements:
    """Return what adds a flow: its packets down are found by its filters, before those of the default one."""
    number = _numbered(flow.number)
    found = _downlink(session, number, number, _OF_FLOW + flow.number)
    found["pdi"]["sdf_filter"] = [one.text() for one in flow.filters]
    found["qer_id"] = [number, _SESSION_RATE] if flow.guaranteed is None else [number]
    most = None if flow.most is None else Rates(flow.most.uplink, flow.most.downlink)
    return {"create_pdr": [found], "create_qer": [_rate(number, flow.number, most)]}


def remove(flow: int) -> Elements:
    """Return what removes a flow."""
    number = _numbered(flow)
    return {"remove_pdr": [{"pdr_id": number}], "remove_qer": [{"qer_id": [number]}]}


def _numbered(flow: int) -> int:
    return 10 + flow
