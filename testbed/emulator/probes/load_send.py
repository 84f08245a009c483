"""The sending end of load: one thread paces all flows of an agent, whatever nodes they leave from."""

from __future__ import annotations

import errno
import heapq
import math
import resource
import socket
import struct
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

from msgspec import structs

from testbed.emulator.context import Context
from testbed.emulator.parts import LoadSend, LoadSource, SentFlow
from testbed.emulator.probes import sockets
from testbed.emulator.probes.histogram import bucket
from testbed.emulator.probes.schedule import schedule, sizes
from testbed.errors import Unable

MARK = struct.Struct("!HHIQ")
"""In front of each packet: run, flow, sequence number (32 bits of it), Unix nanoseconds when it was sent."""
TICK = 0.001
DEBT = 0.05
_PATIENCE = 1.0
"""Seconds of TCP that may wait for the connection to take more."""
_RECONNECT = 1.0
_ASK_INFO = 0.1
_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h
_HEADROOM = 1.25
_MOST_PACE = 2**32 - 2  # bytes a second; all ones mean without limit
_LARGEST_WRITE = 1 << 16
_LONGEST_TURN = 0.05
_OTHER_FILES = 4096
_TCP_INFO_SIZE = 160
_RTT, _RTTVAR, _RETRANSMITTED, _SEGMENTS = 68, 72, 100, 156
"""Offsets of tcpi_rtt, tcpi_rttvar, tcpi_total_retrans and tcpi_data_segs_out in struct tcp_info (linux/tcp.h)."""


class _Paced(ABC):
    """What flows of both protocols have: their schedule, and how far they have come."""

    def __init__(self, source: LoadSource, share: float) -> None:
        self.flow = source.flow
        self._began = math.inf
        self._period = 8 * source.flow.mean_size / source.flow.rate
        self._schedule = schedule(source.flow, share)
        self._asked = self._skipped = self._sent = self._octets = 0
        self._refused: Counter[int] = Counter()
        self._closed: float | None = None

    @abstractmethod
    def send(self, now: float) -> None:
        """Send what is owed at `now`."""

    def begin(self, now: float) -> None:
        """Let its time run from now on: to open a thousand flows takes a while, in which none falls behind."""
        self._began = now

    def _skip(self, before: float) -> None:
        skipped = self._schedule.skip(before - self._began)
        self._asked += skipped
        self._skipped += skipped

    def _take(self, now: float, most: int) -> int:
        taken = self._schedule.take(now - self._began, most)
        self._asked += taken
        return taken

    def stop(self) -> None:
        """Send what is still owed, and then no more."""
        self._closed = time.monotonic()
        self.send(self._closed)
        self._skip(self._closed)

    def report(self) -> SentFlow:
        """Return what it did so far."""
        flow = self.flow
        end = math.inf if flow.duration is None else self._began + flow.start + flow.duration
        all_sent = math.isinf(self._schedule.due)
        until = end if all_sent else min(end, time.monotonic() if self._closed is None else self._closed)
        return SentFlow(
            flow=flow,
            seconds=max(0.0, until - self._began - flow.start),
            ended=self._closed is not None or all_sent,
            asked=self._asked,
            skipped=self._skipped,
            sent=self._sent,
            sent_octets=self._octets,
            refused=dict(+self._refused),
        )


class UdpFlow(_Paced):
    """Numbered packets; several in one system call where they are of one size."""

    def __init__(self, source: LoadSource, run: int, sock: socket.socket, share: float) -> None:
        super().__init__(source, share)
        self._sock, self._run, self._number = sock, run, source.number
        self._destination = (source.flow.destination, source.port)
        self._headers = sockets.headers(sock)
        self._sizes = sizes(source.flow)
        largest = max((size for size, _ in source.flow.mix), default=source.flow.size) - self._headers
        self._most = 1 if source.flow.mix else sockets.batch_limit(largest)
        self._block = bytearray(largest * self._most)

    @property
    def due(self) -> float:
        """When it next has something to do, on the monotonic clock; infinite when it has ended."""
        return self._began + self._schedule.due

    def greet(self) -> bool:
        """Send a packet that does not count, marked by the time 0; return whether the kernel took it."""
        return not sockets.send(self._sock, MARK.pack(self._run, self._number, 0, 0), self._destination)

    def send(self, now: float) -> None:
        """Send what is owed at `now`.

        After a stall at most 50 ms of packets are made up for, so that a busy guest does not answer with a burst; or
        one packet, so that an agent with too much to do does not leave slow flows without any.
        """
        self._skip(now - max(DEBT, self._period))
        count = self._take(now, self._most)
        if count:
            self._send(count, next(self._sizes))

    def _send(self, count: int, size: int) -> None:
        payload, moment, block = size - self._headers, time.time_ns(), self._block
        for index in range(count):
            number = (self._sent + index) & 0xFFFF_FFFF
            MARK.pack_into(block, index * payload, self._run, self._number, number, moment)
        with memoryview(block)[: count * payload] as data:
            failure = sockets.send_batch(self._sock, data, payload, self._destination)
        if failure:
            self._refused[failure] += count
        else:
            self._sent += count
            self._octets += count * size


