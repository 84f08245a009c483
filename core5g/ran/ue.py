"""An emulated UE: its SIM, and NAS from the UE's side (3GPP TS 24.501, 5.4 to 5.6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec.structs import replace

from core5g.nas import mobility as mm
from core5g.nas.codec import decode_mobility, encode
from core5g.nas.errors import NasError
from core5g.nas.fields import MobilityMessage
from core5g.nas.security import CIPHERED, CIPHERED_NEW, INTACT, INTACT_NEW, PLAIN, Security, header_of, inside_of
from core5g.nas.values import Guti, Identities, Identity, Imei, Snssai, Suci, bcd
from core5g.ran.config import UeConfig
from core5g.ran.errors import NoService
from core5g.ran.gnb import Gnb
from core5g.ran.sessions import Sessions
from core5g.security import keys
from core5g.security.errors import NotAuthentic, SyncFailure
from core5g.security.suci import NULL, conceal
from core5g.security.vectors import Usim

PATIENCE = 15.0
"""s: T3510, T3517 and T3521 (TS 24.501, table 10.2.1)."""
_CAPABILITIES = 23


class Ue:
    """A UE.

    Attributes:
        gnb: whose cell it is in. number: of its connection there, None while it is idle.
        security, guti, slices, areas: what it has from its network. key: K_gNB as its gNB has it.
        sessions: PDU sessions. counts: what happened, by name.
    """

    __slots__ = ("_challenged", "_connecting", "_first", "_tasks", "_waiting", "config", "counts", "gnb", "guti",
                 "key", "number", "on_page", "registered", "security", "sessions", "slices", "usim")  # fmt: skip

    def __init__(self, config: UeConfig, gnb: Gnb, usim: Usim | None = None) -> None:
        self.config, self.gnb = config, gnb
        self.usim = usim or Usim(config.sim)
        self.number: int | None = None
        self.security: Security | None = None
        self.guti: Guti | None = None
        self.slices: tuple[Snssai, ...] = ()
        self.key = b""
        self.registered = False
        self.counts: Counter[str] = Counter()
        self.sessions = Sessions(self)
        self.on_page: Callable[[Ue], object] = Ue.come_back
        self._connecting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: asyncio.Future[MobilityMessage | None] | None = None
        self._first: MobilityMessage | None = None
        self._challenged: bytes | None = None

    def __str__(self) -> str:
        return f"imsi-{self.config.imsi}"

    def suci(self) -> Suci:
        """Return its identity as it may be sent in the open."""
        config, plain = self.config, bcd(self.config.imsi[self.config.digits :])
        home = config.concealed
        if home is None:
            return Suci(config.plmn, "0", NULL, 0, plain)
        return Suci(config.plmn, "0", home.scheme, home.identifier, conceal(home.scheme, home.public, plain))

    async def register(self, kind: int = mm.INITIAL) -> None:
        """Register, initially, for having moved, or as a sign of life.

        Raises:
            NoService: with the network's cause.
        """
        whole = self._registration(kind | mm.FOLLOW_ON, full=True)
        self._first = whole
        accept = await self._outcome("registration", self._open, self._registration(kind | mm.FOLLOW_ON), whole)
        if not isinstance(accept, mm.RegistrationAccept):
            raise NoService(str(self), "registration", _why(accept))

    def _registration(self, kind: int, full: bool = False) -> mm.RegistrationRequest:
        """What is said in the open leaves out what an eavesdropper need not know (4.4.6)."""
        identity: Identity = self.guti if self.guti is not None else self.suci()
        known = self.security
        return mm.RegistrationRequest(
            kind=kind,
            keys=known.identifier if known is not None else mm.NO_KEYS,
            identity=identity,
            capability=self.config.capability,
            requested_slices=self.config.slices or None if full else None,
            sessions=self.sessions.numbers if full and self.registered else None,
            uplink_data=self.sessions.waiting or None if full and self.registered else None,
        )

    async def deregister(self, switch_off: bool = False) -> None:
        """Leave.

        Raises:
            NoService: no answer.
        """
        identity: Identity = self.guti if self.guti is not None else self.suci()
        kind = mm.ACCESS_3GPP | (mm.SWITCH_OFF if switch_off else 0)
        known = self.security.identifier if self.security is not None else mm.NO_KEYS
        request = mm.DeregistrationRequest(kind=kind, keys=known, identity=identity)
        send = self._open if self.number is None else self.send
        if switch_off:
            send(request)
        else:
            await self._outcome("deregistration", send, request)
        self._forget()

    async def request_service(self, service: int = mm.DATA) -> None:
        """Come back from idle.

        Raises:
            NoService: with the network's cause.
        """
        if self.guti is None or self.security is None:
            raise NoService(str(self), "service request", "it is not registered")
        request = mm.ServiceRequest(
            keys=self.security.identifier,
            service=service,
            identity=self.guti.short,
            sessions=self.sessions.numbers,
            uplink_data=self.sessions.numbers or None if service == mm.DATA else None,
        )
        accept = await self._outcome("service request", self._open if self.number is None else self.send, request)
        if not isinstance(accept, mm.ServiceAccept):
            self._forget()
            raise NoService(str(self), "service request", _why(accept))

    async def connect(self) -> None:
        """Be connected; several that want it at once have one service request.

        Raises:
            NoService: it is not registered, or the network refuses.
        """
        if self.number is None:
            self.come_back()
        if self._connecting is not None:
            await asyncio.shield(self._connecting)

    def come_back(self) -> None:
        """Begin to be connected, where that has not begun yet; its packets and the network's can go then."""
        if self._connecting is None:
            task = self._connecting = self.later(self.request_service())
            task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        self._connecting = None
        if not task.cancelled() and task.exception() is not None:
            self.counts["services_failed"] += 1

    def later(self, steps: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run what nobody waits for."""
        task = asyncio.get_running_loop().create_task(steps)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def come_to(self, gnb: Gnb, number: int) -> None:
        """Be in another gNB's cell, connected."""
        if self.guti is not None:
            self.gnb.camping.pop(self.guti.short, None)
            gnb.camping[self.guti.short] = self
        self.gnb, self.number = gnb, number

    def idle(self) -> None:
        """Need its connection no more."""
        if self.number is not None:
            self.gnb.idle(self.number)

    async def _outcome(self, what: str, send: Callable[..., None], *messages: MobilityMessage) -> MobilityMessage:
        waiting = self._waiting = asyncio.get_running_loop().create_future()
        send(*messages)
        timer = asyncio.get_running_loop().call_later(PATIENCE, _expire, waiting)
        try:
            outcome = await waiting
        except TimeoutError:
            raise NoService(str(self), what, f"no answer within {PATIENCE:g} s") from None
        finally:
            timer.cancel()
            self._waiting = None
        if outcome is None:
            raise NoService(str(self), what, "the connection was released")
        return outcome

    def _open(self, request: MobilityMessage, whole: MobilityMessage | None = None) -> None:
        """Send a first message: in the open, or with its code and what it hides inside (4.4.6)."""
        if self.security is None:
            nas = encode(request)
        else:
            if whole is not None and whole != request:
                request = replace(request, container=self.security.conceal(whole))
            nas = self.security.protect(request, INTACT)
        self.number = self.gnb.attach(self, nas)

    def send(self, message: MobilityMessage, header: int = CIPHERED) -> None:
        """Send a message over its connection; without one, nowhere."""
        if self.number is not None:
            plain = self.security is None or header == PLAIN
            nas = encode(message) if self.security is None or plain else self.security.protect(message, header)
            self.gnb.uplink(self.number, nas)

    def downlink(self, nas: bytes) -> None:
        """Take a message of the network; what is wrong with it is counted, and else ignored."""
        try:
            if header_of(nas) == PLAIN or self.security is None or header_of(nas) == INTACT_NEW:
                self._plainly(nas)
            else:
                self._handle(self.security.accept(nas))
        except NasError:
            self.counts["nas_errors"] += 1

    def _plainly(self, nas: bytes) -> None:
        message = decode_mobility(inside_of(nas))
        if isinstance(message, mm.SecurityModeCommand):
            self._secure(message, nas)
        elif isinstance(message, _UNPROTECTED) and header_of(nas) == PLAIN:
            self._handle(message)
        else:
            raise NasError(f"{type(message).__name__} without protection")

    def _handle(self, message: MobilityMessage) -> None:
        match message:
            case mm.IdentityRequest():
                self._identify(message)
            case mm.AuthenticationRequest():
                self._authenticate(message)
            case mm.RegistrationAccept():
                self._accepted(message)
            case mm.ConfigurationUpdateCommand():
                self._updated(message)
            case mm.NetworkDeregistrationRequest():
                self.send(mm.NetworkDeregistrationAccept())
                self._forget()
            case mm.DownlinkTransport():
                self.sessions.downlink(message)
            case mm.MobilityStatus():
                self.counts["status"] += 1
            case _:
                self._resolve(message)

    def _identify(self, request: mm.IdentityRequest) -> None:
        identity: Identity = self.suci() if request.kind == Identities.SUCI else Imei(self.config.imeisv)
        self.send(mm.IdentityResponse(identity=identity), PLAIN)

    def _authenticate(self, request: mm.AuthenticationRequest) -> None:
        if request.rand is None or request.autn is None:
            return
        network = keys.network_name(self.gnb.config.area.plmn)
        try:
            answer = self.usim.respond(request.rand, request.autn, network)
        except SyncFailure as failure:
            self.send(mm.AuthenticationFailure(cause=failure.cause, auts=failure.auts), PLAIN)
            return
        except NotAuthentic as failure:
            self.send(mm.AuthenticationFailure(cause=failure.cause), PLAIN)
            return
        self._challenged = keys.k_amf(answer.k_seaf, self.config.imsi, request.abba)
        self.send(mm.AuthenticationResponse(response=answer.res_star), PLAIN)

    def _secure(self, command: mm.SecurityModeCommand, nas: bytes) -> None:
        """Believe a command only with the right code, and only if it repeats what this UE can do (5.4.2.3)."""
        made = Security("ue", self._agreed(command), command.algorithms >> 4, command.algorithms & 15, command.keys)
        made.accept(nas)
        if command.capability[:2] != self.config.capability[:2]:
            self.send(mm.SecurityModeReject(cause=_CAPABILITIES), PLAIN)
            return
        self.security, self._challenged = made, None
        complete = mm.SecurityModeComplete(
            imeisv=Imei(self.config.imeisv) if command.imeisv else None,
            container=encode(self._first) if self._first is not None else None,
        )
        self.send(complete, CIPHERED_NEW)

    def _agreed(self, command: mm.SecurityModeCommand) -> bytes:
        """K_AMF of the challenge, or the one before, or one derived from that."""
        if self._challenged is not None:
            return self._challenged
        if self.security is None or command.keys != self.security.identifier:
            raise NasError("a security mode command without a challenge")
        if not (command.additional or 0) & mm.HORIZONTAL:
            return self.security.key
        return keys.k_amf_prime(self.security.key, self.security.sent)

    def _accepted(self, accept: mm.RegistrationAccept) -> None:
        if isinstance(accept.guti, Guti):
            self._named(accept.guti)
        self.slices = accept.allowed_slices or ()
        self.registered = True
        self.send(mm.RegistrationComplete())
        self._resolve(accept)

    def _updated(self, command: mm.ConfigurationUpdateCommand) -> None:
        if isinstance(command.guti, Guti):
            self._named(command.guti)
        if command.indication is not None and command.indication & 1:
            self.send(mm.ConfigurationUpdateComplete())

    def _named(self, guti: Guti | None) -> None:
        if self.guti is not None:
            self.gnb.camping.pop(self.guti.short, None)
        self.guti = guti
        if guti is not None:
            self.gnb.camping[guti.short] = self

    def _resolve(self, message: MobilityMessage | None) -> None:
        if isinstance(message, (mm.RegistrationReject, mm.AuthenticationReject)):
            self._forget()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(message)

    def _forget(self) -> None:
        self._named(None)
        self.security, self.registered, self.slices, self.key = None, False, (), b""
        self.sessions.clear()

    def released(self, _: str) -> None:
        """Its connection is gone."""
        self.number, self.key = None, b""
        self.sessions.rest()
        self._resolve(None)

    def paged(self) -> None:
        """The network wants it."""
        self.counts["pagings"] += 1
        self.on_page(self)


_UNPROTECTED = (
    mm.IdentityRequest, mm.AuthenticationRequest, mm.AuthenticationReject, mm.RegistrationReject,
    mm.DeregistrationAccept, mm.ServiceReject,
)  # fmt: skip
"""What a UE takes from a network without protection (TS 24.501, 4.4.4.2)."""


def _why(message: MobilityMessage) -> str:
    cause = getattr(message, "cause", None)
    return f"5GMM {cause}" if cause is not None else type(message).__name__


def _expire(waiting: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_exception(TimeoutError())
