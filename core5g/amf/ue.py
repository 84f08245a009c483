"""A UE as its AMF knows it, and the questions that are put to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from core5g.nas.codec import decode_mobility, encode
from core5g.nas.errors import NotIntact
from core5g.nas.fields import Message, MobilityMessage
from core5g.nas.mobility import (
    AuthenticationFailure,
    AuthenticationResponse,
    DeregistrationAccept,
    DeregistrationRequest,
    IdentityResponse,
    NetworkDeregistrationAccept,
    RegistrationRequest,
    SecurityModeReject,
)
from core5g.nas.security import CIPHERED, PLAIN, Security, header_of
from core5g.nas.values import Capability, Guti, Snssai, Tai
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from core5g.amf.gnb import Gnb
    from core5g.amf.handover import Handover
    from core5g.smf.base import Answer
    from core5g.udm.base import Subscription

Wanted = TypeVar("Wanted")

ANEW = (RegistrationRequest, DeregistrationRequest, SecurityModeReject)
"""What may still come unprotected where there are keys: the UE may have lost or refused them."""
WAIT = 6.0
"""s: T3522, T3550, T3560 and T3570 (TS 24.501, table 10.2.1)."""
TRIES = 5
UNPROTECTED = (
    RegistrationRequest, IdentityResponse, AuthenticationResponse, AuthenticationFailure, SecurityModeReject,
    DeregistrationRequest, DeregistrationAccept, NetworkDeregistrationAccept,
)  # fmt: skip
"""What is taken from a UE without security (TS 24.501, 4.4.4.3)."""


class Silent(TestbedError):
    """A UE that does not answer."""


class Gone(TestbedError):
    """The connection to a UE ended while it was asked."""


class Held(NamedTuple):
    """A PDU session as an AMF knows it."""

    slice: Snssai
    dnn: str


class Ue:
    """A UE.

    Attributes:
        number: AMF UE NGAP ID. gnb, ran: its gNB and its number there; None while it is idle.
        imsi, guti: identities; empty and None until they are known.
        security: None until it has proven who it is. start: NAS COUNT of what it came with, for K_gNB.
        slices: allowed. area: where it is. radio: what its radio can do, as gNBs tell each other.
        wants_context: its gNB has asked for one. hop: chaining counter and key for the next gNB (TS 33.501, 6.9.2.1).
        sessions: PDU sessions by identity. wanted: those that packets wait for while it is idle.
        pending: what it and its gNB are to be told once it is connected. handover: under way.
    """

    __slots__ = ("_question", "_wanted", "area", "call", "capability", "gnb", "guti", "handover", "hop", "imsi",
                 "number", "pending", "procedure", "radio", "ran", "registered", "security", "sessions", "slices",
                 "start", "subscription", "wanted", "wants_context")  # fmt: skip

    def __init__(self, number: int) -> None:
        self.number = number
        self.gnb: Gnb | None = None
        self.ran = 0
        self.imsi = ""
        self.guti: Guti | None = None
        self.security: Security | None = None
        self.capability: Capability | None = None
        self.subscription: Subscription | None = None
        self.slices: tuple[Snssai, ...] = ()
        self.area: Tai | None = None
        self.registered = self.wants_context = False
        self.start = 0
        self.radio: bytes | None = None
        self.hop: tuple[int, bytes] = (0, b"")
        self.sessions: dict[int, Held] = {}
        self.wanted: set[int] = set()
        self.pending: list[tuple[int, Answer]] = []
        self.handover: Handover | None = None
        self.call: asyncio.TimerHandle | None = None
        self.procedure: asyncio.Task[None] | None = None
        self._question: asyncio.Future[Any] | None = None
        self._wanted: tuple[type, ...] = ()

    def __str__(self) -> str:
        return f"imsi-{self.imsi}" if self.imsi else f"UE {self.number}"

    def send(self, message: MobilityMessage, header: int | None = None) -> None:
        """Send a message, protected as soon as there are keys; an idle UE gets none."""
        if self.gnb is not None:
            self.gnb.downlink(self, self.bytes_of(message, header))

    def bytes_of(self, message: MobilityMessage, header: int | None = None) -> bytes:
        """Return a message as it goes to the UE."""
        if self.security is None or header == PLAIN:
            return encode(message)
        return self.security.protect(message, CIPHERED if header is None else header)

    def opened(self, nas: bytes) -> MobilityMessage:
        """Return the message that came.

        Raises:
            NasError: it cannot be taken, or not without protection.
        """
        if self.security is not None and header_of(nas) != PLAIN:
            return self.security.accept(nas)
        message = decode_mobility(nas)
        if not isinstance(message, UNPROTECTED if self.security is None else ANEW):
            raise NotIntact(f"{type(message).__name__} without protection")
        return message

    async def ask(
        self,
        message: MobilityMessage,
        *wanted: type[Wanted],
        header: int | None = None,
        by: Callable[[Ue, bytes], object] | None = None,
    ) -> Wanted:
        """Send a message, again if need be, until one of the wanted comes back.

        Args:
            by: sends it, where it does not go alone.

        Raises:
            Silent: none came. Gone: the connection ended.
        """
        loop = asyncio.get_running_loop()
        self._wanted = wanted
        for _ in range(TRIES):
            question = self._question = loop.create_future()
            if by is None:
                self.send(message, header)
            else:
                by(self, self.bytes_of(message, header))
            timer = loop.call_later(WAIT, _expire, question)
            try:
                return await question
            except TimeoutError:
                continue
            finally:
                timer.cancel()
                self._question = None
        names = " or ".join(one.__name__ for one in wanted)
        raise Silent(f"{self}: no {names} after {TRIES} requests, {WAIT:g} s apart")

    def answers(self, message: Message) -> bool:
        """Give a message to who waits for it; return whether somebody does."""
        question = self._question
        if question is None or question.done() or not isinstance(message, self._wanted):
            return False
        question.set_result(message)
        return True

    def quiet(self) -> None:
        """Call it no more."""
        if self.call is not None:
            self.call.cancel()
            self.call = None

    def left(self, reason: str) -> None:
        """The connection is gone; who waits for an answer is told."""
        self.gnb, self.ran = None, 0
        if self._question is not None and not self._question.done():
            self._question.set_exception(Gone(f"{self}: {reason}"))


def _expire(question: asyncio.Future[Any]) -> None:
    if not question.done():
        question.set_exception(TimeoutError())
