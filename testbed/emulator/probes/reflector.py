"""STAMP Session-Reflectors (RFC 8762 4.3), stateful, one thread for each address under test."""

from __future__ import annotations

import os
import select
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from testbed.emulator.context import Context
from testbed.emulator.parts import Session
from testbed.emulator.probes import sockets, wire

CLOCK_ERROR = wire.error_estimate(1e-6)
_REMEMBERED = 1024
_LARGEST = 65536


class Reflector:
    """Answers Test packets on one address.

    Only sessions that were announced by `expect` keep a record; others get a sequence number of their own and no more.
    """

    def __init__(self, context: Context, node: str, address: str, port: int = wire.PORT) -> None:
        with context.node(node).enter():
            self._socket = sockets.datagram(address)
        try:
            sockets.bind_free(self._socket, address, port)
        except Exception:
            self._socket.close()
            raise
        sockets.set_ttl(self._socket, 255)
        self._lock = threading.Lock()
        self._expected: dict[int, Session] = {}
        self._strangers: OrderedDict[tuple, Session] = OrderedDict()
        self._wake = os.eventfd(0)
        self._thread = threading.Thread(target=self._run, name=f"stamp-reflector-{node}", daemon=True)
        self._thread.start()

    @contextmanager
    def expect(self, ssid: int) -> Iterator[Session]:
        """Keep a record of the session with this identifier while the context lasts."""
        session = Session()
        with self._lock:
            self._expected[ssid] = session
        try:
            yield session
        finally:
            with self._lock:
                del self._expected[ssid]

    def settle(self) -> None:
        """Take in every transmit timestamp the kernel has given so far."""
        with self._lock:
            self._take_departures()

    def close(self) -> None:
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        self._socket.close()
        os.close(self._wake)

    def _run(self) -> None:
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while not any(descriptor == self._wake for descriptor, _ in poller.poll()):
            with self._lock:
                while packet := sockets.receive(self._socket, _LARGEST):
                    self._answer(packet)
                self._take_departures()

    def _answer(self, packet: sockets.Packet) -> None:
        test = wire.unpack_sender(packet.data)
        if test is None or test.error_estimate & 0xFF == 0:  # RFC 4656 4.1.2: a zero multiplier is corrupt
            return
        session = self._session(packet, test.ssid)
        arrived = packet.time or sockets.now()
        reply = wire.reflect(
            packet.data,
            sequence=session.count,
            received=arrived,
            ttl=packet.ttl,
            estimate=CLOCK_ERROR,
            transmitted=sockets.now(),
        )
        mark = sockets.traffic_class(self._socket, packet.traffic_class & 0xFC)
        sockets.send(self._socket, reply, packet.address, mark)
        session.count += 1
        if test.ssid in self._expected:
            session.received.add(test.sequence)
            session.by_kernel &= packet.time is not None

    def _session(self, packet: sockets.Packet, ssid: int) -> Session:
        if ssid in self._expected:
            return self._expected[ssid]
        key = (*packet.address, ssid)
        session = self._strangers.pop(key, None) or Session()
        self._strangers[key] = session
        if len(self._strangers) > _REMEMBERED:
            self._strangers.popitem(last=False)
        return session

    def _take_departures(self) -> None:
        for frame, moment in sockets.read_queue(self._socket)[0]:
            reply = wire.unpack_reflector(sockets.payload(frame))
            if reply and reply.ssid in self._expected:
                self._expected[reply.ssid].departures.setdefault(reply.sequence, moment)


class Reflectors:
    """The reflectors of a lab that are in use, by node and address."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: dict[tuple[str, str], tuple[Reflector, int]] = {}

    @contextmanager
    def use(self, context: Context, node: str, address: str) -> Iterator[Reflector]:
        """Share the reflector on an address; the first user starts it, the last one ends it."""
        key = (node, address)
        with self._lock:
            reflector, users = self._used.get(key) or (Reflector(context, node, address), 0)
            self._used[key] = (reflector, users + 1)
        try:
            yield reflector
        finally:
            with self._lock:
                reflector, users = self._used.pop(key)
                if users > 1:
                    self._used[key] = (reflector, users - 1)
                else:
                    reflector.close()
