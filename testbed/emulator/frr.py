"""FRR in a node: daemons, their configuration, their vty sockets.

vtysh takes 0.7 s a router in a guest, because it loads every daemon's commands; the daemons' own vty sockets take
milliseconds. So the integrated configuration is given to each daemon line by line, as `vtysh -b` does, and a line that
no daemon takes is an error.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from testbed.emulator.execute import Children, Process, stop_all
from testbed.emulator.namespaces import Namespaces, watch
from testbed.emulator.vtysh import Vtysh
from testbed.errors import AgentError, BadInput, NotReady, NotRunning

DAEMONS = ("zebra", "staticd", "ospfd", "bgpd", "isisd")
FOLDER = "/usr/lib/frr"
START_PATIENCE = 30.0
VTY_PATIENCE = 30.0

SUCCESS, WARNING, NO_MATCH, AMBIGUOUS, INCOMPLETE, FAILED = 0, 1, 2, 3, 4, 13
_REASONS = {NO_MATCH: "unknown command", AMBIGUOUS: "ambiguous command", INCOMPLETE: "incomplete command"}
_VTYSH_ONLY = ("service integrated-vtysh-config", "no service integrated-vtysh-config", "username ")


class Vty:
    """A daemon's vty socket: a command ends with NUL, its answer with three NULs and a status byte (vtysh.c)."""

    def __init__(self, path: str, name: str) -> None:
        self._name = name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(VTY_PATIENCE)
        self._rest = b""
        self._socket.connect(path)
        self.ask(["enable"])

    def ask(self, commands: Sequence[str]) -> list[tuple[str, int]]:
        """Carry out commands in order.

        Returns:
            Text and FRR's status of each (0 is CMD_SUCCESS).

        Raises:
            AgentError: the daemon hung up or does not answer.
        """
        try:
            self._socket.sendall(b"".join(command.encode() + b"\0" for command in commands))
            return [self._answer() for _ in commands]
        except OSError as error:
            raise AgentError(f"{self._name}: its vty does not answer: {error}") from error

    def _answer(self) -> tuple[str, int]:
        while (end := self._rest.find(b"\0\0\0")) < 0 or len(self._rest) < end + 4:
            data = self._socket.recv(1 << 16)
            if not data:
                raise ConnectionResetError("the daemon hung up")
            self._rest += data
        text, code = self._rest[:end], self._rest[end + 3]
        self._rest = self._rest[end + 4 :]
        return text.decode(errors="replace"), code

    def close(self) -> None:
        self._socket.close()


