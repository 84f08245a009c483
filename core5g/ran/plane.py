"""A gNB's user plane: tunnels on N3 (3GPP TS 38.414)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from core5g.gtpu.endpoint import Endpoint
from core5g.gtpu.tunnel import Tunnel

Receive = Callable[[memoryview], object]
"""Takes a packet for a UE; the memory is its only while it does."""


class Plane(Protocol):
    """Where tunnels end."""

    @property
    def address(self) -> str:
        """As the core is told it."""
        ...

    def open(self, receive: Receive) -> int:
        """Return the number of a new tunnel, whose packets `receive` gets."""
        ...

    def close(self, teid: int) -> None:
        """End a tunnel."""
        ...

    def linger(self, teid: int) -> None:
        """End a tunnel as soon as no more comes by it: its UE has gone, and what comes is forwarded to it."""
        ...

    def send(self, to: Tunnel, flow: int, packet: bytes | memoryview, tos: int = 0) -> None:
        """Send a UE's packet. `tos`: of the packet that carries it."""
        ...


_LINGER = 5.0
"""s: an end marker that is lost is not waited for longer."""


class NoPlane:
    """Tunnels that nothing goes through, for loads of signalling."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.address = address
        self._last = 0

    def open(self, receive: Receive) -> int:
        """Return a number that no other tunnel has."""
        self._last += 1
        return self._last

    def close(self, teid: int) -> None:
        """Nothing is left of it."""

    def linger(self, teid: int) -> None:
        """Nothing comes by it."""

    def send(self, to: Tunnel, flow: int, packet: bytes | memoryview, tos: int = 0) -> None:
        """Drop it."""


class Gtpu:
    """Tunnels that end at a GTP-U endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._last = 0
        self._lingering: dict[int, asyncio.TimerHandle] = {}
        endpoint.on_end = self._ended

    @property
    def address(self) -> str:
        """Of the endpoint."""
        return self._endpoint.address[0]

    def open(self, receive: Receive) -> int:
        """Return the number of a new tunnel, whose packets `receive` gets."""
        self._last = teid = self._last % 0xFFFFFFFF + 1
        self._endpoint.receivers[teid] = lambda packet, _: receive(packet)
        return teid

    def close(self, teid: int) -> None:
        """End a tunnel; who still sends into it hears that it is none."""
        self._endpoint.receivers.pop(teid, None)
        timer = self._lingering.pop(teid, None)
        if timer is not None:
            timer.cancel()

    def linger(self, teid: int) -> None:
        """End a tunnel as soon as the core says that no more comes by it, or could have said so."""
        self._lingering[teid] = asyncio.get_running_loop().call_later(_LINGER, self.close, teid)

    def _ended(self, teid: int) -> None:
        if teid in self._lingering:
            self.close(teid)

    def send(self, to: Tunnel, flow: int, packet: bytes | memoryview, tos: int = 0) -> None:
        """Send a UE's packet. `tos`: of the packet that carries it."""
        self._endpoint.send(to, packet, flow, tos=tos)
