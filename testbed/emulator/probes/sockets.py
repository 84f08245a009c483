"""Sockets of the probes: kernel timestamps in both directions, queued ICMP errors, ancillary data.

The kernel stamps a packet when the device driver takes it (transmit) and when the device hands it over (receive), so
the times do not depend on when Python runs. A socket keeps the network namespace of the thread that made it and may be
used from any thread.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import NamedTuple

from testbed.errors import AgentError

# linux/net_tstamp.h, asm-generic/socket.h, linux/in.h, linux/in6.h, linux/errqueue.h: not in Python's socket module
_SO_TIMESTAMPING = 37
_TX_SOFTWARE, _RX_SOFTWARE, _SOFTWARE = 1 << 1, 1 << 3, 1 << 4
_IP_RECVERR, _IP_RECVTTL, _IP_FREEBIND = 11, 12, 15
_IPV6_RECVERR, _IPV6_FREEBIND = 25, 78
_IPV6_HOPLIMIT = 52
_SO_RCVBUFFORCE = 33
_UDP_SEGMENT = 103  # linux/udp.h
_MOST_SEGMENTS, _MOST_BYTES = 64, 65_000  # UDP_MAX_SEGMENTS, and what fits an IP packet
_ORIGIN_LOCAL, _ORIGIN_TIMESTAMPING = 1, 4
_EXTENDED_ERROR = struct.Struct("=IBBBBII")
_TIMESPEC = struct.Struct("=qq")
_ANCILLARY = 512
_QUEUED_SIZE = 256

UNSENDABLE = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENETUNREACH,
        errno.ENETDOWN,
        errno.ENONET,
        errno.EADDRNOTAVAIL,
        errno.ENOBUFS,
        errno.EMSGSIZE,
        errno.EPERM,
        errno.EACCES,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EINVAL,
        errno.EAGAIN,
    }
)
"""Errors of a send that mean: this packet was not delivered (no route, link down, too big, an ICMP error before it)."""


class Packet(NamedTuple):
    """A received packet: `time` is the kernel's in Unix nanoseconds, None when it gave none."""

    data: bytes
    address: tuple[str, int]
    time: int | None
    ttl: int
    traffic_class: int


class QueuedError(NamedTuple):
    """An ICMP or local error about a packet sent before.

    Attributes:
        destination: address and port the packet was sent to.
        offender: who says so; None for this node's own kernel.
        kind, code: ICMP type and code.
        time: kernel's receive time of the ICMP message, Unix nanoseconds.
    """

    destination: tuple[str, int]
    offender: str | None
    kind: int
    code: int
    number: int
    time: int | None


def family(address: str) -> socket.AddressFamily:
    """Return the address family of an address literal.

    Raises:
        AgentError: neither IPv4 nor IPv6.
    """
    for candidate in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(candidate, address)
        except OSError:
            continue
        return candidate
    raise AgentError(f"destination is {address!r}; expected an IPv4 or IPv6 address such as 10.0.0.1")


def datagram(address: str) -> socket.socket:
    """Make a UDP socket of `address`'s family in the calling thread's network namespace, with kernel timestamps."""
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.setblocking(False)
    stamp_times(sock)
    report_errors(sock)
    return sock


def stamp_times(sock: socket.socket) -> None:
    """Ask the kernel for software timestamps of what is received and sent."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _TX_SOFTWARE | _RX_SOFTWARE | _SOFTWARE)


def stamp_receipts(sock: socket.socket) -> None:
    """Ask the kernel for software timestamps of what is received only: sending stays cheap."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _RX_SOFTWARE | _SOFTWARE)


def report_errors(sock: socket.socket) -> None:
    """Ask for ICMP errors on the error queue, and for the TTL and traffic class of what is received."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)


def bind_free(sock: socket.socket, address: str, port: int = 0) -> int:
    """Bind to an address even while its interface is down; return the port.

    Raises:
        AgentError: the port is taken.
    """
    level, option = (socket.IPPROTO_IP, _IP_FREEBIND) if sock.family == socket.AF_INET else (41, _IPV6_FREEBIND)
    sock.setsockopt(level, option, 1)
    try:
        sock.bind((address, port))
    except OSError as problem:
        raise AgentError(f"cannot listen on {address} port {port}: {problem.strerror}; stop what uses it") from None
    return sock.getsockname()[1]


def set_dscp(sock: socket.socket, dscp: int) -> None:
    """Mark what the socket sends (RFC 2474: the upper six bits of the traffic class)."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)


def set_ttl(sock: socket.socket, ttl: int) -> None:
    """Set the TTL or hop limit of what the socket sends."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)


def set_receive_buffer(sock: socket.socket, size: int) -> None:
    """Set the receive buffer in bytes, past the system's limit where we may."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def headers(sock: socket.socket) -> int:
    """Bytes of IP and UDP header before the payload."""
    return 28 if sock.family == socket.AF_INET else 48


def send(sock: socket.socket, data: bytes | memoryview, address: tuple[str, int], ancillary: list | None = None) -> int:
    """Send one packet; return 0, or the errno that says why it cannot be delivered.

    An ICMP error about an earlier packet is reported by the kernel on the next send: that send is tried once more.
    """
    failure = 0
    for _ in range(2):
        try:
            sock.sendmsg([data], ancillary or [], 0, address)
            return 0
        except OSError as problem:
            if problem.errno not in UNSENDABLE:
                raise
            failure = problem.errno or errno.EIO
    return failure


