"""STAMP Session-Sender (RFC 8762 4.2): delay, loss, duplication and reordering between two nodes.

Times are the kernel's: a packet's own timestamp field says when Python wrote it, which in a busy guest is long before
it left; the kernel's transmit time replaces it where there is one, at both ends.
"""

from __future__ import annotations

import itertools
import math
import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import overload

from testbed.emulator.context import Context
from testbed.emulator.messages import Progress, Stamp, StampResult
from testbed.emulator.parts import Opened, ReflectorClose, ReflectorOpen, Reply, Session, StampLog, StampSend
from testbed.emulator.probes import sockets, wire
from testbed.emulator.probes.base import Ask, Ends, Tell, check_owner, check_range, far_end, shared, wait_readable
from testbed.emulator.probes.reflector import CLOCK_ERROR, Reflectors

_NAN = math.nan
_PRIMING_TIMEOUT = 1.0
_GRACE = 60.0
_NO_SESSION = 0  # RFC 8972 3: an SSID of zero identifies none
_ssids = itertools.count(1)


class Reflecting:
    """One session at its reflector."""

    def __init__(self, reflectors: Reflectors, request: ReflectorOpen, context: Context, ssid: int) -> None:
        with ExitStack() as stack:
            self._reflector = stack.enter_context(reflectors.use(context, request.node, request.address))
            self._session = stack.enter_context(self._reflector.expect(ssid))
            self._stack = stack.pop_all()

    def end(self) -> Session:
        """Return what the reflector knows of the session, and end it."""
        self._reflector.settle()
        self.close()
        return self._session

    def close(self) -> None:
        self._stack.close()


@overload
def handle(request: Stamp, context: Context) -> StampResult: ...
@overload
def handle(
    request: Stamp | ReflectorOpen | ReflectorClose | StampSend, context: Context
) -> StampResult | Opened | Session | StampLog: ...
def handle(
    request: Stamp | ReflectorOpen | ReflectorClose | StampSend, context: Context
) -> StampResult | Opened | Session | StampLog:
    """Run one session and wait for its end, or one half of one.

    Raises:
        BadInput: an unknown node, an address that is not the reflector's, a count, interval or size out of range.
        AgentError: the reflector's port is taken by another process.
    """
    if isinstance(request, StampSend):
        return _send(request, context)
    ends: Ends[Reflecting] = shared(context, "ReflectorOpen", lambda: Ends("session"))
    if isinstance(request, ReflectorOpen):
        return _open(request, context, ends)
    if isinstance(request, ReflectorClose):
        return ends.take(request.number).end()
    return carry_out(request, lambda part: handle(part, context), context.emit)


def carry_out(request: Stamp, ask: Ask, tell: Tell) -> StampResult:
    """Run one session between two nodes, whoever has them.

    Raises:
        As `handle`.
    """
    _check(request)
    lasts = request.count * (request.interval + 1.0) + request.timeout + _GRACE
    opening = ReflectorOpen(node=request.reflector, address=request.destination, seconds=lasts)

    def closing(opened: Opened) -> ReflectorClose:
        return ReflectorClose(node=request.reflector, number=opened.number)

    with far_end(ask, opening, closing) as opened:
        fields = {name: getattr(request, name) for name in StampSend.__struct_fields__ if name != "ssid"}
        log = ask(StampSend(**fields, ssid=opened.number))
    session = ask(closing(opened))
    for number, count in log.unsendable.items():
        tell(Progress(text=f"{request.source}: {count} of {request.count} packets not sent: {os.strerror(number)}"))
    return summarise(request, log, session)


def _open(request: ReflectorOpen, context: Context, ends: Ends[Reflecting]) -> Opened:
    check_owner(context, request.address, request.node, "reflector")
    ssid = new_ssid()
    reflectors: Reflectors = shared(context, "Stamp", Reflectors)
    ends.add(ssid, Reflecting(reflectors, request, context, ssid), request.seconds)
    return Opened(number=ssid, port=wire.PORT)


def _send(request: StampSend, context: Context) -> StampLog:
    with context.node(request.source).enter():
        sock = sockets.datagram(request.destination)
    with sock:
        prime(sock, request)
        return run(sock, request, request.ssid, cancelled=context.cancelled.is_set)


def new_ssid() -> int:
    """Return a session identifier (RFC 8972 3), 1 to 65535, different from all that are in use."""
    return (next(_ssids) - 1) % 0xFFFF + 1


def prime(sock: socket.socket, request: StampSend) -> None:
    """Send one packet outside the session and wait for it: no measured packet then waits for ARP or ND on its way."""
    _configure(sock, request)
    destination = (request.destination, wire.PORT)
    packet = wire.SenderPacket(0, sockets.now(), CLOCK_ERROR, _NO_SESSION)
    if sockets.send(sock, wire.pack_sender(packet, request.size), destination):
        return
    deadline = time.monotonic() + min(_PRIMING_TIMEOUT, request.timeout)
    while sockets.receive(sock) is None and wait_readable(sock, deadline):
        sockets.read_queue(sock)


