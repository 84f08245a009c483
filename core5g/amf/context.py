"""A UE's context at its gNB: keys and slices (3GPP TS 38.413, 8.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core5g.amf.ue import Held
from core5g.ngap import values
from core5g.security import keys

if TYPE_CHECKING:
    from core5g.amf.ue import Ue


Resources = list[tuple[int, Held, bytes]]
"""PDU sessions to set up at a gNB: identity, what the AMF knows, what the SMF wants told."""


def send(ue: Ue, nas: bytes, resources: Resources | None = None) -> None:
    """Send a NAS message, together with the context where the gNB has asked for one and has none yet."""
    gnb, security, guti = ue.gnb, ue.security, ue.guti
    if gnb is None:
        return
    if not ue.wants_context or security is None or guti is None or ue.capability is None:
        gnb.downlink(ue, nas)
        if resources:
            set_up(ue, [(*each, None) for each in resources])
        return
    ue.wants_context = False
    key = keys.k_gnb(security.key, ue.start)
    ue.hop = 0, key
    listed = [_item(*each) for each in resources or ()]
    ies = {
        "UEAggregateMaximumBitRate": rates(ue) if listed else None,
        "GUAMI": values.amf_value(guti),
        "PDUSessionResourceSetupListCxtReq": listed or None,
        "AllowedNSSAI": values.slices_value(ue.slices),
        "UESecurityCapabilities": values.capability_value(ue.capability),
        "SecurityKey": values.key_value(key),
        "UERadioCapability": ue.radio,
        "NAS-PDU": nas,
    }
    gnb.about(ue, "InitialContextSetupRequest", ies)


def rates(ue: Ue) -> dict[str, int] | None:
    """Return a UE's aggregate rate, as gNBs are told it."""
    return values.rates_value(ue.subscription.ambr) if ue.subscription is not None else None


def set_up(ue: Ue, sessions: list[tuple[int, Held, bytes, bytes | None]]) -> None:
    """Have a gNB that has a UE's context set up sessions, each with a NAS message or none (8.2.1)."""
    listed = [
        {
            "pDUSessionID": number,
            **({} if nas is None else {"pDUSessionNAS-PDU": nas}),
            "s-NSSAI": values.slice_value(held.slice),
            "pDUSessionResourceSetupRequestTransfer": transfer,
        }
        for number, held, transfer, nas in sessions
    ]
    if ue.gnb is not None:
        ies = {"PDUSessionResourceSetupListSUReq": listed, "UEAggregateMaximumBitRate": rates(ue)}
        ue.gnb.about(ue, "PDUSessionResourceSetupRequest", ies)


def _item(number: int, held: Held, transfer: bytes) -> dict[str, Any]:
    return {
        "pDUSessionID": number,
        "s-NSSAI": values.slice_value(held.slice),
        "pDUSessionResourceSetupRequestTransfer": transfer,
    }
