"""What AMF and SMF say to each other (N11; Nsmf_PDUSession and Namf_Communication, 3GPP TS 29.502 and 29.518)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from core5g.nas.values import Snssai, Tai
from core5g.udm.base import DnnSubscription

Transfer = bytes | tuple[str, Any]
"""What a gNB and an SMF tell each other through an AMF, as it stands in a message of NGAP."""
Key = tuple[str, int]
"""A PDU session: IMSI and PDU session identity."""


class Action(Enum):
    """What is to be done with a session's resources at its gNB."""

    NONE = 0
    SETUP = 1
    MODIFY = 2
    RELEASE = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What an SMF wants done.

    Attributes:
        message: for the UE, of 5GSM; None for nothing. action, transfer: at the gNB.
        over: the session is no more; the AMF may forget it.
    """

    message: bytes | None = None
    action: Action = Action.NONE
    transfer: bytes = b""
    over: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A UE wants a session.

    Attributes:
        slice, dnn: where. may: what the subscription says of it. area: where the UE is. message: its own, of 5GSM.
    """

    imsi: str
    session: int
    slice: Snssai
    dnn: str
    may: DnnSubscription
    area: Tai
    message: bytes

    @property
    def key(self) -> Key:
        """Which session it will be."""
        return self.imsi, self.session


class Sessions(Protocol):
    """An SMF, as an AMF sees it. None of these raises for what a UE or gNB did wrong: the answer says so."""

    async def create(self, request: Request) -> Answer:
        """Set up a session."""
        ...

    async def message(self, key: Key, data: bytes) -> Answer:
        """Take a UE's message about a session."""
        ...

    async def made(self, key: Key, transfer: Transfer) -> Answer:
        """A gNB has resources for a session: packets may go to it."""
        ...

    async def refused(self, key: Key) -> Answer:
        """A gNB has none: the session stays without, or ends if it was new."""
        ...

    async def activate(self, key: Key, area: Tai) -> Answer:
        """The UE is connected and wants its session's packets."""
        ...

    async def deactivate(self, key: Key) -> None:
        """The UE is idle: packets wait at the UPF."""
        ...

    async def switched(self, key: Key, transfer: Transfer) -> bytes | None:
        """A session's UE came to another gNB by itself (Xn); return what to tell that; None where it cannot be."""
        ...

    async def prepare(self, key: Key) -> bytes | None:
        """Return what the gNB that a UE is to go to is to be told (N2 handover); None where it has no session."""
        ...

    async def prepared(self, key: Key, transfer: Transfer) -> bytes | None:
        """That gNB has resources; return what to tell the one that the UE leaves."""
        ...

    async def handed_over(self, key: Key, arrived: bool) -> None:
        """The UE has come to that gNB, or will not."""
        ...

    async def drop(self, key: Key) -> None:
        """The UE has left: the session is no more."""
        ...


class Access(Protocol):
    """An AMF, as an SMF sees it."""

    def push(self, key: Key, answer: Answer) -> None:
        """The network changes or ends a session; a UE that is idle is called."""
        ...

    def wanted(self, key: Key) -> None:
        """Packets for an idle UE have come."""
        ...
