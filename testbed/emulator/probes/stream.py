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
from typing import Any

from testbed.emulator.context import Context
from testbed.emulator.messages import Progress, StreamResult, StreamStart, StreamStarted, StreamStop
from testbed.emulator.parts import (
    Arrived,
    Flowed,
    FlowStart,
    FlowStop,
    Opened,
    SinkClose,
    SinkHeard,
    SinkOpen,
    SinkWait,
)
from testbed.emulator.probes import sockets
from testbed.emulator.probes.base import Ask, Ends, Tell, check_owner, check_range, far_end, shared, wait_readable

_MARK = struct.Struct("!8sQ")
_FIRST_TIMEOUT = 2.0
_LAST_TIMEOUT = 2.0
_OVERTAKEN_TIMEOUT = 0.3
_RECENT = 64
_LONGEST = 3600.0
_READ_EVERY = 0.02

StreamPart = SinkOpen | SinkWait | SinkClose | FlowStart | FlowStop
PartDone = Opened | SinkHeard | Arrived | Flowed


@dataclass(slots=True)
class Arrivals:
    """What arrived, in the order of arrival: sequence numbers, and the kernel's times in Unix seconds."""

    numbers: array = field(default_factory=lambda: array("Q"))
    times: array = field(default_factory=lambda: array("d"))


class Sink:
    """Where a stream arrives: the kernel stamps and queues, a thread takes it in some times a second."""

    def __init__(self, request: SinkOpen, context: Context) -> None:
        with context.node(request.node).enter():
            self._socket = sockets.datagram(request.address)
        sockets.stamp_receipts(self._socket)
        sockets.set_receive_buffer(self._socket, 8 << 20)
        self.port = sockets.bind_free(self._socket, request.address)
        self._key = request.key
        self._arrivals = Arrivals()
        self._first = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream-sink", daemon=True)
        self._thread.start()

    def wait(self, timeout: float) -> bool:
        """Whether a packet has arrived, waiting for it at most `timeout` seconds."""
        return self._first.wait(timeout)

    def end(self, last: int) -> Arrivals:
        """Wait for what is on its way up to packet `last` (-1 for none), and return all that arrived."""
        self._ending.set()
        self._thread.join()
        if last >= 0:
            self._await({last}, _LAST_TIMEOUT)
            self._await(set(range(max(0, last - _RECENT), last)), _OVERTAKEN_TIMEOUT)
        self.close()
        return self._arrivals

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _await(self, numbers: set[int], timeout: float) -> None:
        """Wait until these packets have arrived, or for the time that packets still on their way may take."""
        deadline = time.monotonic() + timeout
        while True:
            self._collect()
            if numbers <= set(self._arrivals.numbers[-2 * _RECENT :]) or not wait_readable(self._socket, deadline):
                return

    def _run(self) -> None:
        """Take in what came: the first packet at once, because a start waits for it; later many at a time."""
        while not self._ending.is_set() and not self._first.is_set():
            if wait_readable(self._socket, time.monotonic() + _READ_EVERY):
                self._collect()
        while not self._ending.wait(_READ_EVERY):
            self._collect()

    def _collect(self) -> None:
        while packet := sockets.receive(self._socket, _MARK.size):
            if len(packet.data) < _MARK.size:
                continue
            key, number = _MARK.unpack_from(packet.data)
            if key == self._key:
                self._arrivals.numbers.append(number)
                self._arrivals.times.append((packet.time or sockets.now()) / 1e9)
                self._first.set()


