"""Talking in lines to a program that stays: over SSH with hardware, over a socket pair with a twin's router.

A vtysh whose input is no terminal still writes prompt and line for every line it reads. So a comment with a marker, a
line that does nothing, shows where an answer ends; a second one shows what the prompt is, byte for byte.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from testbed.errors import BadInput


class Stream(Protocol):
    """Both ways of a program's standard streams: a socket, or a channel of paramiko. Late answers: TimeoutError."""

    def settimeout(self, timeout: float | None, /) -> None: ...
    def sendall(self, data: bytes, /) -> None: ...
    def recv(self, size: int, /) -> bytes: ...


class Lines:
    """A program without a terminal, spoken to in lines."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._pending = bytearray()

    @property
    def pending(self) -> str:
        """What was said and has not been taken."""
        return self._pending.decode("utf-8", "surrogateescape")

    def send(self, text: str, timeout: float) -> None:
        """Send text. Raises OSError when it cannot be sent within `timeout` seconds."""
        if timeout <= 0:
            raise TimeoutError
        self._stream.settimeout(timeout)
        self._stream.sendall(text.encode("utf-8", "surrogateescape"))

    def until(self, marker: str, timeout: float) -> tuple[str, str]:
        """Return what came before the marker, and the rest of the marker's line. Keeps what follows for later.

        Raises:
            TimeoutError: it did not come within `timeout` seconds. EOFError: the program closed its end.
        """
        deadline, searched, mark = time.monotonic() + timeout, 0, marker.encode()
        while True:
            at = self._pending.find(mark, searched)
            end = self._pending.find(b"\n", at + len(mark)) if at >= 0 else -1
            if end >= 0:
                break
            searched = max(0, len(self._pending) - len(mark)) if at < 0 else at
            self.receive(deadline)
        before, rest = bytes(self._pending[:at]), bytes(self._pending[at + len(mark) : end])
        del self._pending[: end + 1]
        return before.decode("utf-8", "surrogateescape"), rest.decode("utf-8", "surrogateescape")

    def receive(self, deadline: float, ending: bool = False) -> int:
        """Take what comes next; returns how much, 0 only at the end that `ending` allows."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._stream.settimeout(left)
        data = self._stream.recv(65536)
        if not data and not ending:
            raise EOFError("the other side closed the connection")
        self._pending += data
        return len(data)


@dataclass(frozen=True, slots=True)
class Answers:
    """One output a command, as `vtysh -c` prints it, and the prompt before the first and after the last of them."""

    outputs: list[str]
    prompts: tuple[str, str]


def ask_vtysh(lines: Lines, commands: Sequence[str], timeout: float) -> Answers:
    """Put commands to a vtysh that is kept open; all of them travel together.

    Args:
        timeout: seconds until the last answer must be here.

    Raises:
        BadInput: a command that vtysh would not read as one line.
        OSError, EOFError: as `Lines.send` and `Lines.until`; the vtysh is of no more use then.
    """
    deadline = time.monotonic() + timeout
    typed = [_typed(command) for command in commands]
    marks = [f"! {secrets.token_hex(6)}" for _ in range(len(commands) + 1)]
    comments = [f"{mark}\n{mark}\n" for mark in marks]
    text = "".join(f"{line}\n{comment}" for line, comment in zip(typed, comments[1:], strict=True))
    lines.send(comments[0] + text, timeout)
    said, prompts = [], []
    for mark in marks:
        said.append(lines.until(mark, deadline - time.monotonic())[0])
        prompts.append(lines.until(mark, deadline - time.monotonic())[0])
    outputs = [_answer(text, prompt) for text, prompt in zip(said[1:], prompts[1:], strict=True)]
    return Answers(outputs, (prompts[0], prompts[-1]))


def _typed(command: str) -> str:
    """What to type so that vtysh reads just this line: `?` would ask for help, unless control-V stands before it."""
    if not command.isprintable() or command.rstrip().endswith("?"):
        raise BadInput(f"{command!r} is not one command in one line, which a vtysh kept open needs")
    return command.replace("?", "\x16?")


def _answer(text: str, prompt: str) -> str:
    """What stands between the echo of a command and the next prompt."""
    echo, newline, rest = text.partition("\n")
    if not newline or not rest.endswith(prompt):
        raise EOFError(f"vtysh did not echo its command but said {echo[-200:]!r}")
    return rest.removesuffix(prompt)