@dataclass(slots=True)
class Daemon:
    """One FRR daemon. `lock` guards its vty."""

    name: str
    process: Process | None = None
    vty: Vty | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Frr:
    """The daemons of one node."""

    def __init__(self, node: str, namespaces: Namespaces, run: int, daemons: Sequence[str], children: Children) -> None:
        unknown = [name for name in daemons if name not in DAEMONS]
        if unknown:
            raise BadInput(f"{node}: no daemon called {unknown[0]!r} (known: {', '.join(DAEMONS)})")
        self.node, self._namespaces, self._children = node, namespaces, children
        self._folder = f"/proc/self/fd/{run}/frr"
        self._vtysh = Vtysh(node, namespaces, children)
        self.daemons = {name: Daemon(name) for name in DAEMONS if name in daemons or name == "zebra"}
        self.given: dict[str, str] = {}

    def start(self, configuration: str) -> None:
        """Start the daemons and give them their configuration.

        Raises:
            AgentError: a daemon died, or a line was rejected; the message has node, line and FRR's words.
            NotReady: a daemon did not open its vty in time.
        """
        self.close()
        self._start(list(self.daemons.values()))
        load(self, configuration)
        self.given = self.running()

    def running(self) -> dict[str, str]:
        """Return what each daemon that lives has for its configuration, as it tells vtysh when that asks for all."""
        lives = self.alive()
        return {name: self.ask(name, ["write terminal"])[0][0] for name in self.daemons if lives[name]}

    def change(self, daemons: Sequence[str], configuration: str, lines: str) -> None:
        """Become what runs these daemons with this configuration, without a restart of those that run already.

        Args:
            configuration: all of it, for new daemons. lines: what changes it in the others.

        Raises:
            As `start`.
        """
        wanted = {name for name in DAEMONS if name in daemons or name == "zebra"}
        running, new = list(self.daemons), [name for name in DAEMONS if name in wanted - self.daemons.keys()]
        self._start([Daemon(name) for name in new])
        known = load(self, configuration, new, lenient=True) if new else frozenset()
        if lines.strip():
            load(self, lines, running, known)
        for name in self.daemons.keys() - wanted:
            self._end(self.daemons.pop(name))

    def _start(self, daemons: list[Daemon]) -> None:
        appearing = watch(self._folder)
        try:
            for daemon in daemons:
                self.daemons[daemon.name] = daemon
                daemon.process = self._children.start(self._namespaces, _command(daemon.name))
                if daemon.name == "zebra":
                    self._wait([daemon], appearing)  # the others connect to it
            self._wait(daemons, appearing)
        finally:
            os.close(appearing)

    def _end(self, daemon: Daemon) -> None:
        if daemon.process is not None:
            stop_all([daemon.process], 10.0)
        if daemon.vty is not None:
            daemon.vty.close()

    def _wait(self, daemons: list[Daemon], appearing: int) -> None:
        deadline = time.monotonic() + START_PATIENCE
        for daemon in daemons:
            while not self._connect(daemon):
                if daemon.process is not None and daemon.process.code is not None:
                    raise AgentError(f"{self.node}: {daemon.name} ended with code {daemon.process.code} while starting")
                if time.monotonic() > deadline:
                    raise NotReady(f"{self.node}: {daemon.name} did not open its vty within {START_PATIENCE:g} s")
                if select.select([appearing], [], [], 0.2)[0]:
                    os.read(appearing, 65536)

    def _connect(self, daemon: Daemon) -> bool:
        if daemon.vty is None:
            try:
                daemon.vty = Vty(f"{self._folder}/{daemon.name}.vty", f"{self.node}: {daemon.name}")
            except (FileNotFoundError, ConnectionRefusedError):
                return False
        return True

    def ask(self, name: str, commands: Sequence[str]) -> list[tuple[str, int]]:
        """Carry out commands in one daemon, see `Vty.ask`; whatever mode they lead to, the next start outside of it.

        Raises:
            NotRunning: the node does not run this daemon, or it is dead. AgentError: it does not answer.
            BadInput: there is no such daemon.
        """
        return self.converse(name, [*commands, "end"])[:-1]

    def converse(self, name: str, commands: Sequence[str]) -> list[tuple[str, int]]:
        """As `ask`, but the daemon stays in the mode that the commands lead to."""
        if name not in self.daemons:
            kind = NotRunning if name in DAEMONS else BadInput
            raise kind(f"{self.node} does not run {name!r} (it runs {', '.join(self.daemons)})")
        daemon = self.daemons[name]
        with daemon.lock:
            if daemon.process is None or daemon.process.code is not None:
                raise NotRunning(f"{self.node}: {name} is not running")
            if not self._connect(daemon) or daemon.vty is None:
                raise AgentError(f"{self.node}: {name} has no vty")
            try:
                return daemon.vty.ask(commands)
            except AgentError:
                daemon.vty.close()
                daemon.vty = None
                raise

    def ask_vtysh(self, commands: Sequence[str], timeout: float) -> list[str]:
        """Carry out commands in the node's vtysh, see `Vtysh.ask`."""
        answers = self._vtysh.ask(commands, timeout, self._listening())
        return [text.encode("utf-8", "surrogateescape").decode(errors="replace") for text in answers]

    def _listening(self) -> frozenset[tuple[str, int]]:
        """Tell one set of daemons from another: their processes, and whatever sockets else are there."""
        alive = {(d.name, d.process.pid) for d in self.daemons.values() if d.process and d.process.code is None}
        with os.scandir(self._folder) as entries:
            return frozenset(alive | {(e.name, e.inode()) for e in entries if e.name.endswith(".vty")})

    def alive(self) -> dict[str, bool]:
        """Return daemon name to whether it runs."""
        return {d.name: d.process is not None and d.process.code is None for d in self.daemons.values()}

    def processes(self) -> list[Process]:
        return [daemon.process for daemon in self.daemons.values() if daemon.process is not None]

    def stop(self) -> None:
        """Kill the daemons."""
        stop_all(self.processes(), 10.0)
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._vtysh.close()
        for daemon in self.daemons.values():
            if daemon.vty is not None:
                daemon.vty.close()
                daemon.vty = None


