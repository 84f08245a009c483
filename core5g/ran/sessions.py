"""PDU sessions of an emulated UE, with NAS from its side (3GPP TS 24.501, 6)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from core5g.gtpu.tunnel import Tunnel
from core5g.nas import flows, options
from core5g.nas import sessions as sm
from core5g.nas.codec import decode_session, encode
from core5g.nas.fields import SessionMessage
from core5g.nas.filters import Filter, of_components
from core5g.nas.flows import FlowDescription, QosRule
from core5g.nas.mobility import DownlinkTransport, UplinkTransport
from core5g.nas.values import Ambr, Snssai
from core5g.ran.errors import NoService
from core5g.ran.plane import Plane

if TYPE_CHECKING:
    from core5g.ran.resources import Opened
    from core5g.ran.ue import Ue

PATIENCE = 16.0
"""s: T3580, T3582 (TS 24.501, table 10.3.1)."""
REACTIVATE = 39
_INITIAL = 1
_MOST = 15
_NO_ADDRESS, _NO_RATE = IPv4Address(0), Ambr(0, 0)
_KEPT = 64
"""Packets that wait for an idle UE's connection."""


@dataclass(slots=True)
class PduSession:
    """A PDU session.

    Attributes:
        address: the UE's. ambr: bit/s. rules, flows: by their numbers. options: what else it was told.
        uplink: where its gNB sends to; None while it has no resources there. teid: of its gNB's end, on `plane`.
        receive: takes packets that come for it. waiting: packets that go as soon as it has resources.
    """

    number: int
    dnn: str
    slice: Snssai | None
    address: IPv4Address = _NO_ADDRESS
    ambr: Ambr = _NO_RATE
    rules: dict[int, QosRule] = field(default_factory=dict)
    flows: dict[int, FlowDescription] = field(default_factory=dict)
    options: list[tuple[int, bytes]] = field(default_factory=list)
    uplink: Tunnel | None = None
    plane: Plane | None = None
    teid: int = 0
    tos: dict[int, int] = field(default_factory=dict)
    receive: Callable[[memoryview], object] = lambda _: None
    waiting: deque[bytes] = field(default_factory=lambda: deque(maxlen=_KEPT))
    packets_down: int = 0
    packets_up: int = 0
    _matchers: list[tuple[int, tuple[Filter, ...] | None]] = field(default_factory=list)

    def attach(self, plane: Plane, end: Opened) -> None:
        """Have resources at a gNB: what waits goes."""
        self.plane = plane
        self.teid, self.uplink, self.tos = end
        while self.waiting:
            self.send(self.waiting.popleft())

    def leave(self) -> None:
        """Go from a gNB to another: what still comes to the first is forwarded."""
        if self.plane is not None:
            self.plane.linger(self.teid)
        self.plane = self.uplink = None

    def close(self) -> None:
        """Have none."""
        if self.plane is not None:
            self.plane.close(self.teid)
        self.plane = self.uplink = None

    def received(self, packet: memoryview) -> None:
        """Take a packet that has come for it."""
        self.packets_down += 1
        self.receive(packet)

    def send(self, packet: bytes | memoryview) -> bool:
        """Send a packet of the UE; tell whether it could go, or waits."""
        if self.plane is None or self.uplink is None:
            self.waiting.append(bytes(packet))
            return False
        flow = self.flow_of(packet)
        self.packets_up += 1
        self.plane.send(self.uplink, flow, packet, self.tos.get(flow, 0))
        return True

    def flow_of(self, packet: bytes | memoryview) -> int:
        """Return the flow of a packet that goes up: the rule that comes first and takes it decides."""
        for flow, filters in self._matchers:
            if filters is None or any(one.matches(packet, downlink=False) for one in filters):
                return flow
        return 0

    def follow(self, rules: tuple[QosRule, ...], descriptions: tuple[FlowDescription, ...]) -> None:
        """Take rules and flows that the network gives, changes or takes away."""
        for rule in rules:
            if rule.operation == flows.DELETE:
                self.rules.pop(rule.number, None)
            else:
                self.rules[rule.number] = rule
        for one in descriptions:
            if one.operation == flows.DELETE:
                self.flows.pop(one.flow, None)
            else:
                self.flows[one.flow] = one
        self._matchers = [(one.flow, _filters(one)) for one in sorted(self.rules.values(), key=_precedence)]


def _precedence(rule: QosRule) -> tuple[int, int]:
    return rule.precedence, rule.number


def _filters(rule: QosRule) -> tuple[Filter, ...] | None:
    """Return what a rule takes of what goes up; None for all."""
    found = []
    for one in rule.filters:
        if not one.direction & flows.UPLINK:
            continue
        if one.components == flows.MATCH_ALL:
            return None
        known = of_components(one.components)
        if known is not None:
            found.append(known)
    return tuple(found)