def send_batch(sock: socket.socket, data: bytes | memoryview, size: int, address: tuple[str, int]) -> int:
    """Send `data` as packets of `size` bytes in one system call: the kernel cuts it (UDP_SEGMENT, udp(7)).

    Args:
        data: at most `batch_limit(size)` packets, all of one size.

    Returns:
        0, or the errno that says why they cannot be delivered. A device that cannot cut gets them one by one.
    """
    if len(data) <= size:
        return send(sock, data, address)
    failure = send(sock, data, address, [(socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", size))])
    if failure in {errno.EINVAL, errno.EMSGSIZE, errno.EIO}:
        for start in range(0, len(data), size):
            failure = send(sock, data[start : start + size], address)
    return failure


def batch_limit(size: int) -> int:
    """How many packets of `size` bytes of payload fit into one `send_batch`."""
    return max(1, min(_MOST_SEGMENTS, _MOST_BYTES // size))


def receive(sock: socket.socket, size: int = 2048) -> Packet | None:
    """Return the next packet, cut off at `size` bytes, or None when there is none."""
    while True:
        try:
            data, ancillary, _, address = sock.recvmsg(size, _ANCILLARY)
        except BlockingIOError:
            return None
        except OSError as problem:
            if problem.errno not in UNSENDABLE or problem.errno == errno.EINVAL:
                raise
            continue  # an ICMP error about an earlier packet, cleared by reading it
        moment, ttl, traffic_class = None, 0, 0
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
                moment = _nanoseconds(value)
            elif (level, kind) in {(socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT)}:
                ttl = value[0]
            elif (level, kind) in {(socket.IPPROTO_IP, socket.IP_TOS), (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)}:
                traffic_class = value[0]
        return Packet(data, address[:2], moment, ttl, traffic_class)


def traffic_class(sock: socket.socket, value: int) -> list[tuple[int, int, bytes]]:
    """Ancillary data that gives one packet a traffic class."""
    if sock.family == socket.AF_INET:
        return [(socket.IPPROTO_IP, socket.IP_TOS, struct.pack("=i", value))]
    return [(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, struct.pack("=i", value))]


def read_queue(sock: socket.socket) -> tuple[list[tuple[bytes, int]], list[QueuedError]]:
    """Empty the error queue.

    A packet keeps its socket over veth pairs, so that every device up to the next IP stack gives a transmit time; the
    first one is when the packet left its node, the others when it left delay queues on its way.

    Returns:
        Transmit timestamps, as the first bytes of the packet sent (from its link header on) and Unix nanoseconds, in
        the order given; and errors.
    """
    sent: list[tuple[bytes, int]] = []
    errors: list[QueuedError] = []
    while True:
        try:
            data, ancillary, _, address = sock.recvmsg(_QUEUED_SIZE, _ANCILLARY, socket.MSG_ERRQUEUE)
        except BlockingIOError:
            return sent, errors
        except OSError as problem:
            if problem.errno not in UNSENDABLE or problem.errno == errno.EINVAL:
                raise
            continue
        moment, report = _queued(sock, ancillary)
        if report is None:
            continue
        number, origin, kind, code, offender = report
        if origin == _ORIGIN_TIMESTAMPING:
            if moment is not None:
                sent.append((data, moment))
        else:
            blamed = None if origin == _ORIGIN_LOCAL else offender
            errors.append(QueuedError((address or ("", 0))[:2], blamed, kind, code, number, moment))


def transport(frame: bytes) -> bytes:
    """What follows the Ethernet and IP headers of a frame the kernel gave back; empty when it is not IP."""
    ethertype = frame[12:14]
    if ethertype == b"\x86\xdd":
        return frame[14 + 40 :]
    if ethertype == b"\x08\x00":
        return frame[14 + (frame[14] & 0x0F) * 4 :]
    return b""


def payload(frame: bytes) -> bytes:
    """The UDP payload of a frame the kernel gave back."""
    return transport(frame)[8:]


def now() -> int:
    """Unix time in nanoseconds, the clock of the kernel's timestamps."""
    return time.time_ns()


def _nanoseconds(value: bytes) -> int | None:
    seconds, nanoseconds = _TIMESPEC.unpack_from(value)
    return seconds * 1_000_000_000 + nanoseconds or None


def _queued(sock: socket.socket, ancillary: list) -> tuple[int | None, tuple[int, int, int, int, str | None] | None]:
    moment, report = None, None
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
            moment = _nanoseconds(value)
        elif (level, kind) in {(socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)}:
            number, origin, icmp_type, code, _, _, _ = _EXTENDED_ERROR.unpack_from(value)
            report = (number, origin, icmp_type, code, _offender(value[_EXTENDED_ERROR.size :]))
    return moment, report


def _offender(sockaddr: bytes) -> str | None:
    if len(sockaddr) < 8:
        return None
    kind = struct.unpack_from("=H", sockaddr)[0]
    if kind == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, sockaddr[4:8])
    if kind == socket.AF_INET6 and len(sockaddr) >= 24:
        return socket.inet_ntop(socket.AF_INET6, sockaddr[8:24])
    return None
