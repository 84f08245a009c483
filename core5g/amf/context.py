"""A UE's context at its gNB: keys and slices (3GPP TS 38.413, 8.3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core5g.ngap import values
from core5g.security import keys

if TYPE_CHECKING:
    from core5g.amf.ue import Ue


def send(ue: Ue, nas: bytes) -> None:
    """Send a NAS message, together with the context where the gNB has asked for one and has none yet."""
    gnb, security, guti = ue.gnb, ue.security, ue.guti
    if gnb is None:
        return
    if not ue.wants_context or security is None or guti is None or ue.capability is None:
        gnb.downlink(ue, nas)
        return
    ue.wants_context = False
    ambr = ue.subscription.ambr if ue.subscription is not None else None
    ies = {
        "UEAggregateMaximumBitRate": values.rates_value(ambr) if ambr is not None else None,
        "GUAMI": values.amf_value(guti),
        "AllowedNSSAI": values.slices_value(ue.slices),
        "UESecurityCapabilities": values.capability_value(ue.capability),
        "SecurityKey": values.key_value(keys.k_gnb(security.key, ue.start)),
        "UERadioCapability": ue.radio,
        "NAS-PDU": nas,
    }
    gnb.about(ue, "InitialContextSetupRequest", ies)