class Sessions:
    """All PDU sessions of a UE, by identity.

    Attributes:
        all: that it has. on_made, on_removed: called with one that it has from here on, or no more.
    """

    __slots__ = ("_transaction", "_ue", "_waiting", "all", "on_made", "on_removed")

    def __init__(self, ue: Ue) -> None:
        self._ue = ue
        self.all: dict[int, PduSession] = {}
        self.on_made: Callable[[PduSession], object] = lambda _: None
        self.on_removed: Callable[[PduSession], object] = lambda _: None
        self._waiting: dict[int, asyncio.Future[SessionMessage]] = {}
        self._transaction = 0

    async def establish(
        self, dnn: str = "", one: Snssai | None = None, number: int | None = None, kind: int = sm.IPV4
    ) -> PduSession:
        """Set a session up.

        Args:
            dnn, one: data network and slice, the network's choice where they are not given. number: its identity.

        Raises:
            NoService: with the network's cause.
        """
        what = f"PDU session establishment{f' ({dnn})' if dnn else ''}"
        number = number or next((each for each in range(1, _MOST + 1) if each not in self.all), 0)
        if not number:
            raise NoService(str(self._ue), what, f"it has {_MOST} sessions already")
        await self._ue.connect()
        session = self.all[number] = PduSession(number, dnn, one)
        self._transaction = self._transaction % 254 + 1
        asked = options.write(((options.DNS_V4, b""), (options.MTU_V4, b"")))
        request = sm.SessionRequest(session=number, transaction=self._transaction, kind=kind, options=asked)
        try:
            accept = await self._outcome(what, request, _INITIAL, one, dnn)
            if not isinstance(accept, sm.SessionAccept):
                raise NoService(str(self._ue), what, _why(accept))
        except NoService:
            self._remove(session)
            raise
        self._take(session, accept)
        return session

    def _take(self, session: PduSession, accept: sm.SessionAccept) -> None:
        if accept.address is not None and accept.address.v4 is not None:
            session.address = accept.address.v4
        session.dnn, session.slice = accept.dnn or session.dnn, accept.slice or session.slice
        session.ambr, session.options = accept.ambr, options.read(accept.options)
        session.follow(accept.rules, accept.flows or ())
        self.on_made(session)

    async def release(self, number: int) -> None:
        """Give a session back.

        Raises:
            NoService: with the network's cause; or there is none.
        """
        session, what = self.all.get(number), "PDU session release"
        if session is None:
            raise NoService(str(self._ue), what, f"no session {number}")
        await self._ue.connect()
        self._transaction = self._transaction % 254 + 1
        command = await self._outcome(what, sm.ReleaseRequest(session=number, transaction=self._transaction))
        if not isinstance(command, sm.ReleaseCommand):
            raise NoService(str(self._ue), what, _why(command))

    async def _outcome(
        self, what: str, message: SessionMessage, request: int | None = None,
        one: Snssai | None = None, dnn: str = "",
    ) -> SessionMessage:  # fmt: skip
        waiting = self._waiting[message.session] = asyncio.get_running_loop().create_future()
        self._send(message, request, one, dnn)
        try:
            async with asyncio.timeout(PATIENCE):
                return await waiting
        except TimeoutError:
            raise NoService(str(self._ue), what, f"no answer within {PATIENCE:g} s") from None
        finally:
            self._waiting.pop(message.session, None)

    def _send(
        self, message: SessionMessage, request: int | None = None, one: Snssai | None = None, dnn: str = ""
    ) -> None:
        transport = UplinkTransport(
            container=encode(message), session=message.session, request=request, slice=one, dnn=dnn or None
        )
        self._ue.send(transport)

    def downlink(self, transport: DownlinkTransport) -> None:
        """Take a message about a session; raises NasError where it cannot be read."""
        if transport.cause is not None:
            self._fail(transport.session or 0, f"5GMM {transport.cause}")
            return
        message = decode_session(transport.container)
        session = self.all.get(message.session)
        match message:
            case sm.ReleaseCommand() if session is not None:
                self._send(sm.ReleaseComplete(session=message.session, transaction=message.transaction))
                self._resolve(message)
                self._remove(session)
                if not message.transaction:
                    self._taken_away(session, message.cause)
            case sm.ReleaseCommand():  # told again: the completion was lost
                self._send(sm.ReleaseComplete(session=message.session, transaction=message.transaction))
            case sm.ModificationCommand() if session is not None:
                session.ambr = message.ambr or session.ambr
                session.follow(message.rules or (), message.flows or ())
                self._send(sm.ModificationComplete(session=message.session, transaction=message.transaction))
            case _:
                self._resolve(message)

    def _resolve(self, message: SessionMessage) -> None:
        waiting = self._waiting.get(message.session)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def _fail(self, number: int, cause: str) -> None:
        waiting = self._waiting.get(number)
        if waiting is not None and not waiting.done():
            waiting.set_exception(NoService(str(self._ue), "PDU session", cause))

    def _taken_away(self, session: PduSession, cause: int) -> None:
        """A network that takes a session away may ask for it anew (TS 24.501, 6.3.3.3)."""
        self._ue.counts["sessions_taken_away"] += 1
        if cause == REACTIVATE:
            self._ue.later(self._anew(session))

    async def _anew(self, session: PduSession) -> None:
        try:
            await self.establish(session.dnn, session.slice, session.number)
        except NoService:
            self._ue.counts["reactivations_failed"] += 1
            return
        self._ue.counts["reactivations"] += 1

    def _remove(self, session: PduSession) -> None:
        session.close()
        if self.all.get(session.number) is session:
            del self.all[session.number]
            self.on_removed(session)

    def rest(self) -> None:
        """The UE has no connection: sessions have no resources; who waits for an answer is told."""
        for session in self.all.values():
            session.close()
        for number in tuple(self._waiting):
            self._fail(number, "the connection was released")

    def clear(self) -> None:
        """The UE has no sessions any more."""
        self.rest()
        for session in tuple(self.all.values()):
            self._remove(session)

    @property
    def numbers(self) -> frozenset[int]:
        """Identities of all."""
        return frozenset(self.all)

    @property
    def waiting(self) -> frozenset[int]:
        """Identities of those that have packets to send and no resources."""
        return frozenset(number for number, one in self.all.items() if one.waiting and one.uplink is None)


def _why(message: SessionMessage) -> str:
    cause = getattr(message, "cause", None)
    return f"5GSM {cause}" if cause is not None else type(message).__name__
