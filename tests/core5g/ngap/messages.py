"""Messages that a core and a gNB exchange, one of each, with the elements they must have."""

from __future__ import annotations

from typing import Any

from core5g.nas.values import Ambr, Capability, Guti, Snssai, STmsi, Tai
from core5g.ngap import values
from core5g.ngap.codec import encode_value

PLMN = b"\x00\xf1\x10"
AREA = Tai("00101", 7)
NAS = b"\x7e\0\x43"
UE: dict[str, Any] = {"AMF-UE-NGAP-ID": 2**40 - 1, "RAN-UE-NGAP-ID": 2**32 - 1}
CAUSE = ("radioNetwork", "unspecified")
GUTI = Guti("00101", 2, 1, 0, 0xC0000001)
PLACE = values.location_value(0x10, AREA)
GNB = ("globalGNB-ID", {"pLMNIdentity": PLMN, "gNB-ID": ("gNB-ID", (5, 24))})
SLICE = values.slice_value(Snssai(1, 0x010203))
TUNNEL = values.tunnel_value("10.0.0.9", 7)
SECURITY = {
    "UESecurityCapabilities": values.capability_value(Capability(0xE0, 0xE0)),
}

TRANSFERS: dict[str, Any] = {
    "PDUSessionResourceSetupRequestTransfer": {
        "UL-NGU-UP-TNLInformation": TUNNEL,
        "PDUSessionType": "ipv4",
        "QosFlowSetupRequestList": [
            {
                "qosFlowIdentifier": 1,
                "qosFlowLevelQosParameters": {
                    "qosCharacteristics": ("nonDynamic5QI", {"fiveQI": 9}),
                    "allocationAndRetentionPriority": {
                        "priorityLevelARP": 8,
                        "pre-emptionCapability": "shall-not-trigger-pre-emption",
                        "pre-emptionVulnerability": "not-pre-emptable",
                    },
                },
            }
        ],
    },
    "PDUSessionResourceSetupResponseTransfer": {
        "dLQosFlowPerTNLInformation": {
            "uPTransportLayerInformation": TUNNEL,
            "associatedQosFlowList": [{"qosFlowIdentifier": 1}],
        }
    },
    "PDUSessionResourceReleaseCommandTransfer": {"cause": CAUSE},
    "PDUSessionResourceReleaseResponseTransfer": {},
    "PathSwitchRequestTransfer": {
        "dL-NGU-UP-TNLInformation": TUNNEL,
        "qosFlowAcceptedList": [{"qosFlowIdentifier": 1}],
    },
    "HandoverRequiredTransfer": {},
}
_SETUP = encode_value("PDUSessionResourceSetupRequestTransfer", TRANSFERS["PDUSessionResourceSetupRequestTransfer"])
_DONE = encode_value("PDUSessionResourceSetupResponseTransfer", TRANSFERS["PDUSessionResourceSetupResponseTransfer"])
_RELEASE = encode_value("PDUSessionResourceReleaseCommandTransfer", {"cause": CAUSE})

MESSAGES: dict[str, dict[str, Any]] = {
    "NGSetupRequest": {
        "GlobalRANNodeID": GNB,
        "SupportedTAList": [
            {
                "tAC": b"\0\0\7",
                "broadcastPLMNList": [{"pLMNIdentity": PLMN, "tAISliceSupportList": [{"s-NSSAI": SLICE}]}],
            }
        ],
        "DefaultPagingDRX": "v128",
    },
    "NGSetupResponse": {
        "AMFName": "amf",
        "ServedGUAMIList": [{"gUAMI": values.amf_value(GUTI)}],
        "RelativeAMFCapacity": 255,
        "PLMNSupportList": [{"pLMNIdentity": PLMN, "sliceSupportList": [{"s-NSSAI": SLICE}]}],
    },
    "NGSetupFailure": {"Cause": ("misc", "unknown-PLMN-or-SNPN"), "TimeToWait": "v5s"},
    "InitialUEMessage": {
        "RAN-UE-NGAP-ID": 1,
        "NAS-PDU": NAS,
        "UserLocationInformation": PLACE,
        "RRCEstablishmentCause": "mo-Signalling",
        "FiveG-S-TMSI": values.temporary_value(STmsi(1, 0, 5)),
    },
    "DownlinkNASTransport": UE | {"NAS-PDU": NAS},
    "UplinkNASTransport": UE | {"NAS-PDU": NAS, "UserLocationInformation": PLACE},
    "InitialContextSetupRequest": UE
    | SECURITY
    | {
        "GUAMI": values.amf_value(GUTI),
        "AllowedNSSAI": values.slices_value([Snssai(1)]),
        "SecurityKey": values.key_value(bytes(range(32))),
        "UEAggregateMaximumBitRate": values.rates_value(Ambr(10**9, 10**8)),
        "NAS-PDU": NAS,
    },
    "InitialContextSetupResponse": UE,
    "InitialContextSetupFailure": UE | {"Cause": CAUSE},
    "UEContextReleaseRequest": UE | {"Cause": CAUSE},
    "UEContextReleaseCommand": {
        "UE-NGAP-IDs": ("uE-NGAP-ID-pair", {"aMF-UE-NGAP-ID": 1, "rAN-UE-NGAP-ID": 2}),
        "Cause": ("nas", "normal-release"),
    },
    "UEContextReleaseComplete": UE,
    "PDUSessionResourceSetupRequest": UE
    | {
        "PDUSessionResourceSetupListSUReq": [
            {"pDUSessionID": 5, "s-NSSAI": SLICE, "pDUSessionResourceSetupRequestTransfer": _SETUP}
        ]
    },
    "PDUSessionResourceSetupResponse": UE
    | {
        "PDUSessionResourceSetupListSURes": [
            {"pDUSessionID": 5, "pDUSessionResourceSetupResponseTransfer": _DONE}
        ]
    },
    "PDUSessionResourceReleaseCommand": UE
    | {
        "PDUSessionResourceToReleaseListRelCmd": [
            {"pDUSessionID": 5, "pDUSessionResourceReleaseCommandTransfer": _RELEASE}
        ]
    },
    "Paging": {
        "UEPagingIdentity": ("fiveG-S-TMSI", values.temporary_value(STmsi(1, 0, 5))),
        "TAIListForPaging": [{"tAI": values.area_value(AREA)}],
    },
    "HandoverNotify": UE | {"UserLocationInformation": PLACE},
    "NGReset": {"Cause": CAUSE, "ResetType": ("nG-Interface", "reset-all")},
    "NGResetAcknowledge": {},
    "ErrorIndication": {"Cause": ("protocol", "transfer-syntax-error")},
}  # fmt: skip
