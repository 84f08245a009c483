"""An AMF: gNBs call it, UEs register with it."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from core5g.amf import handover, registration, release, service, sessions, setup
from core5g.amf.causes import Cause
from core5g.amf.config import AmfConfig
from core5g.amf.gnb import Gnb
from core5g.amf.ue import Gone, Silent, Ue
from core5g.nas.errors import NasError, NotIntact
from core5g.nas.fields import MobilityMessage
from core5g.nas.mobility import (
    DeregistrationRequest,
    MobilityStatus,
    RegistrationRequest,
    ServiceRequest,
    UplinkTransport,
)
from core5g.nas.security import PLAIN, header_of
from core5g.nas.values import Guti, Identity, STmsi
from core5g.ngap import codec
from core5g.ngap.errors import NgapError
from core5g.ngap.transport import Association, Listener, listen
from core5g.smf.base import Answer, Key, Sessions
from core5g.udm.base import Home

Handler = Callable[["Amf", Gnb, dict[str, Any]], object]


class Amf:
    """An AMF.

    Attributes:
        config: what it was told. home: of its subscribers. smf: None where there are no sessions.
        gnbs: that have called. ues: by their numbers. temporary, by_imsi: registered ones by 5G-TMSI and by IMSI.
        counts: what happened, by name; see `docs/core-embedded.md`.
    """

    def __init__(self, config: AmfConfig, home: Home, smf: Sessions | None = None) -> None:
        self.config, self.home, self.smf = config, home, smf
        self.gnbs: set[Gnb] = set()
        self.ues: dict[int, Ue] = {}
        self.temporary: dict[int, Ue] = {}
        self.by_imsi: dict[str, Ue] = {}
        self.counts: Counter[str] = Counter()
        self._last = 0
        self._listener: Listener | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, address: str) -> str:
        """Wait for gNBs; return the address with the port that it has. Raises as `transport.listen`."""
        self._listener = listen(address, self.called)
        return self._listener.address

    async def stop(self) -> None:
        """Hang up on all gNBs and end what is under way."""
        if self._listener is not None:
            self._listener.close()
        for gnb in list(self.gnbs):
            gnb.association.close("the AMF ends")
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def called(self, association: Association) -> None:
        """Take a gNB's call."""
        gnb = Gnb(association)
        self.gnbs.add(gnb)
        association.take = lambda data: self._take(gnb, data)
        association.lost = lambda reason: self._lost(gnb, reason)

    def _lost(self, gnb: Gnb, reason: str) -> None:
        """UEs of a gNB that is gone are idle (TS 23.527, 5.2)."""
        self.gnbs.discard(gnb)
        for ue in list(gnb.ues.values()):
            release.disconnected(self, ue, f"{gnb} is gone: {reason}")

    def _take(self, gnb: Gnb, data: bytes) -> None:
        try:
            message = codec.decode(data)
            handler = _HANDLERS.get(message.name)
            if handler is None:
                raise NgapError(f"{message.name} is not for an AMF", "message-not-compatible-with-receiver-state")
            if gnb.identity is None and message.name != "NGSetupRequest":
                raise NgapError(f"{message.name} before NG setup", "message-not-compatible-with-receiver-state")
            handler(self, gnb, message.ies)
        except NgapError as error:
            self.counts["ngap_errors"] += 1
            gnb.complain(error.cause)

    def run(self, ue: Ue, steps: Coroutine[Any, Any, None]) -> None:
        """Run a procedure with a UE; one that is under way is ended."""
        if ue.procedure is not None:
            ue.procedure.cancel()
        ue.procedure = self.later(self._guarded(ue, steps))

    def later(self, steps: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run what nobody waits for."""
        task = asyncio.get_running_loop().create_task(steps)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _guarded(self, ue: Ue, steps: Coroutine[Any, Any, None]) -> None:
        try:
            await steps
        except Gone:
            self.counts["connections_lost"] += 1
        except Silent:
            self.counts["silent"] += 1
            release.let_go(self, ue, ("nas", "unspecified"))
        finally:
            if ue.procedure is asyncio.current_task():
                ue.procedure = None

    def new_ue(self) -> Ue:
        """Return a UE that nothing is known of."""
        self._last += 1
        ue = self.ues[self._last] = Ue(self._last)
        return ue

    def named(self, identity: Identity | None) -> Ue | None:
        """Return whose temporary identity it is; None where nobody's here."""
        match identity:
            case Guti() if identity._replace(tmsi=0) == self.config.guti(0):
                return self.temporary.get(identity.tmsi)
            case STmsi() if (identity.set, identity.pointer) == (self.config.set, self.config.pointer):
                return self.temporary.get(identity.tmsi)
        return None

    def renamed(self, ue: Ue) -> Guti:
        """Return a new temporary identity for a UE; the old one is good until the UE has said that it has the new."""
        while (tmsi := secrets.randbits(32)) in self.temporary:
            pass
        self.temporary[tmsi] = ue
        return self.config.guti(tmsi)

    def push(self, key: Key, answer: Answer) -> None:
        """Take what an SMF wants done with a session, unasked."""
        ue = self.by_imsi.get(key[0])
        if ue is not None and key[1] in ue.sessions:
            sessions.act(self, ue, key[1], answer)

    def wanted(self, key: Key) -> None:
        """Call an idle UE: packets for one of its sessions have come."""
        ue = self.by_imsi.get(key[0])
        if ue is not None and key[1] in ue.sessions and ue.gnb is None:
            ue.wanted.add(key[1])
            service.call(self, ue)

    def remove(self, ue: Ue) -> None:
        """Forget a UE, and what it had."""
        sessions.drop(self, ue, tuple(ue.sessions))
        ue.quiet()
        self.ues.pop(ue.number, None)
        if self.by_imsi.get(ue.imsi) is ue:
            del self.by_imsi[ue.imsi]
        if ue.guti is not None and self.temporary.get(ue.guti.tmsi) is ue:
            del self.temporary[ue.guti.tmsi]

    def received(self, ue: Ue, nas: bytes) -> None:
        """Take a NAS message of a connected UE."""
        try:
            message = ue.opened(nas)
        except NotIntact:
            self.counts["nas_not_intact"] += 1
            return
        except NasError as error:
            self.counts["nas_errors"] += 1
            if error.cause is not None:
                ue.send(MobilityStatus(cause=error.cause))
            return
        if not ue.answers(message):
            self.begin(ue, message, trusted=header_of(nas) != PLAIN)

    def begin(self, ue: Ue, message: MobilityMessage, trusted: bool) -> None:
        """Begin what a UE's message asks for.

        Args:
            trusted: it came with the right code.
        """
        match message:
            case RegistrationRequest():
                self.run(ue, registration.register(self, ue, message, trusted))
            case ServiceRequest():
                self.later(service.request(self, ue, message, trusted))
            case DeregistrationRequest():
                release.deregister(self, ue, message, trusted)
            case UplinkTransport() if ue.registered:
                self.later(sessions.forward(self, ue, message))
            case MobilityStatus():
                self.counts["status_from_ues"] += 1
            case _:
                ue.send(MobilityStatus(cause=Cause.WRONG_STATE))


_HANDLERS: dict[str, Handler] = {
    "NGSetupRequest": setup.request,
    "NGReset": setup.reset,
    "InitialUEMessage": setup.initial,
    "UplinkNASTransport": setup.uplink,
    "ErrorIndication": setup.error,
    "InitialContextSetupResponse": sessions.in_context,
    "PDUSessionResourceSetupResponse": sessions.set_up,
    "PDUSessionResourceModifyResponse": sessions.modified,
    "PDUSessionResourceReleaseResponse": sessions.released,
    "PDUSessionResourceNotify": sessions.notified,
    "PathSwitchRequest": handover.path_switch,
    "HandoverRequired": handover.required,
    "HandoverRequestAcknowledge": handover.acknowledged,
    "HandoverFailure": handover.failed,
    "HandoverNotify": handover.arrived,
    "HandoverCancel": handover.cancelled,
    "UplinkRANStatusTransfer": handover.status,
    "InitialContextSetupFailure": release.context_failed,
    "UERadioCapabilityInfoIndication": setup.radio_capability,
    "UEContextReleaseRequest": release.requested,
    "UEContextReleaseComplete": release.complete,
    "NASNonDeliveryIndication": setup.undelivered,
}
