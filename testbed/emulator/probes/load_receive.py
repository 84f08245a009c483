"""The receiving end of load: ports that are never read, or one thread that counts what comes to all of an agent's."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from msgspec import Struct

from testbed.emulator.context import Context
from testbed.emulator.parts import ArrivedFlow, LoadSinks
from testbed.emulator.probes import batch, sockets
from testbed.emulator.probes.base import check_owner
from testbed.emulator.probes.histogram import bucket
from testbed.emulator.probes.load_send import MARK

End = tuple[str, str, str]
_BUFFER = 4 << 20
_PAUSE = 0.002
"""Seconds between readings: the kernel stamps and queues, and many packets are read at once."""
_BATCHES = 16
_REMEMBERED = 1 << 16
_DATA_SEGMENTS_IN = 152  # tcpi_data_segs_in of struct tcp_info, linux/tcp.h
_CHUNK = 1 << 20


class Arrivals(Struct):
    """What came of one flow. `missing`: numbers below the highest that have not come, the latest 65 536 of them."""

    received: int = 0
    octets: int = 0
    highest: int = -1
    reordered: int = 0
    duplicated: int = 0
    last: float = 0.0
    transit: int = 0
    jitter: float = 0.0
    missing: dict[int, None] = {}
    delays: dict[int, int] = {}

    def take(self, number: int, octets: int, sent: int, arrived: int) -> None:
        """Take in one packet: the low 32 bits of its number, bytes, and times in Unix nanoseconds."""
        number = self.highest + ((number - self.highest + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
        if number > self.highest:
            if number > self.highest + 1:
                self._miss(number)
            self.highest = number
        elif number in self.missing:
            del self.missing[number]
            self.reordered += 1
        else:
            self.duplicated += 1
            return
        transit = arrived - sent
        if self.received:
            self.jitter += (abs(transit - self.transit) - self.jitter) / 16  # RFC 3550 6.4.1
        self.transit = transit
        self.received += 1
        self.octets += octets
        key = bucket(transit)
        self.delays[key] = self.delays.get(key, 0) + 1

    def _miss(self, number: int) -> None:
        first = max(self.highest + 1, number - _REMEMBERED)
        self.missing.update(dict.fromkeys(range(first, number)))
        while len(self.missing) > _REMEMBERED:
            del self.missing[next(iter(self.missing))]

    def report(self, now: float) -> ArrivedFlow:
        """Return it as the sink's half of a report."""
        return ArrivedFlow(
            received=self.received,
            received_octets=self.octets,
            highest=self.highest,
            quiet=now - self.last,
            reordered=self.reordered,
            duplicated=self.duplicated,
            delays=dict(self.delays),
            jitter=self.jitter / 1e9,
        )


class Sinks:
    """Ports where load ends. Those of background load the kernel drops, and no ICMP error goes back."""

    def __init__(self, reader: Reader | None = None) -> None:
        self._lock = threading.Lock()
        self._reader = reader
        self._before: dict[End, socket.socket] = {}
        self._now: dict[End, socket.socket] = {}

    def open(self, request: LoadSinks, context: Context) -> tuple[int, ...]:
        """Return the ports of these ends; those of the call before stay open, older ones are closed.

        Raises:
            BadInput: an unknown node, or an address that is not the node's; nothing was changed.
        """
        for node, address, _ in request.ends:
            check_owner(context, address, node, "sink")
        with self._lock:
            known = {**self._before, **self._now}
            wanted = {end: known[end] if end in known else self._open(end, context) for end in request.ends}
            for end in [end for end in self._before if end not in self._now and end not in wanted]:
                self._shut(self._before[end])
            self._before, self._now = self._now, wanted
            if self._reader is not None:
                self._reader.expect(request.run)
            return tuple(wanted[end].getsockname()[1] for end in request.ends)

    def _open(self, end: End, context: Context) -> socket.socket:
        node, address, protocol = end
        with context.node(node).enter():
            kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
            sink = socket.socket(sockets.family(address), kind)
        try:
            sockets.bind_free(sink, address)
            if self._reader is None:
                sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            else:
                self._reader.add(sink)
        except BaseException:
            sink.close()
            raise
        return sink

    def _shut(self, sink: socket.socket) -> None:
        if self._reader is not None:
            self._reader.remove(sink)
        sink.close()

    def report(self) -> tuple[dict[int, ArrivedFlow], int]:
        """See `Reader.report`."""
        return self._reader.report() if self._reader is not None else ({}, 0)

    def greeted(self) -> frozenset[int]:
        """See `Reader.greeted`."""
        return self._reader.greeted() if self._reader is not None else frozenset()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            for sink in {**self._before, **self._now}.values():
                sink.close()
            self._before, self._now = {}, {}


@dataclass(slots=True)
class _Connection:
    """An accepted connection; `flow` is known once its first bytes are there."""

    sock: socket.socket
    flow: int | None = None
    segments: int = 0
    head: bytearray = field(default_factory=bytearray)