def run(
    sock: socket.socket,
    request: Stamp | StampSend,
    ssid: int,
    port: int = wire.PORT,
    cancelled: Callable[[], bool] = lambda: False,
) -> StampLog:
    """Send the session's packets at their times, then wait for what is still on its way.

    What has come in is read before a packet is sent and never right after: in a guest of one CPU that work would delay
    the packet that has just left. Nothing is lost by reading late, the times are the kernel's.
    """
    _configure(sock, request)
    log = StampLog()
    start = time.monotonic()
    for sequence in range(request.count):
        pause = start + sequence * request.interval - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        if cancelled():
            break
        _drain(sock, request.destination, ssid, log)
        log.written.append(sockets.now())
        packet = wire.SenderPacket(sequence, log.written[-1], CLOCK_ERROR, ssid)
        failure = sockets.send(sock, wire.pack_sender(packet, request.size), (request.destination, port))
        if failure:
            log.unsendable[failure] = log.unsendable.get(failure, 0) + 1
    deadline = time.monotonic() + request.timeout
    possible = len(log.written) - sum(log.unsendable.values())
    while len(log.replies) < possible and not cancelled() and wait_readable(sock, deadline):
        _drain(sock, request.destination, ssid, log)
    return log


def summarise(request: Stamp, log: StampLog, session: Session | None) -> StampResult:
    """Turn a log into times per packet.

    Args:
        session: the reflector's own record; without (a reflector elsewhere) the split of losses by direction comes from
            its sequence numbers, and its transmit times from its packets.
    """
    limit = round(request.timeout * 1e9)
    rows = [_times(log, session, sequence, limit) for sequence in range(len(log.written))]
    received = sum(not math.isnan(row[0]) for row in rows)
    lost = len(rows) - received
    forward = min(lost, max(0, len(rows) - _reflected(log, session)))
    return StampResult(
        rtt=tuple(row[0] for row in rows),
        forward=tuple(row[1] for row in rows),
        backward=tuple(row[2] for row in rows),
        sent=len(rows),
        received=received,
        lost_forward=forward,
        lost_backward=lost - forward,
        duplicated=log.answers - len(log.replies),
        reordered=log.reordered,
        kernel_timestamps=_all_by_kernel(log, session),
    )


def _check(request: Stamp) -> None:
    check_range("count", request.count, 1, 1_000_000)
    check_range("interval", request.interval, 0, 60)
    check_range("timeout", request.timeout, 0.001, 3600)
    check_range("size", request.size, wire.BASE_SIZE, 65_000)
    check_range("dscp", request.dscp, 0, 63)


def _configure(sock: socket.socket, request: Stamp | StampSend) -> None:
    sockets.set_ttl(sock, 255)
    sockets.set_dscp(sock, request.dscp)
    sockets.set_receive_buffer(sock, 1 << 20)


def _drain(sock: socket.socket, destination: str, ssid: int, log: StampLog) -> None:
    while packet := sockets.receive(sock):
        reply = wire.unpack_reflector(packet.data)
        ours = reply is not None and reply.ssid == ssid and packet.address[0] == destination
        if reply is not None and ours and reply.sender_sequence < len(log.written):
            _take(log, reply, packet.time)
    for frame, moment in sockets.read_queue(sock)[0]:
        sent = wire.unpack_sender(sockets.payload(frame))
        if sent and sent.ssid == ssid:
            log.departures.setdefault(sent.sequence, moment)


def _take(log: StampLog, reply: wire.ReflectorPacket, moment: int | None) -> None:
    log.answers += 1
    number = reply.sender_sequence
    if number in log.replies:
        return
    log.replies[number] = Reply(
        sequence=reply.sequence,
        received=reply.receive_time,
        reflected=reply.time,
        time=moment or sockets.now(),
        by_kernel=moment is not None,
    )
    if number < log.highest:
        log.reordered += 1
    log.highest = max(log.highest, number)


def _times(log: StampLog, session: Session | None, sequence: int, limit: int) -> tuple[float, float, float]:
    reply = log.replies.get(sequence)
    if reply is None:
        return _NAN, _NAN, _NAN
    left = log.departures.get(sequence, log.written[sequence])
    departures = session.departures if session else {}
    returned = departures.get(reply.sequence, reply.reflected)
    forward, backward = reply.received - left, reply.time - returned
    if forward + backward > limit:  # too late counts as lost
        return _NAN, _NAN, _NAN
    return (forward + backward) / 1e9, forward / 1e9, backward / 1e9


def _reflected(log: StampLog, session: Session | None) -> int:
    """How many different packets reached the reflector, which counts what it answers (RFC 8762 4.3.1: stateful)."""
    if session is not None:
        return len(session.received)
    highest = max((reply.sequence for reply in log.replies.values()), default=-1)
    return max(len(log.replies), highest + 1 - (log.answers - len(log.replies)))


def _all_by_kernel(log: StampLog, session: Session | None) -> bool:
    departures = session.departures if session else {}
    return (session is None or session.by_kernel) and all(
        reply.by_kernel and sequence in log.departures and (session is None or reply.sequence in departures)
        for sequence, reply in log.replies.items()
    )
