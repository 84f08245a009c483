"""A paced stream of numbered packets, for what happens to user packets across an event."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import threading
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.emulator.context import Context
from testbed.emulator.messages import Progress, StreamResult, StreamStart, StreamStarted, StreamStop
from testbed.emulator.probes import sockets
from testbed.emulator.probes.base import check_owner, check_range, shared, wait_readable
from testbed.errors import BadInput

_MARK = struct.Struct("!8sQ")
_FIRST_TIMEOUT = 2.0
_LAST_TIMEOUT = 2.0
_OVERTAKEN_TIMEOUT = 0.3
_RECENT = 64
_LONGEST = 3600.0
_READ_EVERY = 0.02
_numbers = itertools.count(1)


@dataclass(slots=True)
class Arrivals:
    """What arrived, in the order of arrival: sequence numbers, and the kernel's times in Unix seconds."""

    numbers: array = field(default_factory=lambda: array("Q"))
    times: array = field(default_factory=lambda: array("d"))


class Stream:
    """A running stream: one thread sends and collects what the kernel has stamped and queued at the sink."""

    def __init__(self, request: StreamStart, context: Context) -> None:
        self._request = request
        with context.node(request.source).enter():
            self._sender = socket.socket(sockets.family(request.destination), socket.SOCK_DGRAM)
        with context.node(request.sink).enter():
            self._sink = sockets.datagram(request.destination)
        self._sender.setblocking(False)
        sockets.set_dscp(self._sender, request.dscp)
        sockets.stamp_receipts(self._sink)
        sockets.set_receive_buffer(self._sink, 8 << 20)
        self._destination = (request.destination, sockets.bind_free(self._sink, request.destination))
        self._key = os.urandom(8)
        self._padding = bytes(max(0, request.size - sockets.headers(self._sender) - _MARK.size))
        self._sent = array("d")
        self.unsendable: dict[int, int] = {}
        self._arrivals = Arrivals()
        self._stopping = threading.Event()
        self.first_arrived = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()

    def stop(self) -> StreamResult:
        """End the stream, wait for what is on its way, and judge."""
        self._stopping.set()
        self._thread.join()
        last = len(self._sent) - 1
        self._await({last}, _LAST_TIMEOUT)
        self._await(set(range(max(0, last - _RECENT), last)), _OVERTAKEN_TIMEOUT)
        self.close()
        return summarise(self._sent, self._arrivals, self._request.interval)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._sender.close()
        self._sink.close()

    def _await(self, numbers: set[int], timeout: float) -> None:
        """Wait until these packets have arrived, or for the time that packets still on their way may take."""
        deadline = time.monotonic() + timeout
        while True:
            self._collect()
            if numbers <= set(self._arrivals.numbers[-2 * _RECENT :]) or not wait_readable(self._sink, deadline):
                return

    def _run(self) -> None:
        start = time.monotonic()
        collect_at = start
        while True:
            pause = start + len(self._sent) * self._request.interval - time.monotonic()
            if pause > 0.1:
                self._stopping.wait(pause)
            elif pause > 0:
                time.sleep(pause)
            moment = time.monotonic()
            if self._stopping.is_set() or moment > start + _LONGEST:
                return
            self._send(int((moment - start) / self._request.interval) + 1 - len(self._sent))
            if moment >= collect_at or not self.first_arrived.is_set():
                self._collect()
                collect_at = moment + _READ_EVERY

    def _send(self, owed: int) -> None:
        """Send what is owed; more than one packet when the interval is shorter than what Python or the guest can do."""
        size = _MARK.size + len(self._padding)
        first = len(self._sent)
        count = max(1, min(owed, sockets.batch_limit(size)))
        data = b"".join(_MARK.pack(self._key, first + number) + self._padding for number in range(count))
        self._sent.extend([time.time()] * count)
        failure = sockets.send_batch(self._sender, data, size, self._destination)
        if failure:
            self.unsendable[failure] = self.unsendable.get(failure, 0) + count

    def _collect(self) -> None:
        while packet := sockets.receive(self._sink, _MARK.size):
            if len(packet.data) < _MARK.size:
                continue
            key, number = _MARK.unpack_from(packet.data)
            if key == self._key:
                self._arrivals.numbers.append(number)
                self._arrivals.times.append((packet.time or sockets.now()) / 1e9)
                self.first_arrived.set()


