"""UDP traceroute that reads ICMP errors from the socket's own error queue: no raw socket, no fork."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field

from testbed.emulator.context import Context
from testbed.emulator.messages import Hop, Hops, Progress, Trace
from testbed.emulator.probes import sockets
from testbed.emulator.probes.base import check_range, wait_readable

_BASE_PORT = 33434
_PORTS = 64
_AT_ONCE = 4
_TRIES = 3
_EXCEEDED = {(socket.AF_INET, 11), (socket.AF_INET6, 3)}
_PORT_UNREACHABLE = {(socket.AF_INET, 3, 3), (socket.AF_INET6, 1, 4)}


@dataclass(slots=True)
class Answers:
    """ICMP answers by hop. `sent` maps a probe's destination port to its hop and when it left (Unix nanoseconds)."""

    sent: dict[int, tuple[int, int]] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)
    hops: dict[int, tuple[str | None, float]] = field(default_factory=dict)
    final: dict[int, bool] = field(default_factory=dict)
    """Hop to whether its answer ended the path at the destination (True) or broke it off (False)."""

    def heard(self, first: int) -> bool:
        """Whether any hop from `first` on answered: a path silent for a whole batch is not followed further."""
        return any(hop >= first for hop in self.hops)


def handle(request: Trace, context: Context) -> Hops:
    """Find the path hop by hop, four hops at once, a silent hop asked up to three times.

    Raises:
        BadInput: an unknown node, a number of hops or a timeout out of range.
        AgentError: the destination is not an address.
    """
    check_range("max_hops", request.max_hops, 1, _PORTS)
    check_range("timeout", request.timeout, 0.001, 60)
    with context.node(request.source).enter():
        sock = sockets.datagram(request.destination)
    answers = Answers()
    with sock:
        for first in range(1, request.max_hops + 1, _AT_ONCE):
            failure = _ask(sock, request, answers, range(first, min(first + _AT_ONCE, request.max_hops + 1)))
            if failure:
                context.emit(Progress(f"{request.source} cannot send to {request.destination}: {os.strerror(failure)}"))
            if answers.final or failure or not answers.heard(first) or context.cancelled.is_set():
                break
    return _summarise(answers, context)


def _ask(sock: socket.socket, request: Trace, answers: Answers, hops: range) -> int:
    """Ask these hops; return 0, or the errno that keeps every packet of a try here."""
    for attempt in range(_TRIES):
        silent = [hop for hop in hops if hop not in answers.hops and hop < min(answers.final, default=256)]
        failures = [_send(sock, request, answers, hop, attempt) for hop in silent]
        if failures and all(failures):
            return failures[0]
        deadline = time.monotonic() + request.timeout / _TRIES
        while not _complete(answers, hops) and wait_readable(sock, deadline):
            _drain(sock, request, answers)
        if _complete(answers, hops):
            break
    return 0


def _send(sock: socket.socket, request: Trace, answers: Answers, hop: int, attempt: int) -> int:
    port = _BASE_PORT + attempt * _PORTS + hop
    sockets.set_ttl(sock, hop)
    answers.sent[port] = (hop, sockets.now())
    return sockets.send(sock, b"testbed trace".ljust(32, b"."), (request.destination, port))


def _complete(answers: Answers, hops: range) -> bool:
    last = min(answers.final, default=hops[-1])
    return all(hop in answers.hops for hop in hops if hop <= last)


def _drain(sock: socket.socket, request: Trace, answers: Answers) -> None:
    while sockets.receive(sock):
        pass  # somebody answers on that port: not what a traceroute is about
    departures, errors = sockets.read_queue(sock)
    for frame, moment in departures:
        port = int.from_bytes(sockets.transport(frame)[2:4], "big")
        if port in answers.sent and port not in answers.left:
            answers.left.add(port)
            answers.sent[port] = (answers.sent[port][0], moment)
    for error in errors:
        if error.destination[1] in answers.sent:
            _take(sock.family, request, answers, error)


def _take(family: int, request: Trace, answers: Answers, error: sockets.QueuedError) -> None:
    hop, sent = answers.sent[error.destination[1]]
    answers.hops.setdefault(hop, (error.offender, ((error.time or sockets.now()) - sent) / 1e9))
    if (family, error.kind) not in _EXCEEDED:
        arrived = (family, error.kind, error.code) in _PORT_UNREACHABLE and error.offender == request.destination
        answers.final.setdefault(hop, arrived)


def _summarise(answers: Answers, context: Context) -> Hops:
    last = min(answers.final, default=max(answers.hops, default=0))
    hops = []
    for ttl in range(1, last + 1):
        address, rtt = answers.hops.get(ttl, (None, None))
        hops.append(Hop(ttl=ttl, address=address, node=address and context.owner_of(address), rtt=rtt))
    return Hops(hops=tuple(hops), reached=answers.final.get(last, False))
