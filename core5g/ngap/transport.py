"""What carries NGAP: SCTP (TS 38.412), or a UNIX socket of packets where the kernel has no SCTP and both ends are ours.

Addresses are written `sctp:10.0.0.1:38412`, `sctp:[2001:db8::1]:38412` or `unix:/path`.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from core5g.ngap.errors import NoSctp
from testbed.errors import AddressInUse, BadInput, Unable

PORT = 38412
_PPID = 60
"""Of NGAP (TS 38.412, 7)."""
_SCTP = 132
_SNDRCV, _INITMSG, _NODELAY = 1, 2, 3
_STREAMS = 16
"""In each direction; those of a UE always take the same, 0 is for what is about no UE (TS 38.412, 7)."""
_MOST = 256 * 1024
_END_OF_MESSAGE = getattr(socket, "MSG_EOR", 0x80)
_BACKLOG = 4 * 2**20
"""Bytes that wait for a peer that does not read; then it is given up."""
_OVERHEAD = 128
"""Bytes of memory that a waiting message takes beside its own."""
_BREATH = 1.0
"""s: without calls when there is no room for one."""

Take = Callable[[bytes], object]
Lost = Callable[[str], object]


class Association:
    """A connection between a gNB and an AMF that keeps messages apart.

    Attributes:
        peer: its address, for people. take: called with each message. lost: called once, with the reason, when it ends.
    """

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.peer = peer
        self.take: Take = lambda _: None
        self.lost: Lost = lambda _: None
        self._socket: socket.socket | None = sock
        self._sctp = sock.family != socket.AF_UNIX
        self._parts: list[bytes] = []
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._waiting_bytes = 0
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        if self._sctp:
            sock.setsockopt(_SCTP, _NODELAY, 1)
        self._loop.add_reader(sock, self._readable)

    def send(self, data: bytes, about: int = 0) -> None:
        """Send a message; what the other end does not take at once waits.

        Args:
            about: a number of the UE, 0 for none; messages about one UE stay in order.
        """
        if self._socket is None:
            return
        stream = 1 + about % (_STREAMS - 1) if about else 0
        if self._waiting or not self._sent(data, stream):
            self._wait(data, stream)

    def _sent(self, data: bytes, stream: int) -> bool:
        if self._socket is None:
            return True
        info = struct.pack("=HHHxxIIIIIi", stream, 0, 0, socket.htonl(_PPID), 0, 0, 0, 0, 0)
        ancillary = [(_SCTP, _SNDRCV, info)] if self._sctp else []
        try:
            self._socket.sendmsg([data], ancillary)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self.close(os.strerror(error.errno or 0))
        return True

    def _wait(self, data: bytes, stream: int) -> None:
        if not self._waiting and self._socket is not None:
            self._loop.add_writer(self._socket, self._writable)
        self._waiting.append((data, stream))
        self._waiting_bytes += len(data) + _OVERHEAD
        if self._waiting_bytes > _BACKLOG:
            self.close(f"{self.peer} takes nothing more: {_BACKLOG} bytes wait")

    def _writable(self) -> None:
        while self._waiting and self._sent(*self._waiting[0]):
            if self._waiting:
                self._waiting_bytes -= len(self._waiting.popleft()[0]) + _OVERHEAD
        if not self._waiting and self._socket is not None:
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        for _ in range(64):  # others have their turn, too
            if self._socket is None or not self._read():
                return

    def _read(self) -> bool:
        """Read once; return whether there may be more."""
        assert self._socket is not None
        try:
            data, _, flags, _ = self._socket.recvmsg(_MOST)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self.close(os.strerror(error.errno or 0))
            return False
        if not data:
            self.close("the other end hung up")
            return False
        self._parts.append(data)
        if flags & _END_OF_MESSAGE or not self._sctp:
            message, self._parts = b"".join(self._parts), []
            self.take(message)
        elif sum(map(len, self._parts)) > _MOST:
            self.close(f"a message of more than {_MOST} bytes")
        return True

    def close(self, reason: str = "closed") -> None:
        """End it; what still waits to be sent is lost. A second time does nothing."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._loop.remove_reader(sock)
        self._loop.remove_writer(sock)
        self._waiting.clear()
        sock.close()
        self.lost(reason)


