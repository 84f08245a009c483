"""Commands and daemons in a node: started by posix_spawn from a thread in the node's namespaces, reaped in one place.

posix_spawn shares memory with the child until it executes (CLONE_VFORK), so that a start costs the same however large
the agent is. The agent may be PID 1: its reaper takes every child, its own and orphans; nothing else may wait.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from testbed.emulator.messages import Output
from testbed.emulator.namespaces import Namespaces, adopt_orphans
from testbed.errors import Unable

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb", "SHELL": "/bin/sh"}
MARK = "TESTBED_RUN"
TIMED_OUT, NOT_EXECUTABLE, NOT_FOUND = 124, 126, 127
_CHUNK = 1 << 16
_marks = count(1)


@dataclass(slots=True)
class Process:
    """A child. `ended` is set when it has been reaped, then `code` is its exit code as a shell gives it."""

    pid: int
    name: str
    code: int | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    on_end: Callable[[], None] | None = None

    def wait(self, timeout: float) -> bool:
        """Wait until it has ended, `timeout` seconds at most; say whether it has."""
        return self.ended.wait(timeout)

    def signal(self, number: int) -> None:
        """Send a signal to the child's process group; nothing if it has ended."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)


class Children:
    """Starts and reaps all of the agent's children."""

    def __init__(self) -> None:
        adopt_orphans()
        self._lock = threading.Lock()
        self._known: dict[int, Process] = {}
        self._some = threading.Event()
        threading.Thread(target=self._reap, name="reaper", daemon=True).start()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                self._some.wait()
                self._some.clear()
                continue
            with self._lock:  # held while a child is started, so that it is known by now
                process = self._known.pop(pid, None)
            if process is not None:
                code = os.waitstatus_to_exitcode(status)
                process.code = code if code >= 0 else 128 - code
                process.ended.set()
                if process.on_end:
                    process.on_end()

    def start(
        self,
        namespaces: Namespaces,
        argv: Sequence[str],
        *,
        stdio: tuple[int, int, int] | None = None,
        environment: dict[str, str] | None = None,
        on_end: Callable[[], None] | None = None,
    ) -> Process:
        """Start a program as leader of its own session in a node.

        Args:
            argv: the program is looked up in the node's PATH. stdio: descriptors, or None for /dev/null.

        Raises:
            FileNotFoundError: there is no such program. PermissionError: it cannot be executed.
        """
        actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
            (os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) if stdio is None
            else (os.POSIX_SPAWN_DUP2, stdio[number], number)
            for number in range(3)
        ]  # fmt: skip
        with namespaces.enter():
            program = shutil.which(argv[0], path=PATH)
            if program is None:
                raise FileNotFoundError(argv[0])
            with self._lock:
                pid = os.posix_spawn(
                    program, list(argv), environment or ENVIRONMENT, file_actions=actions, setsid=True, setsigmask=[],
                    setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD],
                )  # fmt: skip
                process = self._known[pid] = Process(pid, argv[0], on_end=on_end)
        self._some.set()
        return process

    def run(
        self,
        namespaces: Namespaces,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        timeout: float = 3600.0,
        on_output: Callable[[Output], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> int:
        """Run a command to its end, its output given away as it comes.

        Args:
            timeout: seconds; then the command and all it started are killed. cancelled: when set, the same.

        Returns:
            Exit code as a shell gives it: 128+N for signal N, 124 at the timeout, 126 not executable, 127 not found.
        """
        mark = str(next(_marks))
        pipes = [os.pipe() for _ in range(3)]
        (in_read, in_write), (out_read, out_write), (err_read, err_write) = pipes
        theirs, ours = [in_read, out_write, err_write], [in_write, out_read, err_read]
        give = on_output or (lambda output: None)
        try:
            process = self.start(
                namespaces, argv, stdio=(in_read, out_write, err_write), environment={**ENVIRONMENT, MARK: mark}
            )
        except OSError as error:
            _close(theirs + ours)
            give(Output(stream="stderr", data=f"{argv[0]}: {os.strerror(error.errno or 2)}\n".encode()))
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        _close(theirs)
        pump = _Pump(in_write, {out_read: "stdout", err_read: "stderr"}, stdin, give)
        try:
            ended = pump.until(process, time.monotonic() + timeout, cancelled)
        finally:
            if process.code is None:
                kill_marked(mark, process)
            process.ended.wait()
            pump.close()
        return TIMED_OUT if not ended else int(process.code or 0)


class _Pump:
    """Carries a command's standard streams."""

    def __init__(self, stdin: int, outputs: dict[int, str], data: bytes, give: Callable[[Output], None]) -> None:
        self._stdin, self._outputs, self._data, self._give = stdin, dict(outputs), memoryview(data), give
        self._poll = select.poll()
        for descriptor in (stdin, *outputs):
            os.set_blocking(descriptor, False)
        for descriptor in outputs:
            self._poll.register(descriptor, select.POLLIN)
        self._poll.register(stdin, select.POLLOUT)
        self._feed()

    def until(self, process: Process, deadline: float, cancelled: threading.Event | None) -> bool:
        """Return True when the command has ended and its output is given, False at the deadline or when cancelled."""
        with _end_of(process) as end:
            self._poll.register(end, select.POLLIN)
            while not process.ended.is_set():
                left = deadline - time.monotonic()
                if left <= 0 or (cancelled is not None and cancelled.is_set()):
                    return False
                for descriptor, _ in self._poll.poll(min(left, 0.5) * 1000):
                    if descriptor == end:
                        process.ended.wait()
                    else:
                        self._handle(descriptor)
        for descriptor in list(self._outputs):  # what it wrote last; a child it left behind may hold the pipe open
            while descriptor in self._outputs and self._handle(descriptor):
                pass
        return True

    def _handle(self, descriptor: int) -> bool:
        if descriptor == self._stdin:
            self._feed()
            return False
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._poll.unregister(descriptor)
            os.close(descriptor)
            del self._outputs[descriptor]
            return False
        self._give(Output(stream="stdout" if self._outputs[descriptor] == "stdout" else "stderr", data=data))
        return True

    def _feed(self) -> None:
        try:
            while self._data:
                self._data = self._data[os.write(self._stdin, self._data[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass  # it does not read its input, which is its right
        self._poll.unregister(self._stdin)
        os.close(self._stdin)
        self._stdin = -1

    def close(self) -> None:
        _close([*self._outputs, *([self._stdin] if self._stdin >= 0 else [])])
        self._outputs, self._stdin = {}, -1


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@contextlib.contextmanager
def _end_of(process: Process) -> Iterator[int]:
    """Give a descriptor that becomes readable when the process has ended."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:  # ended and reaped already
        process.ended.wait()
        descriptor = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def kill_marked(mark: str, process: Process) -> None:
    """Kill a command's process group and every descendant, those that left the group by their environment."""
    process.signal(signal.SIGKILL)
    wanted = f"{MARK}={mark}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    os.kill(int(folder.name), signal.SIGKILL)


def stop_all(processes: Sequence[Process], patience: float) -> None:
    """Kill processes and wait until they are reaped.

    Raises:
        Unable: one is still there after `patience` seconds.
    """
    for process in processes:
        process.signal(signal.SIGKILL)
    deadline = time.monotonic() + patience
    for process in processes:
        if not process.ended.wait(max(0.0, deadline - time.monotonic())):
            raise Unable(f"{process.name} (pid {process.pid}) did not end within {patience:g} s of SIGKILL")
