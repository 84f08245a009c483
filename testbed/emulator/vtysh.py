"""A vtysh kept open in a node, for what no single daemon answers (`show running-config`, `write memory`).

Starting one takes 0.3 s and more in a guest, because it loads every daemon's commands; one that runs answers in
milliseconds. Its answers are byte for byte those of `vtysh -c`.
"""

from __future__ import annotations

import select
import signal
import socket
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from testbed.dialogue import Lines, ask_vtysh
from testbed.emulator.execute import ENVIRONMENT, Children, Process
from testbed.emulator.namespaces import Namespaces
from testbed.errors import AgentError

_ENVIRONMENT = {**ENVIRONMENT, "INPUTRC": "/dev/null", "VTYSH_HISTFILE": "/dev/null"}


@dataclass(frozen=True, slots=True)
class _Session:
    """A vtysh that runs. `daemons` are those it has connected to, as its starter knows them."""

    process: Process
    socket: socket.socket
    lines: Lines
    daemons: Hashable

    def usable(self, daemons: Hashable) -> bool:
        poll = select.poll()
        poll.register(self.socket, 0)  # POLLHUP is always told
        return self.process.code is None and not poll.poll(0) and self.daemons == daemons

    def end(self) -> None:
        self.process.signal(signal.SIGKILL)
        self.socket.close()


class Vtysh:
    """One node's vtysh. Safe to call from several threads; calls take turns."""

    def __init__(self, node: str, namespaces: Namespaces, children: Children) -> None:
        self._node, self._namespaces, self._children = node, namespaces, children
        self._lock = threading.Lock()
        self._session: _Session | None = None

    def ask(self, commands: Sequence[str], timeout: float, daemons: Hashable) -> list[str]:
        """Carry out commands in order, the first outside of configuration mode.

        Args:
            timeout: seconds for all of it, waiting for others' turns included.
            daemons: whatever differs when a daemon has started or ended; then a new vtysh connects to them anew.

        Raises:
            BadInput: a command is not one line. AgentError: no answer in time, or vtysh ended; the next call starts a
            new one.
        """
        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise AgentError(f"{self._node}: vtysh is busy with other commands for {timeout:g} s")
        try:
            return self._ask(commands, deadline, daemons)
        except TimeoutError:
            self._drop()
            raise AgentError(f"{self._node}: vtysh gave no answer within {timeout:g} s and was ended") from None
        except (OSError, EOFError) as error:
            raise AgentError(f"{self._node}: {self._last_words(error)}") from None
        finally:
            self._lock.release()

    def _ask(self, commands: Sequence[str], deadline: float, daemons: Hashable) -> list[str]:
        if self._session is not None and not self._session.usable(daemons):
            self._drop()
        if self._session is None:
            self._session = self._start(daemons)
        answers = ask_vtysh(self._session.lines, commands, deadline - time.monotonic())
        if len(set(answers.prompts)) > 1:  # it stays in another mode, or has another name: the next one shall not
            self._drop()
        return answers.outputs

    def _start(self, daemons: Hashable) -> _Session:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                end = theirs.fileno()
                process = self._children.start(
                    self._namespaces, ["vtysh"], stdio=(end, end, end), environment=_ENVIRONMENT
                )
            except OSError:
                ours.close()
                raise
        return _Session(process, ours, Lines(ours), daemons)

    def _last_words(self, error: Exception) -> str:
        session = self._session
        self._drop()
        if session is None:
            return f"vtysh does not start: {error}"
        said = " ".join(session.lines.pending.split())[-300:]
        return f"vtysh ended: {said or error}"

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.end()

    def close(self) -> None:
        """End it; a call under way fails at once."""
        session = self._session
        if session is not None:
            session.process.signal(signal.SIGKILL)
        with self._lock:
            self._drop()