class TcpFlow(_Paced):
    """A connection that is written to by schedule; where it breaks, it is made anew a second later.

    The kernel paces it, too (SO_MAX_PACING_RATE, tcp(7)): what a write puts in its buffer does not leave as a burst.
    """

    def __init__(self, source: LoadSource, run: int, context: Context, share: float) -> None:
        super().__init__(source, share)
        self._context = context
        self._destination = (source.flow.destination, source.port)
        self._mark = MARK.pack(run, source.number, 0, 0)
        self._sizes = sizes(source.flow)
        self._block = bytes(_LARGEST_WRITE)
        self._backlog = self._segments = self._retransmitted = 0
        self._now_segments = self._now_retransmitted = 0
        self._rtts: Counter[int] = Counter()
        self._jitter = 0.0
        self._again = self._ask = 0.0
        self._broken = errno.ENOTCONN
        self._sock: socket.socket | None = self._connect(time.monotonic())

    @property
    def due(self) -> float:
        """See `UdpFlow`; not before the connection is to be tried again."""
        due = self._began + self._schedule.due
        return self._again if self._backlog else max(due, self._again)

    def send(self, now: float) -> None:
        """Write what is owed at `now`.

        What the connection does not take within a second is not sent later: it is refused by EAGAIN, and told so.
        """
        if self._sock is None:
            self._skip(now)
            self._sock = self._connect(now)
        else:
            self._skip(now - max(_PATIENCE, self._period))
        if self._sock is not None:
            self._write(self._sock, now)
        if now >= self._ask:
            self._ask = now + _ASK_INFO
            self._note(self._sock)

    def _connect(self, now: float) -> socket.socket | None:
        """Begin a connection; None where there is no way at all, to try again later."""
        with self._context.node(self.flow.source).enter():
            sock = socket.socket(sockets.family(self.flow.destination), socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pace = min(_MOST_PACE, round(_HEADROOM * self.flow.rate / 8))
        sock.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, max(1, pace))
        sockets.set_dscp(sock, self.flow.dscp)
        self._greeting, self._backlog = self._mark, 0
        reason = sock.connect_ex(self._destination)
        if reason in (0, errno.EINPROGRESS):
            return sock
        sock.close()
        self._broken, self._again = reason, now + _RECONNECT
        return None

    def _skip(self, before: float) -> None:
        """What is too late is the agent's doing only where the connection stands and takes all it is given."""
        reason = self._broken if self._sock is None else errno.EAGAIN if self._backlog else 0
        skipped = self._schedule.skip(before - self._began)
        self._asked += skipped
        if reason:
            self._refused[reason] += skipped
        else:
            self._skipped += skipped

    def _write(self, sock: socket.socket, now: float) -> None:
        try:
            if self._greeting:
                sock.send(self._greeting)  # the first bytes of a connection always fit
                self._greeting = b""
            while self._backlog or self._owe(now):
                written = sock.send(memoryview(self._block)[: self._backlog])
                self._backlog -= written
                self._octets += written
        except BlockingIOError:
            self._again = now + TICK
            self._backlog = self._backlog or self._owe(now)
        except OSError as problem:
            self._break(problem.errno or errno.EIO, now)

    def _owe(self, now: float) -> int:
        count = self._take(now, self._most())
        self._backlog = sum(next(self._sizes) for _ in range(count))
        return self._backlog

    def _most(self) -> int:
        return max(1, _LARGEST_WRITE // max((size for size, _ in self.flow.mix), default=self.flow.size))

    def _break(self, reason: int, now: float) -> None:
        self.close()
        self._broken, self._again, self._backlog = reason, now + _RECONNECT, 0

    def _note(self, sock: socket.socket | None) -> None:
        """Take the kernel's own measurements of this connection (tcp(7), TCP_INFO)."""
        if sock is None:
            return
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        rtt, variation, retransmitted, segments = (
            int.from_bytes(info[at : at + 4], sys.byteorder) for at in (_RTT, _RTTVAR, _RETRANSMITTED, _SEGMENTS)
        )
        self._now_segments, self._now_retransmitted, self._jitter = segments, retransmitted, variation / 1e6
        if segments:
            self._rtts[bucket(rtt * 1000)] += 1

    def report(self) -> SentFlow:
        """Return what it did so far."""
        return structs.replace(
            super().report(),
            sent=self._segments + self._now_segments,
            retransmitted=self._retransmitted + self._now_retransmitted,
            rtts=dict(self._rtts),
            jitter=self._jitter,
        )

    def close(self) -> None:
        """Hang up."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._note(sock)
        self._segments += self._now_segments
        self._retransmitted += self._now_retransmitted
        self._now_segments = self._now_retransmitted = 0
        sock.close()


class Load:
    """Sends all flows of one kind in a lab; `begin` puts those that `open` has opened in the place of the old ones."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._flows: Sequence[UdpFlow | TcpFlow] = ()
        self._numbers: Sequence[int] = ()
        self._sockets = ExitStack()
        self._opened: tuple[Sequence[UdpFlow | TcpFlow], Sequence[int], ExitStack] | None = None
        self._generation = 0
        self._running = False
        self._thread: threading.Thread | None = None

    def open(self, request: LoadSend, context: Context) -> None:
        """Open these flows; when one is refused, none is. The old ones go on until `begin`.

        Raises:
            BadInput: an unknown node. Unable: more flows than this process may have sockets.
        """
        count = len(request.flows)
        _allow_sockets(count)
        with ExitStack() as stack:
            flows = [_open(source, request.run, i / count, context, stack) for i, source in enumerate(request.flows)]
            numbers = [source.number for source in request.flows]
            with self._changed:
                self._drop_opened()
                self._opened = flows, numbers, stack.pop_all()

    def _drop_opened(self) -> None:
        if self._opened is not None:
            self._opened[2].close()
            self._opened = None

    def greet(self) -> tuple[int, ...]:
        """Greet by one of the opened flows between each two addresses; return those whose greeting the kernel took."""
        with self._changed:
            flows, numbers, _ = self._opened or ((), (), None)
            ways: dict[tuple[str, str], tuple[int, UdpFlow]] = {}
            for number, flow in zip(numbers, flows, strict=True):
                if isinstance(flow, UdpFlow):
                    ways.setdefault((flow.flow.source, flow.flow.destination), (number, flow))
            return tuple(number for number, flow in ways.values() if flow.greet())

    def begin(self) -> None:
        """Let the opened flows run and no others."""
        with self._changed:
            if self._opened is None:
                return
            flows, numbers, opened = self._opened
            self._opened, now = None, time.monotonic()
            for flow in flows:
                flow.begin(now)
            old, self._sockets = self._sockets, opened
            self._flows, self._numbers = flows, numbers
            self._generation += 1
            self._running = bool(flows)
            self._changed.notify()
            if flows and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="load", daemon=True)
                self._thread.start()
            old.close()

    def stop(self) -> None:
        """Send no more; what was sent can still be told."""
        with self._changed:
            for flow in self._flows if self._running else ():
                flow.stop()
            self._running = False
            self._sockets.close()
            self._changed.notify()

    def report(self) -> dict[int, SentFlow]:
        """Return what was sent, by flow number."""
        with self._changed:
            return {number: flow.report() for number, flow in zip(self._numbers, self._flows, strict=True)}

    def close(self) -> None:
        """Stop all flows and end the thread."""
        with self._changed:
            self._drop_opened()
        self.stop()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        generation, queue = -1, []
        while True:
            with self._changed:
                if not self._running:
                    self._thread = None
                    return
                if generation != self._generation:
                    generation, queue = self._generation, _queue(self._flows)
                wake = self._send_due(queue)
                self._changed.wait(wake)

    @staticmethod
    def _send_due(queue: list[tuple[float, int, UdpFlow | TcpFlow]]) -> float | None:
        """Send what is due; return the seconds until the next packet, at least one tick, None when all is sent."""
        now = time.monotonic()
        until = now + TICK
        while queue[0][0] <= now:
            _, number, flow = queue[0]
            flow.send(now)
            heapq.heapreplace(queue, (flow.due, number, flow))
            if (now := time.monotonic()) > until + _LONGEST_TURN:
                break  # who wants to stop or read the load gets a turn, however much of it there is
        return None if math.isinf(queue[0][0]) else max(TICK, queue[0][0] - time.monotonic())


