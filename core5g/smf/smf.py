"""An SMF: PDU sessions of UEs, as AMFs ask for them (3GPP TS 23.502, 4.3; TS 24.501, 6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from core5g.gtpu.tunnel import Tunnel
from core5g.nas import sessions as sm
from core5g.nas.codec import decode_session
from core5g.nas.errors import NasError
from core5g.nas.fields import SessionMessage
from core5g.nas.values import Snssai, Tai
from core5g.ngap.errors import NgapError
from core5g.smf import messages, rules, transfers
from core5g.smf.anchor import Anchor, Listener, NoAnchor
from core5g.smf.base import Access, Action, Answer, Key, Request, Transfer
from core5g.smf.causes import Cause
from core5g.smf.config import SmfConfig
from core5g.smf.pool import NoAddress
from core5g.smf.session import Session, State
from core5g.smf.upfs import Upf
from testbed.errors import TestbedError

_TRIES = 5
"""T3591 and T3592: how often a UE is told (TS 24.501, table 10.3.2)."""


class Refused(TestbedError):
    """A UE does not get its session. `cause`: of 5GSM."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(f"5GSM cause {cause.value}")
        self.cause = cause


class Smf:
    """An SMF; keeps the contract `base.Sessions`.

    Attributes:
        config: what it was told. access: its AMF. anchor: its sessions at UPFs. sessions: all of them.
        counts: what happened, by name. by_slice: sessions `requested` and `made`, with the slice. plmn: of its UEs.
    """

    def __init__(self, config: SmfConfig) -> None:
        self.config = config
        self.access: Access | None = None
        self.sessions: dict[Key, Session] = {}
        self.counts: Counter[str] = Counter()
        self.by_slice: Counter[tuple[str, Snssai]] = Counter()
        self.plmn = ""
        listener = Listener(self._data, self._tunnel_lost, self._upf_lost, self._reactivate)
        self.anchor = Anchor(config, listener, self.counts)
        self._last = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, and associate with all UPFs, now or as soon as they can; raises as `Anchor.start`."""
        await self.anchor.start()

    async def stop(self) -> None:
        """End."""
        for session in self.sessions.values():
            session.calm()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.anchor.stop()

    async def create(self, request: Request) -> Answer:
        """Set up a session."""
        self.counts["sessions_requested"] += 1
        self.by_slice["requested", request.slice] += 1
        self.plmn = request.area.plmn
        try:
            message = decode_session(request.message)
        except NasError as error:
            return messages.unreadable(request.session, error, over=True)
        if not isinstance(message, sm.SessionRequest) or message.session != request.session:
            return messages.status(message, Cause.INVALID_SESSION, over=True)
        try:
            session = await self._made_up(request, message)
        except Refused as refused:
            self.counts["sessions_refused"] += 1
            self.counts[f"sessions_refused_{refused.cause.value}"] += 1
            return Answer(messages.reject(message, refused.cause), over=True)
        self.counts["sessions"] += 1
        self.by_slice["made", request.slice] += 1
        return Answer(messages.accept(session, message, self.config), Action.SETUP, transfers.setup(session))

    async def _made_up(self, request: Request, message: sm.SessionRequest) -> Session:
        if message.kind not in (None, sm.IPV4, sm.IPV6, sm.IPV4V6):
            raise Refused(Cause.UNKNOWN_TYPE_OF_SESSION)
        if message.kind == sm.IPV6:
            raise Refused(Cause.ONLY_IPV4)
        if not self.anchor.upfs.known(request.dnn):
            raise Refused(Cause.UNKNOWN_DNN)
        await self.drop(request.key)  # a UE that asks anew has forgotten what it had (TS 24.501, 6.4.1.7)
        upf = self.anchor.upfs.choose(request.dnn, request.slice, request.area.tac)
        if upf is None:
            raise Refused(Cause.INSUFFICIENT_RESOURCES_FOR_SLICE)
        session = self._new(request, upf)
        async with session.lock:  # a UE that leaves meanwhile has it dropped when there is something to drop
            try:
                await self.anchor.establish(session)
            except NoAnchor:
                self._forget(session)
                raise Refused(Cause.NETWORK_FAILURE) from None
        return session

    def _new(self, request: Request, upf: Upf) -> Session:
        may = request.may
        try:
            address = upf.pools[request.dnn].take(may.address)
        except NoAddress:
            raise Refused(Cause.INSUFFICIENT_RESOURCES) from None
        self._last += 1
        session = Session(request.key, request.slice, request.dnn, may.ambr, may.quality, address, upf, self._last)
        self.sessions[request.key] = session
        return session

    async def message(self, key: Key, data: bytes) -> Answer:
        """Take a UE's message about a session."""
        session = self.sessions.get(key)
        try:
            message = decode_session(data)
        except NasError as error:
            return messages.unreadable(key[1], error, over=session is None)
        if session is None:
            return messages.status(message, Cause.INVALID_SESSION, over=True)
        async with session.lock:
            return await self._taken(session, message)

    async def _taken(self, session: Session, message: SessionMessage) -> Answer:
        answer = Answer()
        match message:
            case sm.ReleaseRequest():
                answer = await self.ending(session, Cause.REGULAR, message.transaction)
            case sm.ReleaseComplete() if session.state == State.ENDING:
                self._forget(session)
                answer = Answer(over=True)
            case sm.ModificationComplete() | sm.ModificationCommandReject():
                session.calm()
                self.counts[f"changes_{'made' if isinstance(message, sm.ModificationComplete) else 'refused'}"] += 1
            case sm.ModificationRequest():
                answer = messages.no_change(message)
            case sm.SessionStatus():
                self.counts["status_from_ues"] += 1
            case _:
                answer = messages.status(message, Cause.WRONG_STATE)
        return answer

    async def ending(self, session: Session, cause: Cause, transaction: int = 0) -> Answer:
        """Begin a session's end; return what its UE and gNB are to be told. Its lock is held."""
        message = messages.release(session, cause, transaction)
        answer = session.told(message, Action.RELEASE, transfers.release())
        if session.state != State.ENDING:
            session.state = State.ENDING
            await self.anchor.delete(session)
        self.tell_again(session, message)
        return answer

    def push(self, session: Session, answer: Answer) -> None:
        """Have a UE and its gNB told what they have not asked for."""
        if self.access is not None:
            self.access.push(session.key, answer)

    def tell_again(self, session: Session, message: bytes, tries: int = _TRIES) -> None:
        """Tell a UE again what it does not answer; what is to end ends without it then."""
        session.calm()

        def due() -> None:
            session.timer = None
            if tries > 1:
                self.push(session, Answer(message))
                self.tell_again(session, message, tries - 1)
                return
            self.counts["silent"] += 1
            if session.state == State.ENDING:
                self._forget(session)
                self.push(session, Answer(over=True))

        session.timer = asyncio.get_running_loop().call_later(self.config.again, due)

    async def made(self, key: Key, transfer: Transfer) -> Answer:
        """A gNB has resources for a session: packets may go to it."""
        session = self.sessions.get(key)
        if session is None:
            return Answer(over=True)
        async with session.lock:
            try:
                tunnel = transfers.made(transfer)
            except NgapError:
                return await self._without_gnb(session)
            if session.state != State.ENDING:
                await self._move(session, tunnel)
        return Answer()

    async def _move(self, session: Session, tunnel: Tunnel) -> bool:
        moved = session.downlink is not None
        session.downlink, session.state = tunnel, State.ACTIVE
        return await self.anchor.modify(session, rules.forward(session, tunnel, self.config.dscp, moved))

    async def refused(self, key: Key) -> Answer:
        """A gNB has none: the session stays without, or ends if it was new (TS 23.502, 4.3.2.2.1)."""
        session = self.sessions.get(key)
        if session is None:
            return Answer(over=True)
        async with session.lock:
            return await self._without_gnb(session)

    async def _without_gnb(self, session: Session) -> Answer:
        self.counts["resources_refused"] += 1
        if session.state == State.NEW:
            return await self.ending(session, Cause.INSUFFICIENT_RESOURCES)
        if session.state == State.ACTIVE:
            session.state = State.IDLE
        return Answer()

    async def activate(self, key: Key, area: Tai) -> Answer:
        """The UE is connected and wants its session's packets."""
        session = self.sessions.get(key)
        if session is None or session.state == State.ENDING or session.uplink is None:
            return Answer(over=session is None)
        return Answer(None, Action.SETUP, transfers.setup(session))

    async def deactivate(self, key: Key) -> None:
        """The UE is idle: packets wait at the UPF."""
        session = self.sessions.get(key)
        if session is None:
            return
        async with session.lock:
            session.downlink = session.next = None
            if session.state == State.ACTIVE:
                session.state = State.IDLE
                await self.anchor.modify(session, rules.wait())

    async def switched(self, key: Key, transfer: Transfer) -> bytes | None:
        """A session's UE came to another gNB by itself (Xn); return what to tell that; None where it cannot be."""
        session = self.sessions.get(key)
        try:
            tunnel = transfers.switched(transfer)
        except NgapError:
            return None
        if session is None or session.state == State.ENDING:
            return None
        async with session.lock:
            return transfers.switch(session) if await self._move(session, tunnel) else None

    async def prepare(self, key: Key) -> bytes | None:
        """Return what the gNB that a UE is to go to is to be told (N2 handover)."""
        session = self.sessions.get(key)
        return transfers.setup(session) if session is not None and session.state == State.ACTIVE else None

    async def prepared(self, key: Key, transfer: Transfer) -> bytes | None:
        """That gNB has resources; return what to tell the one that the UE leaves."""
        session = self.sessions.get(key)
        try:
            tunnel = transfers.prepared(transfer)
        except NgapError:
            return None
        if session is None:
            return None
        session.next = tunnel
        return transfers.command()

    async def handed_over(self, key: Key, arrived: bool) -> None:
        """The UE has come to that gNB, or will not."""
        session = self.sessions.get(key)
        if session is None:
            return
        async with session.lock:
            tunnel, session.next = session.next, None
            if arrived and tunnel is not None and session.state != State.ENDING:
                await self._move(session, tunnel)

    async def drop(self, key: Key) -> None:
        """The UE has left: the session is no more."""
        session = self.sessions.get(key)
        if session is None:
            return
        async with session.lock:
            if session.state != State.ENDING:
                session.state = State.ENDING
                await self.anchor.delete(session)
            self._forget(session)

    def _forget(self, session: Session) -> None:
        session.calm()
        session.state = State.ENDING
        if self.sessions.get(session.key) is session:
            del self.sessions[session.key]
            session.upf.pools[session.dnn].give_back(session.address)
        self.anchor.by_seid.pop(session.seid, None)

    def _data(self, session: Session) -> None:
        if self.access is not None:
            self.access.wanted(session.key)

    def _tunnel_lost(self, session: Session) -> None:
        """A gNB does not know a session's tunnel: packets wait, and the UE is called (TS 23.527, 5.3.3.1)."""

        async def steps() -> None:
            await self.deactivate(session.key)
            self._data(session)

        self._later(steps())

    def _upf_lost(self, upf: Upf) -> None:
        """Sessions of a UPF that is gone end, and their UEs are asked to set them up anew (TS 23.527, 4.3)."""
        self.counts["upfs_lost"] += 1
        for session in [one for one in self.sessions.values() if one.upf is upf]:
            self._reactivate(session)

    def _reactivate(self, session: Session) -> None:
        async def steps() -> None:
            async with session.lock:
                if session.state == State.ENDING:
                    return
                message = messages.release(session, Cause.REACTIVATION_REQUESTED)
                answer = session.told(message, Action.RELEASE, transfers.release())
                session.state = State.ENDING
                self.push(session, answer)
                self.tell_again(session, message)

        self._later(steps())

    def _later(self, steps: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(steps)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
