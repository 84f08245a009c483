"""TCP throughput between two nodes by iperf3: one server for one test, ready when it says that it listens."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from dataclasses import dataclass, field
from typing import overload

from testbed.emulator.context import Context
from testbed.emulator.messages import Output, Throughput, ThroughputResult
from testbed.emulator.parts import ClientRun, Opened, Said, ServerClose, ServerOpen
from testbed.emulator.probes import sockets
from testbed.emulator.probes.base import Ask, Ends, check_owner, check_range, far_end, shared
from testbed.errors import AgentError

_START_TIMEOUT = 15.0
_CONNECT_TIMEOUT = 5.0
_GRACE = 15.0
_LARGEST_BLOCK = 131_072
_BLOCKS_PER_SECOND = 50


@overload
def handle(request: Throughput, context: Context) -> ThroughputResult: ...
@overload
def handle(
    request: Throughput | ServerOpen | ServerClose | ClientRun, context: Context
) -> ThroughputResult | Opened | Said: ...
def handle(
    request: Throughput | ServerOpen | ServerClose | ClientRun, context: Context
) -> ThroughputResult | Opened | Said:
    """Send TCP for some seconds, or do one half of it.

    Returns:
        Rates in bit/s of TCP payload: what arrived over the whole test, and what was sent in each second of it.

    Raises:
        BadInput: an unknown node, an address that is not the sink's, a time or rate out of range.
        AgentError: iperf3 failed; the message is its own.
    """
    if isinstance(request, ClientRun):
        return Said(text=_run_client(request, context).decode(errors="replace"))
    servers: Ends[Server] = shared(context, "ServerOpen", lambda: Ends("server"))
    if isinstance(request, ServerOpen):
        return _open(request, context, servers)
    if isinstance(request, ServerClose):
        server = servers.take(request.number)
        server.close()
        return Said(text=server.text())
    return carry_out(request, lambda part: handle(part, context))


def carry_out(request: Throughput, ask: Ask) -> ThroughputResult:
    """Measure between two nodes, whoever has them.

    Raises:
        As `handle`.
    """
    check_range("seconds", request.seconds, 1, 3600)
    if request.limit_rate is not None:
        check_range("limit_rate", request.limit_rate, 1000, 1e12)

    def closing(opened: Opened) -> ServerClose:
        return ServerClose(node=request.sink, number=opened.number)

    opening = ServerOpen(node=request.sink, address=request.destination, seconds=request.seconds)
    with far_end(ask, opening, closing) as opened:
        client = ask(
            ClientRun(
                source=request.source,
                destination=request.destination,
                port=opened.port,
                seconds=request.seconds,
                limit_rate=request.limit_rate,
            )
        )
    server = ask(closing(opened))
    return _read(request, client.text, server.text)


def _open(request: ServerOpen, context: Context, servers: Ends[Server]) -> Opened:
    check_owner(context, request.address, request.node, "sink")
    server = Server(context, request)
    try:
        server.wait_until_listening()
    except BaseException:
        server.close()
        raise
    number = servers.number()
    servers.add(number, server, server.limit)
    return Opened(number=number, port=server.port)


@dataclass(slots=True)
class Server:
    """An iperf3 server for one test, in the sink."""

    context: Context
    request: ServerOpen
    port: int = 0
    _output: bytearray = field(default_factory=bytearray)
    _listening: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def wait_until_listening(self) -> None:
        """Start it and wait for its own word.

        Raises:
            AgentError: it ended or stayed silent instead.
        """
        self.port = _free_port(self.context, self.request)
        self._thread = threading.Thread(target=self._run, name="iperf3-server", daemon=True)
        self._thread.start()
        if not self._listening.wait(_START_TIMEOUT) or self._ended.is_set():
            where = f"iperf3 server on {self.request.node} ({self.request.address})"
            raise AgentError(f"{where} did not start within {_START_TIMEOUT:g} s: {self.text() or 'no output'}")

    @property
    def limit(self) -> float:
        """Seconds after which it is ended in any case."""
        return _START_TIMEOUT + _CONNECT_TIMEOUT + self.request.seconds + _GRACE

    def close(self) -> None:
        """End it: a connection without a test makes a server that still waits give up."""
        if self._thread is None:
            return
        if not self._ended.is_set() and self._listening.is_set():
            with self.context.node(self.request.node).enter():
                poke = socket.socket(sockets.family(self.request.address), socket.SOCK_STREAM)
            with poke, contextlib.suppress(OSError):  # it has just ended by itself
                poke.settimeout(1)
                poke.connect((self.request.address, self.port))
        self._thread.join()

    def text(self) -> str:
        """What it has written, in one line."""
        return " ".join(self._output.decode(errors="replace").replace("-" * 59, "").split())

    def _run(self) -> None:
        argv = ["iperf3", "-s", "-1", "-B", self.request.address, "-p", str(self.port), "--forceflush"]
        try:
            self.context.run(self.request.node, argv, timeout=self.limit, on_output=self._take)
        finally:
            self._ended.set()
            self._listening.set()

    def _take(self, output: Output) -> None:
        self._output += output.data
        if b"Server listening" in self._output:
            self._listening.set()


def _free_port(context: Context, request: ServerOpen) -> int:
    with context.node(request.node).enter():
        probe = socket.socket(sockets.family(request.address), socket.SOCK_STREAM)
    with probe:
        return sockets.bind_free(probe, request.address)


def _run_client(request: ClientRun, context: Context) -> bytes:
    argv = ["iperf3", "-c", request.destination, "-p", str(request.port), "-J", "-t", f"{request.seconds:g}"]
    argv += ["--connect-timeout", str(round(_CONNECT_TIMEOUT * 1000))]
    if request.limit_rate is not None:
        block = int(min(_LARGEST_BLOCK, max(1400, request.limit_rate / 8 / _BLOCKS_PER_SECOND)))
        argv += ["-b", str(round(request.limit_rate)), "-l", str(block)]
    output, errors = bytearray(), bytearray()

    def take(part: Output) -> None:
        (output if part.stream == "stdout" else errors).extend(part.data)

    code = context.run(request.source, argv, timeout=_CONNECT_TIMEOUT + request.seconds + _GRACE, on_output=take)
    if code and not output:
        reason = "it did not end in time" if code == 124 else errors.decode(errors="replace").strip()
        raise AgentError(f"iperf3 from {request.source} to {request.destination} failed with status {code}: {reason}")
    return bytes(output)


def _read(request: Throughput, output: str, server: str) -> ThroughputResult:
    where = f"iperf3 from {request.source} to {request.destination} ({request.sink})"
    try:
        report = json.loads(output)
    except ValueError:
        raise AgentError(f"{where} did not write JSON: {output[-200:]!r}; server: {server}") from None
    if "error" in report:
        raise AgentError(f"{where}: {report['error']}; server: {server}")
    try:
        total = report["end"]
        return ThroughputResult(
            received_rate=float(total["sum_received"]["bits_per_second"]),
            intervals=tuple(float(interval["sum"]["bits_per_second"]) for interval in report["intervals"]),
            retransmits=int(total["sum_sent"].get("retransmits", 0)),
        )
    except (KeyError, TypeError) as missing:
        raise AgentError(f"{where}: its report lacks {missing}; server: {server}") from None
