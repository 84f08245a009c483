"""A PFCP entity: asks again until it is answered, answers what is asked again as before (3GPP TS 29.244, 6.4)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import cast

from core5g.pfcp import codec
from core5g.pfcp.codec import Cause, Elements, Kind, Message
from core5g.pfcp.errors import PfcpError
from testbed.errors import AddressInUse, TestbedError, Unable

AGAIN = 1.0
"""s: T1. An answer comes within a millisecond or two, unless it is lost."""
TRIES = 4
"""N1 requests and the first."""
_KEPT = 4096
"""Answers kept for requests that come again."""
_SINCE_1900 = 2_208_988_800
_RESPONSES = frozenset(one for one in Kind if one.name.endswith("RESPONSE"))

Peer = tuple[str, int]
Answer = tuple[Elements, int | None]
"""Elements and the receiver's SEID."""
Handler = Callable[[Message, Peer], Answer]


class NoAnswer(TestbedError):
    """A PFCP peer does not answer."""


class Rejected(TestbedError):
    """A PFCP peer does not do what it was asked.

    Attributes:
        cause: of the standard.
    """

    def __init__(self, what: str, cause: int) -> None:
        name = Cause(cause).name if cause in list(Cause) else str(cause)
        super().__init__(f"{what} rejected: {name.lower().replace('_', ' ')}")
        self.cause = cause


class Node(asyncio.DatagramProtocol):
    """One end of N4.

    Attributes:
        address: where it listens, with the port that it has. started: its recovery time stamp, seconds since 1900.
        handlers: of requests, by type. counts: what happened, by name.
    """

    def __init__(self, handlers: dict[Kind, Handler]) -> None:
        self.handlers = {Kind.HEARTBEAT_REQUEST: self._heartbeat, **handlers}
        self.address: Peer = ("", 0)
        self.started = int(time.time()) + _SINCE_1900 & 0xFFFFFFFF
        self.counts: Counter[str] = Counter()
        self._sequence = 0
        self._asked: dict[tuple[Peer, int], asyncio.Future[Message]] = {}
        self._answered: OrderedDict[tuple[Peer, int], bytes] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self, host: str, port: int = codec.PORT) -> None:
        """Listen.

        Raises:
            AddressInUse, Unable: it cannot.
        """
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=(host, port))
        except OSError as error:
            kind = AddressInUse if "in use" in str(error) else Unable
            raise kind(f"PFCP cannot listen at {host}:{port}: {error.strerror or error}") from None

    def stop(self) -> None:
        """Listen no more; who waits for an answer is told."""
        if self._transport is not None:
            self._transport.close()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(NoAnswer("PFCP ends"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by asyncio."""
        self._transport = cast(asyncio.DatagramTransport, transport)
        host, port, *_ = transport.get_extra_info("sockname")
        self.address = (host, port)

    async def request(self, peer: Peer, kind: Kind, ies: Elements, seid: int | None = None) -> Message:
        """Ask a peer; return its answer, whatever its cause.

        Raises:
            NoAnswer: there is none.
        """
        loop = asyncio.get_running_loop()
        self._sequence = (self._sequence + 1) % 2**24
        key = (peer, self._sequence)
        data = codec.encode(Message(kind, self._sequence, ies, seid))
        future = self._asked[key] = loop.create_future()
        try:
            for _ in range(TRIES):
                self._send(data, peer)
                timer = loop.call_later(AGAIN, _expire, future)
                try:
                    return await future
                except TimeoutError:
                    self.counts["sent_again"] += 1
                    future = self._asked[key] = loop.create_future()
                finally:
                    timer.cancel()
        finally:
            del self._asked[key]
        raise NoAnswer(f"{peer[0]}:{peer[1]}: no answer to {kind.name.lower()} after {TRIES} requests")

    async def accepted(self, peer: Peer, kind: Kind, ies: Elements, seid: int | None = None) -> Message:
        """Ask a peer; return its answer if it accepts.

        Raises:
            NoAnswer: there is none. Rejected: it does not.
        """
        answer = await self.request(peer, kind, ies, seid)
        cause = answer.ies.get("cause", 0)
        if cause != Cause.ACCEPTED:
            raise Rejected(kind.name.lower(), cause)
        return answer

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        """Take a message; called by asyncio."""
        peer = (addr[0], addr[1])
        try:
            message = codec.decode(data)
        except PfcpError as error:
            self.counts["errors"] += 1
            self._complain(data, peer, error)
            return
        if message.kind in _RESPONSES:
            future = self._asked.get((peer, message.sequence))
            if future is not None and not future.done():
                future.set_result(message)
            return
        self._answer(message, peer)

    def _answer(self, message: Message, peer: Peer) -> None:
        key = (peer, message.sequence)
        data = self._answered.get(key)
        if data is None:
            data = self._made(message, peer)
            self._answered[key] = data
            if len(self._answered) > _KEPT:
                self._answered.popitem(last=False)
        else:
            self.counts["answered_again"] += 1
        self._send(data, peer)

    def _made(self, message: Message, peer: Peer) -> bytes:
        handler = self.handlers.get(message.kind)
        try:
            if handler is None:
                raise PfcpError(f"{message.kind.name} is not for this function", Cause.SERVICE_NOT_SUPPORTED)
            ies, seid = handler(message, peer)
        except PfcpError as error:
            self.counts["refused"] += 1
            ies, seid = _refusal(error), None if message.seid is None else 0
        return codec.encode(Message(Kind(message.kind + 1), message.sequence, ies, seid))

    def _complain(self, data: bytes, peer: Peer, error: PfcpError) -> None:
        """Answer a request that cannot be read; what is not even that is ignored, or two could talk for ever."""
        sequence = codec.sequence_of(data)
        kinds = [one for one in Kind if len(data) > 1 and one == data[1] and one not in _RESPONSES]
        if sequence is None or not kinds or Kind(kinds[0] + 1) not in _RESPONSES:
            return
        seid = 0 if data[0] & 1 else None
        self._send(codec.encode(Message(Kind(kinds[0] + 1), sequence, _refusal(error), seid)), peer)

    def _heartbeat(self, message: Message, _: Peer) -> Answer:
        codec.wanted(message, "recovery_time_stamp")
        return {"recovery_time_stamp": self.started}, None

    def _send(self, data: bytes, peer: Peer) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, peer)


def _refusal(error: PfcpError) -> Elements:
    ies: Elements = {"cause": error.cause}
    if error.offending:
        ies["offending_ie"] = error.offending
    return ies


def _expire(future: asyncio.Future[Message]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())
