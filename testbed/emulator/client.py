"""The controller's end: requests to an agent, with progress, a heartbeat, and the console's last words when it dies."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import zmq

from testbed import errors
from testbed.emulator import messages
from testbed.emulator.keys import Keys
from testbed.emulator.messages import HEARTBEAT, Done, Failed, LinkChange, Output, Progress
from testbed.errors import AgentError, GuestFailed

BEAT = 1.0
SILENCE = 4.0
"""Seconds without an answer to any Hello until the agent counts as dead; when it had no processor does not count."""
LONGEST_SILENCE = 30.0
"""Seconds without an answer until it counts as dead however busy the machine is."""

OnEvent = Callable[[Progress | Output], None]


class LivenessLike(Protocol):
    """`testbed.substrate.base.Liveness`."""

    @property
    def alive(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def console(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class ExecResult:
    """A command's end. `code` as a shell gives it."""

    code: int
    stdout: bytes
    stderr: bytes


class Client(ABC):
    """What a lab is used through, whether one agent runs it or several. For one thread; make one for each."""

    @abstractmethod
    def call(self, request: messages.Request, on_event: OnEvent | None = None, timeout: float | None = None) -> Any:
        """Send a request and wait for its result.

        Args:
            on_event: gets Progress and Output as they come. timeout: seconds, None waits as long as the agent lives.

        Returns:
            The result type that the request's docstring names.

        Raises:
            TestbedError: of the class that the agent raised. GuestFailed: the agent died or hangs.
            AgentError: no result within `timeout`; the request is cancelled.
        """

    @abstractmethod
    def close(self) -> None:
        """Hang up; what this client still had under way is cancelled."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the calls that everybody makes ---

    def hello(self, timeout: float | None = None) -> messages.Welcome:
        """Ask whether the agent is there."""
        return self.call(messages.Hello(), timeout=timeout)

    def set_links(self, changes: Iterable[LinkChange]) -> messages.LinksSet:
        """Change many links in one batch; all are checked before any is changed."""
        return self.call(messages.SetLinks(changes=tuple(changes)))

    def run(
        self, node: str, argv: Sequence[str], stdin: bytes = b"", timeout: float = 60.0, on_event: OnEvent | None = None
    ) -> ExecResult:
        """Run a command in a node and gather its output."""
        parts: dict[str, list[bytes]] = {"stdout": [], "stderr": []}

        def gather(event: Progress | Output) -> None:
            if isinstance(event, Output):
                parts[event.stream].append(event.data)
            if on_event is not None:
                on_event(event)

        exited = self.call(messages.Exec(node=node, argv=tuple(argv), stdin=stdin, timeout=timeout), gather)
        return ExecResult(exited.code, b"".join(parts["stdout"]), b"".join(parts["stderr"]))


class AgentClient(Client):
    """A connection to one agent. For one thread; make one for each.

    Args:
        folder: the lab folder, which holds `keys`.
        endpoint: ZeroMQ URL of the agent.
        liveness: asked every second while a call waits, so that a dead kernel is reported at once with its console.
        starved: tells for how many seconds so far the agent's machine had to wait for a processor; asked while it is
            silent.
    """

    def __init__(
        self,
        folder: Path,
        endpoint: str,
        liveness: Callable[[], LivenessLike] | None = None,
        starved: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._keys = Keys.read(Path(folder))
        self._endpoint, self._liveness, self._starved = endpoint, liveness, starved
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
        self._numbers = count(1)
        self._open()

    def _open(self) -> None:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 200)
        socket.curve_serverkey = self._keys.server_public.encode()
        socket.curve_publickey = self._keys.client_public.encode()
        socket.curve_secretkey = self._keys.client_secret.encode()
        socket.setsockopt(zmq.HANDSHAKE_IVL, 2000)
        socket.connect(self._endpoint)
        self._socket = socket

    def close(self) -> None:
        """Hang up; the agent cancels what this client still had under way."""
        self._socket.close()

    def call(self, request: messages.Request, on_event: OnEvent | None = None, timeout: float | None = None) -> Any:
        """See `Client.call`."""
        number = next(self._numbers).to_bytes(8, "big")
        self._socket.send_multipart([number, messages.encode(request)])
        try:
            return self._wait(request, number, on_event, timeout)
        except BaseException as error:
            if not isinstance(error, errors.TestbedError) or isinstance(error, _Abandoned | GuestFailed):
                self._socket.close()  # the agent cancels what a silent client had asked for
                self._open()
            raise

    def _wait(self, request: messages.Request, number: bytes, on_event: OnEvent | None, timeout: float | None) -> Any:
        started = time.monotonic()
        silence = _Silence(self._starved, started)
        next_beat = started + BEAT
        deadline = started + timeout if timeout is not None else None
        while True:
            now = time.monotonic()
            if deadline is not None and now >= deadline:
                raise _Abandoned(f"{type(request).__name__}: no result within {timeout:g} s; cancelled")
            if now >= min(next_beat, silence.end):
                silence.last(now)
                self._check(silence, now)
                self._socket.send_multipart([HEARTBEAT, _HELLO])
                next_beat = now + BEAT
            until = min(next_beat, silence.end, deadline if deadline is not None else next_beat)
            if not self._socket.poll(math.ceil(max(0.0, until - now) * 1000)):
                continue
            answered, body = self._socket.recv_multipart()
            silence = _Silence(self._starved, time.monotonic())
            if answered == number:
                reply = messages.decode_reply(body)
                if isinstance(reply, Done):
                    return reply.result
                if isinstance(reply, Failed):
                    raise _error(reply)
                if on_event is not None:
                    on_event(reply)

    def _check(self, silence: _Silence, now: float) -> None:
        state = self._liveness() if self._liveness is not None else None
        if state is not None and not state.alive:
            raise GuestFailed(_with_console(f"the lab does not answer: {state.reason}", state.console))
        if now >= silence.end:
            console = state.console if state is not None else ()
            raise GuestFailed(_with_console(f"the agent at {self._endpoint} has been silent for {silence}", console))


class _Silence:
    """Since an agent was last heard, at `since`; `end` is when it counts as dead, on the monotonic clock."""

    def __init__(self, starved: Callable[[], float], since: float) -> None:
        self._starved, self._since = starved, since
        self._before: tuple[float, float] | None = None
        self.end = since + SILENCE

    def last(self, now: float) -> None:
        """Take note that it lasts: what it has waited for a processor since the last note is not counted.

        The first second is what every call that takes longer comes to, between one Hello and the next.
        """
        if now - self._since <= BEAT:
            return
        starved = self._starved()
        if self._before is not None:
            at, had = self._before
            self.end = min(self.end + min(now - at, starved - had), self._since + LONGEST_SILENCE)
        self._before = now, starved

    def __str__(self) -> str:
        busy = self.end - self._since - SILENCE
        return f"{SILENCE + busy:.3g} s" + (f", {busy:.2g} s of them without a processor" if busy > 0.05 else "")


class _Abandoned(AgentError):
    """The caller would not wait any longer."""


_HELLO = messages.encode(messages.Hello())


def _error(reply: Failed) -> errors.TestbedError:
    kind = getattr(errors, reply.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.TestbedError)):
        kind = AgentError
    return kind(reply.message)


def _with_console(text: str, console: Sequence[str]) -> str:
    return "\n".join([text + ("; its console's last lines:" if console else ""), *(f"  {line}" for line in console)])