class Flow:
    """The sending end of a running stream, a thread of its own."""

    def __init__(self, request: FlowStart, context: Context) -> None:
        self.request = request
        with context.node(request.source).enter():
            self._sender = socket.socket(sockets.family(request.destination), socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        sockets.set_dscp(self._sender, request.dscp)
        self._destination = (request.destination, request.port)
        self._padding = bytes(max(0, request.size - sockets.headers(self._sender) - _MARK.size))
        self._sent = array("d")
        self._unsendable: dict[int, int] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._thread.start()

    def end(self) -> Flowed:
        """Send no more, and return what was sent."""
        self.close()
        request = self.request
        return Flowed(
            sent=self._sent.tobytes(),
            interval=request.interval,
            sink=request.sink,
            sink_number=request.sink_number,
            unsendable=self._unsendable,
        )

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._sender.close()

    def _run(self) -> None:
        start = time.monotonic()
        while True:
            pause = start + len(self._sent) * self.request.interval - time.monotonic()
            if pause > 0.1:
                self._stopping.wait(pause)
            elif pause > 0:
                time.sleep(pause)
            moment = time.monotonic()
            if self._stopping.is_set() or moment > start + _LONGEST:
                return
            self._send(int((moment - start) / self.request.interval) + 1 - len(self._sent))

    def _send(self, owed: int) -> None:
        """Send what is owed; more than one packet when the interval is shorter than what Python or the guest can do."""
        size = _MARK.size + len(self._padding)
        first = len(self._sent)
        count = max(1, min(owed, sockets.batch_limit(size)))
        data = b"".join(_MARK.pack(self.request.key, first + number) + self._padding for number in range(count))
        self._sent.extend([time.time()] * count)
        failure = sockets.send_batch(self._sender, data, size, self._destination)
        if failure:
            self._unsendable[failure] = self._unsendable.get(failure, 0) + count


def handle(request: StreamStart | StreamStop | StreamPart, context: Context) -> StreamStarted | StreamResult | PartDone:
    """Start or stop a stream, or do one half of it.

    A start returns with the first packet that arrived, or after 2 s: a stream that nothing comes through is a finding,
    not an error (an event in the lab says so).

    Raises:
        BadInput: an unknown node or stream, an address that is not the sink's, an interval or size out of range.
    """

    def ask(part: Any) -> Any:
        return handle(part, context)

    if isinstance(request, StreamStart):
        return start(request, ask, context.emit)
    if isinstance(request, StreamStop):
        return stop(request.stream, ask, context.emit)
    flows: Ends[Flow] = shared(context, "FlowStart", lambda: Ends("stream"))
    if isinstance(request, FlowStart):
        number = flows.number()
        flows.add(number, Flow(request, context), 2 * _LONGEST)
        return Opened(number=number)
    if isinstance(request, FlowStop):
        return flows.take(request.number).end()
    return _at_sink(request, context)


def _at_sink(request: SinkOpen | SinkWait | SinkClose, context: Context) -> Opened | SinkHeard | Arrived:
    sinks: Ends[Sink] = shared(context, "SinkOpen", lambda: Ends("stream's sink"))
    if isinstance(request, SinkOpen):
        check_owner(context, request.address, request.node, "sink")
        number, sink = sinks.number(), Sink(request, context)
        sinks.add(number, sink, 2 * _LONGEST)
        return Opened(number=number, port=sink.port)
    if isinstance(request, SinkWait):
        return SinkHeard(heard=sinks.get(request.number).wait(request.timeout))
    arrivals = sinks.take(request.number).end(request.last)
    return Arrived(numbers=arrivals.numbers.tobytes(), times=arrivals.times.tobytes())


def start(request: StreamStart, ask: Ask, tell: Tell) -> StreamStarted:
    """Start a stream between two nodes, whoever has them; see `handle`."""
    check_range("interval", request.interval, 1e-5, 60)
    check_range("size", request.size, 64, 9000)
    check_range("dscp", request.dscp, 0, 63)
    key = os.urandom(8)

    def closing(opened: Opened) -> SinkClose:
        return SinkClose(node=request.sink, number=opened.number, last=-1)

    with far_end(ask, SinkOpen(node=request.sink, address=request.destination, key=key), closing) as sink:
        flow = ask(
            FlowStart(
                source=request.source,
                destination=request.destination,
                port=sink.port,
                key=key,
                interval=request.interval,
                size=request.size,
                dscp=request.dscp,
                sink=request.sink,
                sink_number=sink.number,
            )
        )
    if not ask(SinkWait(node=request.sink, number=sink.number, timeout=_FIRST_TIMEOUT)).heard:
        where = f"{request.source} to {request.destination} ({request.sink})"
        told = f"stream {flow.number} from {where}: no packet arrived in {_FIRST_TIMEOUT:g} s; it goes on"
        tell(Progress(text=told))
    return StreamStarted(stream=flow.number)


def stop(number: int, ask: Ask, tell: Tell) -> StreamResult:
    """Stop a stream, and judge it by what arrived; see `handle`."""
    flow: Flowed = ask(FlowStop(number=number))
    sent, arrivals = array("d", flow.sent), Arrivals()
    arrived = ask(SinkClose(node=flow.sink, number=flow.sink_number, last=len(sent) - 1))
    arrivals.numbers.frombytes(arrived.numbers)
    arrivals.times.frombytes(arrived.times)
    for reason, count in flow.unsendable.items():
        tell(Progress(text=f"{count} of {len(sent)} packets of the stream were not sent: {os.strerror(reason)}"))
    return summarise(sent, arrivals, flow.interval)


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