def _command(daemon: str) -> list[str]:
    return [f"{FOLDER}/{daemon}", "-u", "root", "-g", "root", "-A", "127.0.0.1", "-P", "0"]


# --- configuration ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A line of frr.conf that says something. `number` counts from 1."""

    number: int
    indent: int
    text: str


def lines_of(configuration: str) -> list[Line]:
    """Return the lines that are not empty, comments, or vtysh's own business."""
    found = []
    for number, raw in enumerate(configuration.splitlines(), 1):
        text = raw.strip()
        if text and text[0] not in "!#" and text != "end" and not text.startswith(_VTYSH_ONLY):
            found.append(Line(number, len(raw) - len(raw.lstrip()), text))
    return found


def load(
    frr: Frr, configuration: str, only: Sequence[str] = (), known: Collection[str] = (), *, lenient: bool = False
) -> frozenset[str]:
    """Give an integrated configuration to all daemons, or to some.

    Args:
        only: daemons. known: lines that daemons which are not asked have taken; with `lenient` any line may be theirs.

    Returns:
        The lines that were taken.

    Raises:
        AgentError: a line that no daemon takes, or that one refuses: node, line number, line, FRR's words.
    """
    lines = lines_of(configuration)
    answers: dict[int, list[tuple[str, str, int]]] = {line.number: [] for line in lines}
    for name in only or frr.daemons:
        frr.converse(name, ["configure terminal", "XFRR_start_configuration"])
        for line, text, code in _feed(frr, name, lines):
            answers[line.number].append((name, text, code))
        frr.converse(name, ["XFRR_end_configuration", "end"])
    strange = {n for n, said in answers.items() if all(code == NO_MATCH for *_, code in said)}
    judged = [line for line in lines if line.number not in strange or not (lenient or line.text in known)]
    rejected = [why for line in judged if (why := _rejection(line, answers[line.number]))]
    if rejected:
        more = f" (and {len(rejected) - 3} more)" if len(rejected) > 3 else ""
        raise AgentError(f"{frr.node}: frr.conf was rejected: " + "; ".join(rejected[:3]) + more)
    return frozenset(line.text for line in lines if line.number not in strange)


def _feed(frr: Frr, daemon: str, lines: Sequence[Line]) -> list[tuple[Line, str, int]]:
    """Give one daemon the lines, without the insides of blocks whose head it does not know.

    An inner line could otherwise be taken for something else, one level up (`router-id` for instance).
    """
    given: list[tuple[Line, str, int]] = []
    waiting: list[Line] = []
    skipped: int | None = None
    for position, line in enumerate(lines):
        if skipped is not None:
            if line.indent > skipped or (line.indent == skipped and line.text in ("exit", "quit")):
                continue
            skipped = None
        waiting.append(line)
        following = lines[position + 1] if position + 1 < len(lines) else None
        if following and (following.indent > line.indent or following.text in ("exit", "quit")):
            given += _send(frr, daemon, waiting)
            waiting = []
            if given[-1][2] != SUCCESS and line.text not in ("exit", "quit"):
                skipped = line.indent
    return given + (_send(frr, daemon, waiting) if waiting else [])


def _send(frr: Frr, daemon: str, lines: Sequence[Line]) -> list[tuple[Line, str, int]]:
    answers = frr.converse(daemon, [line.text for line in lines])
    return [(line, text, code) for line, (text, code) in zip(lines, answers, strict=True)]


def _rejection(line: Line, answers: Sequence[tuple[str, str, int]]) -> str | None:
    refused = [a for a in answers if a[2] not in (SUCCESS, NO_MATCH, AMBIGUOUS, INCOMPLETE)]
    if not refused and any(code == SUCCESS for _, _, code in answers):
        return None
    unclear = [a for a in answers if a[2] in (AMBIGUOUS, INCOMPLETE)]
    daemon, text, code = (refused or unclear or list(answers) or [("", "", NO_MATCH)])[0]
    words = " ".join(text.split()) or _REASONS.get(code, f"status {code}")
    who = f"{daemon}: " if refused else ""
    return f"line {line.number}, {line.text!r}: {who}{words}"
