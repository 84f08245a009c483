"""A gNB as its AMF knows it: what it has, and the UEs that are connected by it (3GPP TS 38.413, 8.3, 8.6, 8.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core5g.nas.values import Snssai, Tai
from core5g.ngap import codec, values
from core5g.ngap.transport import Association

if TYPE_CHECKING:
    from core5g.amf.ue import Ue


class Gnb:
    """A gNB that has called.

    Attributes:
        name: as it calls itself, its address before it has. identity: of its setup request, None before.
        areas: tracking areas with the slices it has there. ues: connected ones by their numbers at the gNB.
    """

    def __init__(self, association: Association) -> None:
        self.association = association
        self.name = association.peer
        self.identity: tuple[str, int, int] | None = None
        self.areas: dict[Tai, tuple[Snssai, ...]] = {}
        self.ues: dict[int, Ue] = {}

    def __str__(self) -> str:
        return self.name

    def send(self, name: str, ies: dict[str, Any], about: int = 0) -> None:
        """Send a message.

        Args:
            about: number of the UE that it is about.
        """
        self.association.send(codec.encode(name, ies), about)

    def about(self, ue: Ue, name: str, ies: dict[str, Any] | None = None) -> None:
        """Send a message about a UE."""
        self.send(name, {"AMF-UE-NGAP-ID": ue.number, "RAN-UE-NGAP-ID": ue.ran, **(ies or {})}, ue.ran + 1)

    def downlink(self, ue: Ue, nas: bytes) -> None:
        """Send a NAS message to a UE."""
        self.about(ue, "DownlinkNASTransport", {"NAS-PDU": nas})

    def release(self, ue: Ue, cause: values.Cause) -> None:
        """Have a UE's connection released."""
        pair = ("uE-NGAP-ID-pair", {"aMF-UE-NGAP-ID": ue.number, "rAN-UE-NGAP-ID": ue.ran})
        self.send("UEContextReleaseCommand", {"UE-NGAP-IDs": pair, "Cause": cause}, ue.ran + 1)

    def complain(self, cause: values.Cause, ies: dict[str, Any] | None = None) -> None:
        """Say what was wrong with a message of this gNB (8.7.5)."""
        known = ("AMF-UE-NGAP-ID", "RAN-UE-NGAP-ID")
        ids = {name: value for name, value in (ies or {}).items() if name in known}
        self.send("ErrorIndication", {**ids, "Cause": cause})
