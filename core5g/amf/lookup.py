"""Which UE a gNB's message is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core5g.ngap.errors import NgapError

if TYPE_CHECKING:
    from core5g.amf.amf import Amf
    from core5g.amf.gnb import Gnb
    from core5g.amf.ue import Ue


def ue_of(amf: Amf, gnb: Gnb, ies: dict[str, Any]) -> Ue:
    """Return the UE that a gNB's message is about.

    Raises:
        NgapError: there is none (TS 38.413, 10.6).
    """
    ue = amf.ues.get(ies["AMF-UE-NGAP-ID"])
    if ue is None or ue.gnb is not gnb:
        raise NgapError("a UE that is not known", "unknown-local-UE-NGAP-ID", "radioNetwork")
    if ue.ran != ies["RAN-UE-NGAP-ID"]:
        raise NgapError("two numbers of different UEs", "inconsistent-remote-UE-NGAP-ID", "radioNetwork")
    return ue
