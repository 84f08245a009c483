"""An emulated gNB (3GPP TS 38.413): one association with an AMF, any number of UEs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from core5g.nas.values import STmsi, plmn_bytes
from core5g.ngap import codec, values
from core5g.ngap.errors import NgapError
from core5g.ngap.transport import Association, connect
from core5g.ran import handover, resources
from core5g.ran.config import GnbConfig
from core5g.ran.errors import NoService
from core5g.ran.plane import NoPlane, Plane

if TYPE_CHECKING:
    from core5g.ran.handover import Arrival
    from core5g.ran.ue import Ue

_SETUP = 10.0
"""s: for an AMF to answer."""


class Gnb:
    """A gNB.

    Attributes:
        plane: where its tunnels end. amf: name of its AMF, empty before setup.
        ues: connected ones by their numbers here. coming: those that are to come, by what names them on the way.
        moves: questions about UEs that come or go, by number. location: of its cell, as N2 has it.
        camping: all UEs of its cell by their temporary identities, for paging. counts: what happened, by name.
    """

    def __init__(self, config: GnbConfig, plane: Plane | None = None) -> None:
        self.config = config
        self.plane: Plane = plane or NoPlane()
        self.amf = ""
        self.ues: dict[int, Ue] = {}
        self.camping: dict[STmsi, Ue] = {}
        self.coming: dict[bytes, Arrival] = {}
        self.moves: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.counts: Counter[str] = Counter()
        self._numbers: dict[int, int] = {}
        self._last = 0
        self._association: Association | None = None
        self._setup: asyncio.Future[dict[str, Any]] | None = None
        self.location = values.location_value(config.cell, config.area)

    def __str__(self) -> str:
        return self.config.name

    async def start(self, address: str, source: str | None = None) -> None:
        """Call an AMF and set up N2.

        Raises:
            Unable, NoSctp, BadInput: as `transport.connect`. NoService: it refuses, or does not answer.
        """
        association = await connect(address, source)
        association.take, association.lost = self._take, self._lost
        self._association = association
        setup = self._setup = asyncio.get_running_loop().create_future()
        self.send("NGSetupRequest", self._about_us())
        try:
            async with asyncio.timeout(_SETUP):
                self.amf = (await setup)["AMFName"]
        except TimeoutError:
            self.stop()
            raise NoService(self.config.name, "NG setup", f"no answer within {_SETUP:g} s") from None

    def stop(self) -> None:
        """Hang up."""
        if self._association is not None:
            self._association.close("the gNB ends")

    @property
    def identity(self) -> tuple[str, dict[str, Any]]:
        """Its global identity (9.3.1.5)."""
        number = ("gNB-ID", (self.config.number, self.config.length))
        return "globalGNB-ID", {"pLMNIdentity": plmn_bytes(self.config.area.plmn), "gNB-ID": number}

    def there(self, number: int) -> int | None:
        """Return a connected UE's number at the AMF; None while that has not answered."""
        return self._numbers.get(number)

    def adopt(self, ue: Ue, there: int) -> int:
        """Have a UE that comes from another gNB; return its number. `there`: at the AMF."""
        self._last = number = (self._last + 1) % 2**32
        self.ues[number], self._numbers[number] = ue, there
        return number

    def lose(self, number: int) -> None:
        """Have a UE no more; nobody is told."""
        self.ues.pop(number, None)
        self._numbers.pop(number, None)

    def _about_us(self) -> dict[str, Any]:
        config = self.config
        plmn = plmn_bytes(config.area.plmn)
        broadcast = {"pLMNIdentity": plmn, "tAISliceSupportList": values.slices_value(config.slices)}
        return {
            "GlobalRANNodeID": self.identity,
            "RANNodeName": config.name,
            "SupportedTAList": [{"tAC": config.area.tac.to_bytes(3, "big"), "broadcastPLMNList": [broadcast]}],
            "DefaultPagingDRX": "v128",
        }

    def send(self, name: str, ies: dict[str, Any], about: int = 0) -> None:
        """Send a message. `about`: stream number of the UE that it is about, 0 for none."""
        if self._association is not None:
            self._association.send(codec.encode(name, ies), about)

    def about(self, number: int, name: str, ies: dict[str, Any]) -> None:
        """Send a message about a connected UE."""
        ids = {"AMF-UE-NGAP-ID": self._numbers[number], "RAN-UE-NGAP-ID": number}
        self.send(name, {**ids, **ies}, number + 1)

    def attach(self, ue: Ue, nas: bytes, cause: str = "mo-Signalling") -> int:
        """Connect a UE, with its first message; return its number.

        Args:
            cause: of its RRC connection (TS 38.413, 9.3.1.111).
        """
        self._last = number = (self._last + 1) % 2**32
        self.ues[number] = ue
        ies = {
            "RAN-UE-NGAP-ID": number,
            "NAS-PDU": nas,
            "UserLocationInformation": self.location,
            "RRCEstablishmentCause": cause,
            "FiveG-S-TMSI": values.temporary_value(ue.guti.short) if ue.guti is not None else None,
            "UEContextRequest": "requested",
        }
        self.send("InitialUEMessage", ies, number + 1)
        return number

    def uplink(self, number: int, nas: bytes) -> None:
        """Carry a message of a connected UE; before the AMF has answered there is no way."""
        if number in self._numbers:
            self.about(number, "UplinkNASTransport", {"NAS-PDU": nas, "UserLocationInformation": self.location})

    def idle(self, number: int) -> None:
        """Ask for the release of a connection that is not needed any more."""
        if number in self._numbers:
            self.about(number, "UEContextReleaseRequest", {"Cause": ("radioNetwork", "user-inactivity")})

    def _take(self, data: bytes) -> None:
        try:
            message = codec.decode(data)
            handler = _HANDLERS.get(message.name)
            if handler is None:
                raise NgapError(f"{message.name} is not for a gNB", "message-not-compatible-with-receiver-state")
            handler(self, message.ies)
        except NgapError as error:
            self.counts["ngap_errors"] += 1
            self.send("ErrorIndication", {"Cause": error.cause})

    def _lost(self, reason: str) -> None:
        if self._setup is not None and not self._setup.done():
            self._setup.set_exception(NoService(self.config.name, "NG setup", reason))
        ues, self.ues = self.ues, {}
        self._numbers.clear()
        for number, ue in ues.items():
            if ue.gnb is self and ue.number == number:
                ue.released("the gNB lost its AMF")

    def _is_set_up(self, ies: dict[str, Any]) -> None:
        if self._setup is not None and not self._setup.done():
            self._setup.set_result(ies)

    def _is_refused(self, ies: dict[str, Any]) -> None:
        if self._setup is not None and not self._setup.done():
            why = values.cause_text(ies["Cause"])
            self._setup.set_exception(NoService(self.config.name, "NG setup", why))

    def _ue(self, ies: dict[str, Any]) -> Ue:
        number = ies["RAN-UE-NGAP-ID"]
        ue = self.ues.get(number)
        if ue is None:
            raise NgapError("a UE that is not known", "unknown-local-UE-NGAP-ID", "radioNetwork")
        self._numbers.setdefault(number, ies["AMF-UE-NGAP-ID"])
        return ue

    def _downlink(self, ies: dict[str, Any]) -> None:
        self._ue(ies).downlink(ies["NAS-PDU"])

    def _context(self, ies: dict[str, Any]) -> None:
        ue = self._ue(ies)
        ue.key = values.key_of(ies["SecurityKey"])
        listed = resources.set_up(self, ue, ies.get("PDUSessionResourceSetupListCxtReq", ()), "Cxt")
        self.about(ies["RAN-UE-NGAP-ID"], "InitialContextSetupResponse", listed)
        if "NAS-PDU" in ies:
            ue.downlink(ies["NAS-PDU"])

    def _resources(self, ies: dict[str, Any]) -> None:
        ue = self._ue(ies)
        listed = resources.set_up(self, ue, ies["PDUSessionResourceSetupListSUReq"], "SU")
        self.about(ies["RAN-UE-NGAP-ID"], "PDUSessionResourceSetupResponse", listed)

    def _modify(self, ies: dict[str, Any]) -> None:
        ue = self._ue(ies)
        listed = resources.modify(ue, ies["PDUSessionResourceModifyListModReq"])
        self.about(ies["RAN-UE-NGAP-ID"], "PDUSessionResourceModifyResponse", listed)

    def _give_back(self, ies: dict[str, Any]) -> None:
        ue = self._ue(ies)
        listed = resources.release(ue, ies["PDUSessionResourceToReleaseListRelCmd"])
        self.about(ies["RAN-UE-NGAP-ID"], "PDUSessionResourceReleaseResponse", listed)
        if "NAS-PDU" in ies:
            ue.downlink(ies["NAS-PDU"])

    def _release(self, ies: dict[str, Any]) -> None:
        kind, body = ies["UE-NGAP-IDs"]
        if kind == "uE-NGAP-ID-pair":
            number = body["rAN-UE-NGAP-ID"]
        else:
            number = next((ours for ours, theirs in self._numbers.items() if theirs == body), -1)
        ue = self.ues.pop(number, None)
        if ue is None:
            raise NgapError("a UE that is not known", "unknown-local-UE-NGAP-ID", "radioNetwork")
        self._numbers.setdefault(number, body["aMF-UE-NGAP-ID"] if kind == "uE-NGAP-ID-pair" else body)
        self.about(number, "UEContextReleaseComplete", {})
        del self._numbers[number]
        if ue.gnb is self and ue.number == number:  # else it has gone to another gNB
            ue.released(values.cause_text(ies["Cause"]))

    def _paging(self, ies: dict[str, Any]) -> None:
        self.counts["pagings"] += 1
        _, identity = ies["UEPagingIdentity"]
        ue = self.camping.get(values.temporary_of(identity))
        if ue is not None:
            ue.paged()

    def _complaint(self, _: dict[str, Any]) -> None:
        self.counts["complaints"] += 1


_HANDLERS: dict[str, Callable[[Gnb, dict[str, Any]], None]] = {
    "NGSetupResponse": Gnb._is_set_up,
    "NGSetupFailure": Gnb._is_refused,
    "DownlinkNASTransport": Gnb._downlink,
    "InitialContextSetupRequest": Gnb._context,
    "UEContextReleaseCommand": Gnb._release,
    "PDUSessionResourceSetupRequest": Gnb._resources,
    "PDUSessionResourceModifyRequest": Gnb._modify,
    "PDUSessionResourceReleaseCommand": Gnb._give_back,
    "PathSwitchRequestAcknowledge": handover.answered,
    "PathSwitchRequestFailure": handover.refused,
    "HandoverRequest": handover.asked,
    "HandoverCommand": handover.answered,
    "HandoverPreparationFailure": handover.refused,
    "Paging": Gnb._paging,
    "ErrorIndication": Gnb._complaint,
}
