"""A PDU session as its SMF knows it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address

from core5g.gtpu.tunnel import Tunnel
from core5g.nas.filters import Filter
from core5g.nas.values import Ambr, Snssai
from core5g.pfcp.values import Volume
from core5g.smf.base import Action, Answer, Key
from core5g.smf.upfs import Upf
from core5g.udm.base import Quality

DEFAULT_FLOW = 1
NOTHING = Volume(0, 0)
MOST_FLOWS = 63
"""Of a session: QFIs 1 to 63 (TS 24.501, 9.11.4.12)."""


class State(Enum):
    """What may be done with a session."""

    NEW = 0
    ACTIVE = 1
    IDLE = 2
    ENDING = 3


@dataclass(frozen=True, slots=True)
class Flow:
    """A QoS flow beside the default one.

    Attributes:
        number: QFI. guaranteed, most: bit rates; None for none. filters: which packets it takes.
    """

    number: int
    quality: Quality
    filters: tuple[Filter, ...] = ()
    guaranteed: Ambr | None = None
    most: Ambr | None = None


@dataclass(slots=True)
class Session:
    """A PDU session.

    Attributes:
        upf: where it is anchored. seid: of the SMF; there: of the UPF. uplink: where its gNB sends to.
        downlink: where its packets go; None while it has no gNB. next: the same at a gNB that it may go to.
        flows: beside the default one, by QFI. usage: what went through it, as far as its UPF has said.
        lock: held while it is changed. timer: until its UE is told again.
    """

    key: Key
    slice: Snssai
    dnn: str
    ambr: Ambr
    quality: Quality
    address: IPv4Address
    upf: Upf
    seid: int
    there: int = 0
    uplink: Tunnel | None = None
    downlink: Tunnel | None = None
    next: Tunnel | None = None
    flows: dict[int, Flow] = field(default_factory=dict)
    usage: Volume = NOTHING
    state: State = State.NEW
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    timer: asyncio.TimerHandle | None = None

    def __str__(self) -> str:
        imsi, number = self.key
        return f"imsi-{imsi} session {number}"

    def told(self, message: bytes, action: Action, transfer: bytes) -> Answer:
        """Return what its UE is to be told, and its gNB if it has resources there."""
        return Answer(message, action, transfer) if self.downlink is not None else Answer(message)

    def calm(self) -> None:
        """Wait for nothing of the UE any more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
