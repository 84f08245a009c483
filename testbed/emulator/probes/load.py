"""Background load: many paced UDP flows from one thread, thrown away at the sinks by the kernel."""

from __future__ import annotations

import heapq
import itertools
import socket
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass

from testbed.emulator.context import Context
from testbed.emulator.messages import LoadFlow, Ok, SetLoad
from testbed.emulator.probes import sockets
from testbed.emulator.probes.base import check_owner, check_range, shared

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


def handle(request: SetLoad, context: Context) -> Ok:
    """Replace all background load; when a flow is refused the old load goes on unchanged.

    Raises:
        BadInput: an unknown node, an address that is not the sink's, a rate or size out of range.
    """
    for flow in request.flows:
        _check(flow, context)
    sinks: dict[tuple[str, str], tuple[str, int]] = {}
    with ExitStack() as stack:
        flows = [_open(flow, context, sinks, stack) for flow in request.flows]
        opened = stack.pop_all()
    shared(context, "SetLoad", Load).replace(flows, opened)
    return Ok()


def _check(flow: LoadFlow, context: Context) -> None:
    check_range("size", flow.size, 64, 9000)
    check_range("rate", flow.rate, 1, 1e11)
    check_range("dscp", flow.dscp, 0, 63)
    check_owner(context, flow.destination, flow.sink, "sink")
    context.node(flow.source)


def _open(flow: LoadFlow, context: Context, sinks: dict, stack: ExitStack) -> Flow:
    key = (flow.sink, flow.destination)
    if key not in sinks:
        sinks[key] = (flow.destination, _sink(flow, context, stack))
    with context.node(flow.source).enter():
        sock = stack.enter_context(socket.socket(sockets.family(flow.destination), socket.SOCK_DGRAM))
    sock.setblocking(False)
    sockets.set_dscp(sock, flow.dscp)
    payload = flow.size - sockets.headers(sock)
    block = bytes(payload * sockets.batch_limit(payload))
    return Flow(sock, sinks[key], block, payload, flow.size * 8 / flow.rate)


def _sink(flow: LoadFlow, context: Context, stack: ExitStack) -> int:
    """Bind a port that is never read: the kernel drops what comes, and no ICMP error goes back."""
    with context.node(flow.sink).enter():
        sink = stack.enter_context(socket.socket(sockets.family(flow.destination), socket.SOCK_DGRAM))
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    return sockets.bind_free(sink, flow.destination)


def _queue(flows: list[Flow]) -> list[tuple[float, int, Flow]]:
    """Order flows by when they are due, spread over their first period so that they do not all send at once."""
    now = time.monotonic()
    queue = []
    for number, flow in zip(itertools.count(), flows, strict=False):
        flow.due = now + flow.period * number / len(flows)
        queue.append((flow.due, number, flow))
    heapq.heapify(queue)
    return queue