class Reader:
    """Reads all sinks of measured load in one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._poll = select.epoll()
        self._sinks: dict[int, socket.socket] = {}
        self._connections: dict[int, _Connection] = {}
        self._arrivals: dict[int, Arrivals] = {}
        self._unread: Counter[int] = Counter()
        self._greeted: set[int] = set()
        self._run = -1
        self._batch = batch.Batch(MARK)
        self._chunk = bytearray(_CHUNK)
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, sink: socket.socket) -> None:
        """Read this one, too."""
        sink.setblocking(False)
        if sink.type == socket.SOCK_STREAM:
            sink.listen(1024)
        else:
            sockets.set_receive_buffer(sink, _BUFFER)
            batch.stamp(sink)
        with self._lock:
            self._sinks[sink.fileno()] = sink
            self._poll.register(sink, select.EPOLLIN)
            if self._thread is None:
                self._thread = threading.Thread(target=self._read, name="load-sink", daemon=True)
                self._thread.start()

    def remove(self, sink: socket.socket) -> None:
        """Read this one no more."""
        with self._lock:
            self._unread.pop(sink.fileno(), None)
            self._poll.unregister(sink)
            del self._sinks[sink.fileno()]

    def expect(self, run: int) -> None:
        """Count what comes of this run, from nothing."""
        with self._lock:
            self._run, self._arrivals, self._greeted = run, {}, set()
            for descriptor in list(self._connections):
                self._hang_up(descriptor)
            self._unread = self._dropped()

    def report(self) -> tuple[dict[int, ArrivedFlow], int]:
        """Return what came, by flow number, and how many packets were not read in time."""
        now = time.monotonic()
        with self._lock:
            unread = (self._dropped() - self._unread).total()
            return {number: seen.report(now) for number, seen in self._arrivals.items()}, unread

    def greeted(self) -> frozenset[int]:
        """Return the numbers of the flows whose greeting came."""
        with self._lock:
            return frozenset(self._greeted)

    def _dropped(self) -> Counter[int]:
        return Counter({n: batch.dropped(s) for n, s in self._sinks.items() if s.type == socket.SOCK_DGRAM})

    def close(self) -> None:
        """End the thread, and hang up."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        self.expect(-1)
        self._poll.close()

    def _read(self) -> None:
        while not self._ending.wait(_PAUSE):
            ready = self._poll.poll(0.5)
            with self._lock:
                now = time.monotonic()
                for descriptor, _ in ready:
                    self._serve(descriptor, now)

    def _serve(self, descriptor: int, now: float) -> None:
        sink = self._sinks.get(descriptor)
        if sink is None:
            connection = self._connections.get(descriptor)
            if connection is not None:
                self._take_bytes(descriptor, connection, now)
        elif sink.type == socket.SOCK_STREAM:
            self._accept(sink)
        else:
            self._take_packets(sink, now)

    def _take_packets(self, sink: socket.socket, now: float) -> None:
        headers = sockets.headers(sink)
        for _ in range(_BATCHES):
            count = 0
            for length, moment, (run, flow, number, sent) in self._batch.receive(sink.fileno()):
                count += 1
                if run == self._run and not sent:
                    self._greeted.add(flow)
                elif run == self._run:
                    arrivals = self._of(flow)
                    arrivals.last = now
                    arrivals.take(number, length + headers, sent, moment)
            if count < batch.MOST:
                return

    def _of(self, flow: int) -> Arrivals:
        found = self._arrivals.get(flow)
        if found is None:
            found = self._arrivals[flow] = Arrivals()
        return found

    def _accept(self, sink: socket.socket) -> None:
        try:
            sock, _ = sink.accept()
        except OSError:  # it was reset while it waited
            return
        sock.setblocking(False)
        self._connections[sock.fileno()] = _Connection(sock)
        self._poll.register(sock, select.EPOLLIN)

    def _take_bytes(self, descriptor: int, connection: _Connection, now: float) -> None:
        try:
            count = connection.sock.recv_into(self._chunk)
        except BlockingIOError:
            return
        except OSError:  # reset: what came before counts
            count = 0
        if connection.flow is None:
            connection.head += self._chunk[:count]
            self._identify(connection)
        if connection.flow is not None and connection.flow >= 0:
            arrivals = self._of(connection.flow)
            arrivals.last = now
            arrivals.octets += len(connection.head) or count
            self._note(connection, arrivals)
            connection.head.clear()
        if count == 0:
            self._hang_up(descriptor)

    def _identify(self, connection: _Connection) -> None:
        if len(connection.head) >= MARK.size:
            run, flow, _, _ = MARK.unpack_from(connection.head)
            connection.flow = flow if run == self._run else -1
            del connection.head[: MARK.size]

    @staticmethod
    def _note(connection: _Connection, arrivals: Arrivals) -> None:
        info = connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _DATA_SEGMENTS_IN + 4)
        segments = int.from_bytes(info[_DATA_SEGMENTS_IN:], "little")
        arrivals.received += segments - connection.segments
        connection.segments = segments

    def _hang_up(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)
        self._connections.pop(descriptor).sock.close()