class Streams:
    """The streams that run in a lab, by number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[int, Stream] = {}

    def add(self, stream: Stream) -> int:
        number = next(_numbers)
        with self._lock:
            self._running[number] = stream
        return number

    def take(self, number: int) -> Stream:
        """Return a stream that will be stopped, and forget it.

        Raises:
            BadInput: no such stream, or stopped before.
        """
        with self._lock:
            stream = self._running.pop(number, None)
            known = ", ".join(map(str, self._running)) or "none"
        if stream is None:
            raise BadInput(f"no stream {number} is running (running: {known}); a stream can be stopped once")
        return stream

    def close(self) -> None:
        with self._lock:
            streams, self._running = list(self._running.values()), {}
        for stream in streams:
            stream.close()


def handle(request: StreamStart | StreamStop, context: Context) -> StreamStarted | StreamResult:
    """Start or stop a stream.

    A start returns with the first packet that arrived, or after 2 s: a stream that nothing comes through is a finding,
    not an error (an event in the lab says so).

    Raises:
        BadInput: an unknown node or stream, an address that is not the sink's, an interval or size out of range.
    """
    streams = shared(context, "StreamStart", Streams)
    if isinstance(request, StreamStop):
        return _stop(streams.take(request.stream), context)
    check_range("interval", request.interval, 1e-5, 60)
    check_range("size", request.size, 64, 9000)
    check_range("dscp", request.dscp, 0, 63)
    check_owner(context, request.destination, request.sink, "sink")
    stream = Stream(request, context)
    number = streams.add(stream)
    if not stream.first_arrived.wait(_FIRST_TIMEOUT):
        where = f"{request.source} to {request.destination} ({request.sink})"
        context.emit(Progress(f"stream {number} from {where}: no packet arrived in {_FIRST_TIMEOUT:g} s; it goes on"))
    return StreamStarted(stream=number)


def _stop(stream: Stream, context: Context) -> StreamResult:
    result = stream.stop()
    for number, count in stream.unsendable.items():
        context.emit(Progress(f"{count} of {result.sent} packets of the stream were not sent: {os.strerror(number)}"))
    return result


def summarise(sent: Sequence[float], arrivals: Arrivals, interval: float) -> StreamResult:
    """Judge a stream by the packets that arrived.

    Args:
        sent: when each packet was sent, Unix seconds, by sequence number. interval: seconds between packets, as asked.
    """
    first: dict[int, float] = {}
    highest, reordered = -1, 0
    for number, moment in zip(arrivals.numbers, arrivals.times, strict=True):
        if number in first or number >= len(sent):
            continue
        first[number] = moment
        reordered += number < highest  # RFC 4737 4.1
        highest = max(highest, number)
    gap, started = longest_gap(sent, first, interval)
    return StreamResult(
        sent=len(sent),
        received=len(first),
        longest_gap=gap,
        gap_started=started,
        reordered=reordered,
        duplicated=len(arrivals.numbers) - len(first),
    )


def longest_gap(sent: Sequence[float], first: dict[int, float], interval: float) -> tuple[float, float]:
    """Return how long nothing arrived at worst, beyond the usual, and since when (Unix seconds; 0 when never).

    A silence counts from one arrival to the next, less the time between the second packet and the one sent before it:
    one interval, or more when the sender itself was held up, which is nobody's outage. It counts when packets are
    missing in it, or when it is longer than one interval. Before the first arrival and after the last one the times of
    sending stand for those of arriving, so that the path's delay is not taken for a silence.
    """
    if not sent:
        return 0.0, 0.0
    if not first:
        return max(sent[-1] - sent[0], interval), sent[0]
    order = sorted(first, key=first.__getitem__)
    worst = (0.0, 0.0)
    for before, after in itertools.pairwise(order):
        step = sent[after] - sent[after - 1] if after else interval
        gap = first[after] - first[before] - max(step, interval)
        missed = any(number not in first for number in range(before + 1, after))
        if gap > worst[0] and (missed or gap >= interval):
            worst = (gap, first[before])
    head, tail = min(first), max(first)
    edges = [(sent[head] - sent[0], sent[0]), (sent[-1] - sent[tail], first[tail])]
    return max([worst, *(edge for edge in edges if edge[0] > 0)])