def _allow_sockets(count: int) -> None:
    """A flow has a socket of its own, so that routers which balance load by ports tell flows apart.

    Raises:
        Unable: the limit on open files is too low, and we may not raise it.
    """
    wanted = 2 * count + _OTHER_FILES  # those of the load before are closed when all of this one is open
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, OSError):
        raise Unable(
            f"{count} flows need {wanted} open files and the limit is {hard}: ask for fewer flows, or start the lab "
            f"with a higher limit (`ulimit -Hn {wanted}`)"
        ) from None


def _open(source: LoadSource, run: int, share: float, context: Context, stack: ExitStack) -> UdpFlow | TcpFlow:
    if source.flow.protocol == "tcp":
        flow = TcpFlow(source, run, context, share)
        stack.callback(flow.close)
        return flow
    with context.node(source.flow.source).enter():
        sock = stack.enter_context(socket.socket(sockets.family(source.flow.destination), socket.SOCK_DGRAM))
    sock.setblocking(False)
    sockets.set_dscp(sock, source.flow.dscp)
    return UdpFlow(source, run, sock, share)


def _queue(flows: Sequence[UdpFlow | TcpFlow]) -> list[tuple[float, int, UdpFlow | TcpFlow]]:
    queue = [(flow.due, number, flow) for number, flow in enumerate(flows)]
    heapq.heapify(queue)
    return queue
