"""ICMP and ICMPv6 echo (RFC 792, RFC 4443) over raw sockets: does a packet come back, and if not, who said what."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from dataclasses import dataclass, field

from testbed.emulator.context import Context
from testbed.emulator.messages import Reach, Reached
from testbed.emulator.probes import sockets
from testbed.emulator.probes.base import check_range, wait_readable

_ECHO = struct.Struct("!BBHHH")
_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_REPLY = {socket.AF_INET: 0, socket.AF_INET6: 129}
_identifiers = itertools.count(os.getpid())

ERRORS: dict[socket.AddressFamily, dict[int, tuple[str, dict[int, str]]]] = {
    socket.AF_INET: {
        3: (
            "destination unreachable",
            {
                0: "network unreachable",
                1: "host unreachable",
                2: "protocol unreachable",
                3: "port unreachable",
                4: "fragmentation needed",
                13: "administratively prohibited",
            },
        ),
        11: ("time exceeded", {0: "TTL exceeded in transit", 1: "reassembly time exceeded"}),
        12: ("parameter problem", {}),
    },
    socket.AF_INET6: {
        1: (
            "destination unreachable",
            {
                0: "no route to destination",
                1: "administratively prohibited",
                3: "address unreachable",
                4: "port unreachable",
            },
        ),
        2: ("packet too big", {}),
        3: ("time exceeded", {0: "hop limit exceeded in transit", 1: "reassembly time exceeded"}),
        4: ("parameter problem", {}),
    },
}
"""ICMP (RFC 792, RFC 1812) and ICMPv6 (RFC 4443) error types and codes in words."""


@dataclass(slots=True)
class Echoes:
    """What happened to each packet, by sequence number: times sent (the kernel's in `left`), RTTs, failures."""

    destination: str
    identifier: int
    sent: dict[int, int] = field(default_factory=dict)
    left: set[int] = field(default_factory=set)
    rtt: dict[int, float] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    def outstanding(self) -> bool:
        return len(self.rtt) + len(self.failed) < len(self.sent)


def handle(request: Reach, context: Context) -> Reached:
    """Send `count` echo requests and wait for the answers.

    Raises:
        BadInput: an unknown node, a count, interval or timeout out of range.
        AgentError: the destination is not an address.
    """
    check_range("count", request.count, 1, 10_000)
    check_range("interval", request.interval, 0, 60)
    check_range("timeout", request.timeout, 0.001, 3600)
    with context.node(request.source).enter():
        sock = _open(sockets.family(request.destination))
    echoes = Echoes(request.destination, next(_identifiers) & 0xFFFF)
    with sock:
        for sequence in range(request.count):
            _send(sock, sequence, echoes)
            last = sequence + 1 == request.count
            deadline = time.monotonic() + (request.timeout if last else request.interval)
            while (not last or echoes.outstanding()) and not context.cancelled.is_set():
                if not wait_readable(sock, deadline):
                    break
                _drain(sock, echoes)
    return _summarise(request, echoes)


def describe(family: socket.AddressFamily, kind: int, code: int) -> str:
    """Say what an ICMP error means."""
    name, codes = ERRORS[family].get(kind, (f"ICMP type {kind}", {}))
    return codes.get(code, f"{name}, code {code}")


def checksum(data: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _open(family: socket.AddressFamily) -> socket.socket:
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    sock = socket.socket(family, socket.SOCK_RAW, protocol)
    sock.setblocking(False)
    sockets.stamp_times(sock)
    return sock


def _send(sock: socket.socket, sequence: int, echoes: Echoes) -> None:
    family = sock.family
    body = b"testbed reach".ljust(48, b".")
    head = _ECHO.pack(_REQUEST[family], 0, 0, echoes.identifier, sequence)
    if family == socket.AF_INET:  # for ICMPv6 the kernel computes it
        head = _ECHO.pack(_REQUEST[family], 0, checksum(head + body), echoes.identifier, sequence)
    echoes.sent[sequence] = sockets.now()
    failure = sockets.send(sock, head + body, (echoes.destination, 0))
    if failure:
        echoes.failed[sequence] = f"not sent: {os.strerror(failure)}"


def _drain(sock: socket.socket, echoes: Echoes) -> None:
    while packet := sockets.receive(sock):
        message = packet.data
        if sock.family == socket.AF_INET:
            message = message[(message[0] & 0x0F) * 4 :]
        if len(message) >= _ECHO.size:
            _read(sock.family, message, packet, echoes)
    for frame, moment in sockets.read_queue(sock)[0]:
        request = sockets.transport(frame)[: _ECHO.size]
        if len(request) == _ECHO.size and _ECHO.unpack(request)[3] == echoes.identifier:
            _depart(echoes, _ECHO.unpack(request)[4], moment)


def _depart(echoes: Echoes, sequence: int, moment: int) -> None:
    """Replace the time a request was written by the time the kernel sent it."""
    if sequence in echoes.left or sequence not in echoes.sent:
        return
    echoes.left.add(sequence)
    if sequence in echoes.rtt:
        echoes.rtt[sequence] -= (moment - echoes.sent[sequence]) / 1e9
    echoes.sent[sequence] = moment


def _read(family: socket.AddressFamily, message: bytes, packet: sockets.Packet, echoes: Echoes) -> None:
    kind, code, _, number, sequence = _ECHO.unpack_from(message)
    if kind == _REPLY[family]:
        if number == echoes.identifier and packet.address[0] == echoes.destination and sequence in echoes.sent:
            echoes.rtt.setdefault(sequence, ((packet.time or sockets.now()) - echoes.sent[sequence]) / 1e9)
    elif kind in ERRORS[family]:
        quoted = _quoted(family, message[_ECHO.size :])
        if quoted and quoted[0] == echoes.identifier and quoted[1] in echoes.sent:
            reason = f"{describe(family, kind, code)} from {packet.address[0]}"
            echoes.failed.setdefault(quoted[1], reason)


def _quoted(family: socket.AddressFamily, packet: bytes) -> tuple[int, int] | None:
    """Identifier and sequence number of the echo request that an ICMP error quotes; None for anything else."""
    if not packet:
        return None
    ours = packet[6:7] == b"\x3a" if family == socket.AF_INET6 else packet[9:10] == b"\x01"
    echo = packet[40 if family == socket.AF_INET6 else (packet[0] & 0x0F) * 4 :][: _ECHO.size]
    if not ours or len(echo) < _ECHO.size:
        return None
    kind, _, _, identifier, sequence = _ECHO.unpack(echo)
    return (identifier, sequence) if kind == _REQUEST[family] else None


def _summarise(request: Reach, echoes: Echoes) -> Reached:
    came = {number: rtt for number, rtt in echoes.rtt.items() if rtt <= request.timeout}
    detail = tuple(
        f"packet {number + 1} to {request.destination}: "
        + echoes.failed.get(number, f"no answer within {request.timeout:g} s")
        for number in echoes.sent
        if number not in came
    )
    return Reached(
        sent=len(echoes.sent), received=len(came), rtt=tuple(came[number] for number in sorted(came)), detail=detail
    )
