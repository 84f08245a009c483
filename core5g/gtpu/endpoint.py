"""An end of GTP-U tunnels: a UDP socket, and who gets what comes by which tunnel (3GPP TS 29.281)."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from core5g.gtpu import header
from core5g.gtpu.tunnel import Tunnel
from testbed.errors import AddressInUse, Unable

IpAddress = IPv4Address | IPv6Address
Receiver = Callable[[memoryview, int | None], object]
"""Takes a user's packet, in memory that is its only while it does, and the packet's QFI."""

_MOST_AT_ONCE = 64
"""Datagrams taken before others of the process have their turn."""
_BUFFER = 4 * 1024 * 1024
_SIZE = 65536
_FORCED = {"receive": 33, "send": 32}
"""SO_RCVBUFFORCE and SO_SNDBUFFORCE, which Python does not name."""


class Endpoint:
    """An end of tunnels.

    Attributes:
        address: with its port, which peers have too. receivers: by TEID. counts: what happened, by name.
        on_error: called with the TEID and the address of a peer that does not know a tunnel.
        on_end: called with the TEID of a tunnel by which no more comes.
    """

    def __init__(self, address: str, port: int = header.PORT) -> None:
        self.address: tuple[str, int] = (address, port)
        self.receivers: dict[int, Receiver] = {}
        self.on_error: Callable[[int, IpAddress], object] = lambda _teid, _peer: None
        self.on_end: Callable[[int], object] = lambda _teid: None
        self.counts: Counter[str] = Counter()
        self._socket: socket.socket | None = None
        self._data = bytearray(_SIZE)
        self._view = memoryview(self._data)
        self._tos = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.address[1]

    def start(self) -> None:
        """Listen.

        Raises:
            AddressInUse, Unable: it cannot.
        """
        host, port = self.address
        family = socket.AF_INET if ip_address(host).version == 4 else socket.AF_INET6
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            made.bind((host, port))
        except OSError as error:
            made.close()
            kind = AddressInUse if error.errno == errno.EADDRINUSE else Unable
            raise kind(f"GTP-U cannot listen at {host}:{port}: {error.strerror}") from None
        _widen(made)
        host, port, *_ = made.getsockname()
        self.address = (host, port)
        self._socket = made
        asyncio.get_running_loop().add_reader(made, self._readable)

    def stop(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _readable(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            if self._socket is None:
                return
            try:
                size, peer = self._socket.recvfrom_into(self._data)
            except BlockingIOError:
                return
            except OSError:
                self.counts["errors"] += 1  # an ICMP error of something sent before
                continue
            self._take(size, peer)

    def _take(self, size: int, peer: tuple[str, int]) -> None:
        found = header.read(self._data, size)
        if found is None:
            self.counts["malformed"] += 1
        elif found.kind == header.PACKET:
            receiver = self.receivers.get(found.teid)
            if receiver is None:
                self.counts["foreign"] += 1
                self._put(header.error_indication(found.teid, ip_address(self.address[0])), (peer[0], self.port))
                return
            self.counts["in"] += 1
            receiver(self._view[found.at : found.end], found.qfi)
        else:
            self._signalled(found, peer)

    def _signalled(self, found: header.Received, peer: tuple[str, int]) -> None:
        if found.kind == header.ECHO_REQUEST:
            self._put(header.echo_response(found.sequence), peer)
        elif found.kind == header.ERROR_INDICATION:
            meant = header.read_error(self._view[found.at : found.end])
            if meant is not None:
                self.counts["tunnels_lost"] += 1
                self.on_error(*meant)
        elif found.kind == header.END_MARKER:
            self.counts["end_markers"] += 1
            self.on_end(found.teid)

    def send(
        self, to: Tunnel, packet: bytes | memoryview, qfi: int | None = None, *, tos: int = 0, downlink: bool = False
    ) -> None:
        """Send a user's packet into a tunnel; where there is no room it is dropped and counted.

        Args:
            qfi: None for none said. tos: of the packet that carries it, 8 bits.
        """
        if self._socket is None:
            return
        if tos != self._tos:
            self._mark(tos)
        head = header.head(to.teid, len(packet), qfi, downlink)
        try:
            self._socket.sendmsg((head, packet), (), 0, (to.host, self.port))
            self.counts["out"] += 1
        except OSError:
            self.counts["dropped"] += 1

    def send_end_marker(self, to: Tunnel) -> None:
        """Say that no more comes by a tunnel."""
        self._put(header.end_marker(to.teid), (to.host, self.port))

    def _put(self, data: bytes, peer: tuple[str, int]) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(data, peer)
        except OSError:
            self.counts["dropped"] += 1

    def _mark(self, tos: int) -> None:
        """Mark what is sent from here on; a system call only where the mark changes."""
        if self._socket is None:
            return
        if self._socket.family == socket.AF_INET:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, tos)
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, tos)
        self._tos = tos


def _widen(made: socket.socket) -> None:
    """Have room for bursts; without the right to it, as much as anybody may have."""
    for forced, plain in ((_FORCED["receive"], socket.SO_RCVBUF), (_FORCED["send"], socket.SO_SNDBUF)):
        try:
            made.setsockopt(socket.SOL_SOCKET, forced, _BUFFER)
        except OSError:
            made.setsockopt(socket.SOL_SOCKET, plain, _BUFFER)