class Listener:
    """Where an AMF is called.

    Attributes:
        address: as written, with the port that it has.
    """

    def __init__(self, sock: socket.socket, address: str, called: Callable[[Association], object]) -> None:
        self.address, self._socket, self._called = address, sock, called
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._accept)

    def _accept(self) -> None:
        try:
            sock, peer = self._socket.accept()
            self._called(Association(sock, _written(peer)))
        except OSError as error:
            if error.errno in (
                errno.EMFILE,
                errno.ENFILE,
                errno.ENOBUFS,
                errno.ENOMEM,
            ):  # it would be readable for ever
                self._loop.remove_reader(self._socket)
                self._loop.call_later(_BREATH, self._again)

    def _again(self) -> None:
        if self._socket.fileno() >= 0:
            self._loop.add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Take no more calls."""
        self._loop.remove_reader(self._socket)
        path = self.address.removeprefix("unix:")
        self._socket.close()
        if path != self.address:
            Path(path).unlink(missing_ok=True)


def listen(address: str, called: Callable[[Association], object]) -> Listener:
    """Wait for gNBs.

    Args:
        called: is given each association; it sets `take` and `lost`.

    Raises:
        BadInput: the address is none. NoSctp: see there. AddressInUse, Unable: it cannot be listened at.
    """
    sock, where = _socket(address)
    try:
        if isinstance(where, str):
            _take_over(where)
        sock.bind(where)
        sock.listen(128)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(f"{address}: somebody listens there already") from None
        raise Unable(f"{address}: cannot listen there: {_why(error)}") from None
    sock.setblocking(False)
    bound = address if sock.family == socket.AF_UNIX else f"sctp:{_written(sock.getsockname())}"
    return Listener(sock, bound, called)


def _take_over(path: str) -> None:
    """Remove the socket of a process that was killed: nobody answers there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe, suppress(OSError):
        if stat.S_ISSOCK(os.stat(path).st_mode) and probe.connect_ex(path) == errno.ECONNREFUSED:
            os.unlink(path)


async def connect(address: str, source: str | None = None, timeout: float = 5.0) -> Association:
    """Call an AMF.

    Args:
        source: IP address to call from. timeout: seconds.

    Raises:
        BadInput: the address is none. NoSctp: see there. Unable: nobody answers.
    """
    sock, where = _socket(address)
    sock.setblocking(False)
    try:
        if source is not None and sock.family != socket.AF_UNIX:
            sock.bind((source, 0))
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, where), timeout)
    except (OSError, TimeoutError) as error:
        sock.close()
        why = f"no answer in {timeout:g} s" if isinstance(error, TimeoutError) and not error.errno else _why(error)
        raise Unable(f"{address}: no AMF there: {why}") from None
    return Association(sock, address)


def _socket(address: str) -> tuple[socket.socket, str | tuple[str, int]]:
    kind, _, rest = address.partition(":")
    if kind == "unix" and rest:
        return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET), rest
    host, _, port = rest.rpartition(":")
    try:
        where = ip_address(host.strip("[]"))
        if kind != "sctp" or not 0 <= int(port) <= 65535:
            raise ValueError
    except ValueError:
        raise BadInput(
            f"{address!r}: expected sctp:ADDRESS:PORT, such as sctp:127.0.0.1:{PORT}, or unix:PATH"
        ) from None
    family = socket.AF_INET if where.version == 4 else socket.AF_INET6
    try:
        sock = socket.socket(family, socket.SOCK_STREAM, _SCTP)
    except OSError as error:
        if error.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
            raise NoSctp from None
        raise
    sock.setsockopt(_SCTP, _INITMSG, struct.pack("=HHHH", _STREAMS, _STREAMS, 3, 1000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock, (str(where), int(port))


def _why(error: OSError) -> str:
    """A path that is too long, or an address that is none, has no number of the kernel's."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _written(where: object) -> str:
    if not isinstance(where, tuple):
        return "unix"
    host = f"[{where[0]}]" if ":" in where[0] else where[0]
    return f"{host}:{where[1]}"
