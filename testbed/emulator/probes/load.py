"""Background load: many paced UDP flows from one thread, thrown away at the sinks by the kernel."""

from __future__ import annotations

import heapq
import itertools
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from testbed.emulator.context import Context
from testbed.emulator.messages import LoadFlow, Ok, SetLoad
from testbed.emulator.parts import Closed, LoadSend, LoadSinks, LoadSource, Ports
from testbed.emulator.probes import sockets
from testbed.emulator.probes.base import Ask, check_owner, check_range, shared

_TICK = 0.001
_DEBT = 0.05


@dataclass(slots=True)
class Flow:
    """A running flow. `due` is when its next packet is owed, on the monotonic clock."""

    sock: socket.socket
    destination: tuple[str, int]
    payload: bytes
    size: int
    period: float
    due: float = 0.0

    def send(self, now: float) -> None:
        """Send what is owed at `now` in one system call.

        After a stall at most 50 ms of packets are made up for, so that a busy guest does not answer with a burst.
        """
        self.due = max(self.due, now - _DEBT)
        owed = int((now - self.due) / self.period) + 1
        count = min(owed, sockets.batch_limit(self.size))
        self.due += count * self.period
        sockets.send_batch(self.sock, self.payload[: count * self.size], self.size, self.destination)


class Load:
    """Sends all flows of a lab; `replace` changes them at once."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._flows: list[Flow] = []
        self._sockets = ExitStack()
        self._generation = 0
        self._thread: threading.Thread | None = None

    def replace(self, flows: list[Flow], opened: ExitStack) -> None:
        """Let these flows run and no others; `opened` closes their sockets when they are replaced in turn."""
        with self._changed:
            self._flows, self._sockets, old = flows, opened, self._sockets
            self._generation += 1
            self._changed.notify()
            if flows and self._thread is None:
                self._thread = threading.Thread(target=self._run, name="load", daemon=True)
                self._thread.start()
            old.close()

    def close(self) -> None:
        """Stop all flows and end the thread."""
        self.replace([], ExitStack())
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        generation, queue = -1, []
        while True:
            with self._changed:
                if not self._flows:
                    self._thread = None
                    return
                if generation != self._generation:
                    generation, queue = self._generation, _queue(self._flows)
                wake = self._send_due(queue)
                self._changed.wait(wake)

    @staticmethod
    def _send_due(queue: list[tuple[float, int, Flow]]) -> float:
        """Send what is due and return the seconds until the next packet, at least one tick."""
        now = time.monotonic()
        while queue[0][0] <= now:
            _, number, flow = queue[0]
            flow.send(now)
            heapq.heapreplace(queue, (flow.due, number, flow))
        return max(_TICK, queue[0][0] - time.monotonic())


class Sinks:
    """Ports that are never read: the kernel drops what comes, and no ICMP error goes back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before: dict[tuple[str, str], socket.socket] = {}
        self._now: dict[tuple[str, str], socket.socket] = {}

    def open(self, ends: Sequence[tuple[str, str]], context: Context) -> tuple[int, ...]:
        """Return the ports of these (node, address); those of the call before stay open, older ones are closed.

        Raises:
            BadInput: an unknown node, or an address that is not the node's; nothing was changed.
        """
        for node, address in ends:
            check_owner(context, address, node, "sink")
        with self._lock:
            wanted = {end: self._now.get(end) or self._before.get(end) or _sink(*end, context) for end in ends}
            self._forget([end for end in self._before if end not in self._now and end not in wanted])
            self._before, self._now = self._now, wanted
            return tuple(wanted[end].getsockname()[1] for end in ends)

    def _forget(self, ends: Sequence[tuple[str, str]]) -> None:
        for end in ends:
            self._before[end].close()

    def close(self) -> None:
        """Close all."""
        with self._lock:
            for sink in {**self._before, **self._now}.values():
                sink.close()
            self._before, self._now = {}, {}


def handle(request: SetLoad | LoadSinks | LoadSend, context: Context) -> Ok | Ports | Closed:
    """Replace all background load; when a flow is refused the old load goes on unchanged.

    Raises:
        BadInput: an unknown node, an address that is not the sink's, a rate or size out of range.
    """
    if isinstance(request, LoadSinks):
        return Ports(ports=shared(context, "LoadSinks", Sinks).open(request.ends, context))
    if isinstance(request, LoadSend):
        with ExitStack() as stack:
            flows = [_open(flow, context, stack) for flow in request.flows]
            opened = stack.pop_all()
        shared(context, "LoadSend", Load).replace(flows, opened)
        return Closed()
    return carry_out(request, lambda node: 1, {1: lambda part: handle(part, context)})


def carry_out(request: SetLoad, guest_of: Callable[[str], int], asks: Mapping[int, Ask]) -> Ok:
    """Replace the load of a whole lab.

    Args:
        guest_of: the number of a node's guest. asks: each guest's number to who is asked there.

    Raises:
        As `handle`.
    """
    for flow in request.flows:
        _check(flow)
    sources = [guest_of(flow.source) for flow in request.flows]
    ends = dict.fromkeys((flow.sink, flow.destination) for flow in request.flows)
    ports: dict[tuple[str, str], int] = {}
    for guest, ask in asks.items():
        own = tuple(end for end in ends if guest_of(end[0]) == guest)
        ports |= dict(zip(own, ask(LoadSinks(ends=own)).ports, strict=True))
    for guest, ask in asks.items():
        own = [flow for flow, source in zip(request.flows, sources, strict=True) if source == guest]
        ask(LoadSend(flows=tuple(_half(flow, ports[flow.sink, flow.destination]) for flow in own)))
    return Ok()


def _half(flow: LoadFlow, port: int) -> LoadSource:
    return LoadSource(
        source=flow.source, destination=flow.destination, port=port, rate=flow.rate, size=flow.size, dscp=flow.dscp
    )


def _check(flow: LoadFlow) -> None:
    check_range("size", flow.size, 64, 9000)
    check_range("rate", flow.rate, 1, 1e11)
    check_range("dscp", flow.dscp, 0, 63)


def _open(flow: LoadSource, context: Context, stack: ExitStack) -> Flow:
    with context.node(flow.source).enter():
        sock = stack.enter_context(socket.socket(sockets.family(flow.destination), socket.SOCK_DGRAM))
    sock.setblocking(False)
    sockets.set_dscp(sock, flow.dscp)
    payload = flow.size - sockets.headers(sock)
    block = bytes(payload * sockets.batch_limit(payload))
    return Flow(sock, (flow.destination, flow.port), block, payload, flow.size * 8 / flow.rate)


def _sink(node: str, address: str, context: Context) -> socket.socket:
    with context.node(node).enter():
        sink = socket.socket(sockets.family(address), socket.SOCK_DGRAM)
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    try:
        sockets.bind_free(sink, address)
    except BaseException:
        sink.close()
        raise
    return sink


def _queue(flows: list[Flow]) -> list[tuple[float, int, Flow]]:
    """Order flows by when they are due, spread over their first period so that they do not all send at once."""
    now = time.monotonic()
    queue = []
    for number, flow in zip(itertools.count(), flows, strict=False):
        flow.due = now + flow.period * number / len(flows)
        queue.append((flow.due, number, flow))
    heapq.heapify(queue)
    return queue
