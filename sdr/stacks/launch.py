"""Starts a scenario's programs, waits until its UEs are attached, gathers what they measure, and ends all of them."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING, Literal, Self

from sdr.stacks import metrics
from sdr.stacks.enb import METRICS
from sdr.stacks.plan import Started, stacks_of, started
from testbed.errors import NotReady, TestbedError, Unable
from testbed.telemetry.store import Store

if TYPE_CHECKING:
    from sdr.broker.scenario import Scenario

What = Literal["started", "ready", "attached", "ended", "unheard"]

OUTPUT = "output.log"
LOOK = 0.25
"""s: how often metrics files are read."""
_GRACE = 5.0
"""s: for a program to end by itself."""
_LAST_LINES = 8
_PROCESSORS = 5
"""Release 25.10 of srsRAN Project leaves three alone; with one thread, what is left of four, it waits for itself."""
_READY = re.compile(r"==== .* started ===")
_ATTACHED = re.compile(r"(?:Network attach|PDU Session Establishment) successful\. IP[^:]*: (\S+)")
_TIED = ("setpriv", "--pdeathsig", "KILL")
"""Before each command (util-linux): nothing is left running when this process is killed."""
_INSTALL = {
    "gnb": "install srsRAN Project, built with ZeroMQ (cmake -DENABLE_ZEROMQ=ON)",
    "srsenb": "install srsRAN 4G, built with ZeroMQ (libzmq3-dev there before cmake)",
    "srsue": "install srsRAN 4G, built with ZeroMQ (libzmq3-dev there before cmake)",
}


@dataclass(frozen=True, slots=True)
class Event:
    """What became of a program.

    Attributes:
        at: Unix seconds. radio: name in the scenario.
        what: `ready` is of cells, `attached` of UEs; `unheard`: its metrics cannot be had.
        seconds: since it was started. detail: a UE's address; of one that ended its status and last lines.
    """

    at: float
    radio: str
    what: What
    seconds: float
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.radio} {self.what} after {self.seconds:.1f} s{f': {self.detail}' if self.detail else ''}"


def find(programs: Sequence[Started]) -> dict[str, str]:
    """Return each program's path by its radio's name.

    Raises:
        Unable: programs are missing: which, where they were looked for, and what to install.
    """
    found = {one.name: shutil.which(one.program or one.binary) for one in programs}
    missing = {(one.program or one.binary): one for one in programs if found[one.name] is None}
    if missing:
        raise Unable("\n".join(_missing(word, one) for word, one in missing.items()))
    return {name: str(path) for name, path in found.items()}


def _missing(word: str, one: Started) -> str:
    where = "a file that may be run" if "/" in word else f"it on PATH ({os.environ.get('PATH', '')})"
    hint = f"{_INSTALL[one.binary]}, or give its path as 'program'"
    return f"{one.name}: {word}: not found; expected {where}: {hint}"


class Program:
    """One program that runs, and what it says.

    It says it to a terminal of its own: to a pipe it would say it only when some kilobytes have come together.

    Attributes:
        ready: whether it has said what it says when a cell is up or a UE attached. address: that it then has.
    """

    def __init__(self, one: Started, path: str, folder: Path) -> None:
        """Start it in its folder.

        Raises:
            Unable: it cannot be run.
        """
        self.name, self.kind, self.stack = one.name, one.kind, one.stack
        self.ready, self.address = False, ""
        self.began = time.monotonic()
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self._part = b""
        self._output = (folder / OUTPUT).open("wb")
        self.terminal, theirs = os.openpty()
        os.set_blocking(self.terminal, False)
        try:
            self._process = subprocess.Popen(
                [*_TIED, path, *one.arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,  # Ctrl-C is ours; they are ended in order
            )
        except OSError as error:
            self._close()
            raise Unable(f"{self.name}: cannot run {path} by {_TIED[0]}: {error.strerror}") from None
        finally:
            os.close(theirs)

    @property
    def seconds(self) -> float:
        """Since it was started."""
        return time.monotonic() - self.began

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def read(self) -> bool:
        """Read what it has said, if anything; return whether it became ready by that."""
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # EAGAIN: nothing new; EIO: it has ended
            return False
        self._output.write(data)
        self._output.flush()
        before = self.ready
        *lines, self._part = (self._part + data).split(b"\n")
        for line in lines:
            self._understand(line.decode("utf-8", "replace").rstrip())
        return self.ready and not before

    def _understand(self, line: str) -> None:
        if line:
            self.last.append(line)
        found = (_ATTACHED if self.kind == "ue" else _READY).search(line)
        if found and not self.ready:
            self.ready = True
            self.address = found[1] if self.kind == "ue" else ""

    def interrupt(self) -> None:
        """Ask it to end."""
        if self.status is None:
            self._process.send_signal(signal.SIGINT)

    def end(self, deadline: float) -> None:
        """Wait for its end, and kill it and all that it started at the deadline (of `time.monotonic`)."""
        while self.status is None and time.monotonic() < deadline:  # it may not end while nobody reads its last words
            if select.select([self.terminal], [], [], 0.05)[0]:
                self.read()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        os.close(self.terminal)
        self._output.close()


@dataclass(frozen=True, slots=True)
class Around:
    """What a launch needs of who launches.

    Attributes:
        store: for samples. tell: is told of every event. check: raises what makes it useless to go on.
    """

    store: Store
    tell: Callable[[Event], object]
    check: Callable[[], object]


class Launch:
    """A scenario's programs, running; leaving the context ends them, UEs before cells."""

    def __init__(self, scenario: Scenario, paths: dict[str, str], folder: Path, around: Around) -> None:
        """Start nothing yet.

        Args:
            paths: of `find`. folder: with the files of `plan`.
        """
        self._scenario, self._paths, self._folder = scenario, paths, folder
        self._store, self._tell, self._check = around.store, around.tell, around.check
        self._running: list[Program] = []
        self._files: list[metrics.CsvFile] = []
        self._listeners: list[Thread] = []
        self._stop = Flag()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for kind in ("ue", "cell"):
            mine = [one for one in self._running if one.kind == kind]
            for one in mine:
                one.interrupt()
            deadline = time.monotonic() + _GRACE
            for one in mine:
                one.end(deadline)
        for thread in self._listeners:
            thread.join()
        self._gather()
        self._store.flush()

    def start(self, patience: float) -> None:
        """Start the cells, when they are up the UEs, and wait until these are attached.

        Args:
            patience: seconds for the cells to be up, and again for the UEs to be attached.

        Raises:
            Unable: a program cannot be run. NotReady: one ended, or was not ready in time; with its last lines.
        """
        programs = list(started(self._scenario))
        for kind in ("cell", "ue"):
            mine = [self._begin(one) for one in programs if one.kind == kind]
            deadline = time.monotonic() + patience
            while waiting := [one for one in mine if not one.ready]:
                self._refuse_ended()
                if time.monotonic() > deadline:
                    raise NotReady("\n".join(f"{_late(one, patience)}" for one in waiting))
                self._look(deadline)

    def watch(self, until: float) -> None:
        """Gather metrics until a moment of `time.monotonic`.

        Raises:
            NotReady: a program ended.
        """
        while time.monotonic() < until:
            self._refuse_ended()
            self._look(until)

    def _begin(self, one: Started) -> Program:
        folder = self._folder / one.name
        (folder / METRICS).unlink(missing_ok=True)  # of a run before: its times would be taken for this one's
        program = Program(one, self._paths[one.name], folder)
        self._running.append(program)
        self._say(program, "started")
        if one.stack == "srsran-project":
            port = stacks_of(self._scenario).cells[one.name].control
            thread = Thread(target=self._listen, args=(program, port), name=f"metrics of {one.name}")
            self._listeners.append(thread)
            thread.start()
        else:
            self._files.append(metrics.CsvFile(folder / METRICS, one.name, one.kind))
        return program

    def _listen(self, program: Program, port: int) -> None:
        try:
            metrics.subscribe(program.name, port, self._store.add, self._stop, patience=30.0)
        except TestbedError as error:
            self._say(program, "unheard", str(error))

    def _look(self, until: float) -> None:
        by_terminal = {one.terminal: one for one in self._running if one.status is None}
        wait = max(0.0, min(LOOK, until - time.monotonic()))
        for terminal in select.select(list(by_terminal), [], [], wait)[0]:
            program = by_terminal[terminal]
            if program.read():
                self._say(program, "attached" if program.kind == "ue" else "ready", program.address)
        self._gather()

    def _gather(self) -> None:
        now = time.time()
        for file in self._files:
            self._store.add(file.read(now))

    def _refuse_ended(self) -> None:
        self._check()
        for one in self._ended():
            self._say(one, "ended", f"status {one.status}")
            raise NotReady(f"{one.name} ended with status {one.status} after {one.seconds:.1f} s; {_said(one)}")

    def _ended(self) -> Iterator[Program]:
        for one in self._running:
            if one.status is not None:
                one.read()
                yield one

    def _say(self, program: Program, what: What, detail: str = "") -> None:
        self._tell(Event(time.time(), program.name, what, program.seconds, detail))


def _late(one: Program, patience: float) -> str:
    wanted = "attached" if one.kind == "ue" else "up"
    return f"{one.name}: expected it to be {wanted} within {patience:g} s; {_said(one)}{_hint(one)}"


def _hint(one: Program) -> str:
    here = len(os.sched_getaffinity(0))
    if one.stack != "srsran-project" or here >= _PROCESSORS:
        return ""
    return f"\n  srsRAN Project 25.10 needs {_PROCESSORS} processors to start a cell; this machine has {here}"


def _said(one: Program) -> str:
    return "its last words:\n" + "\n".join(f"  {line}" for line in one.last) if one.last else "it said nothing"
