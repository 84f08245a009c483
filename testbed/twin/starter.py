"""How a mirror's process is started: what it is told, what it says, and who ends whom.

Two pipes, a JSON value a line. To the process: its order, and later `go`, when its twin is up. From it: its PID, the
twin's topology once the devices are read, and that the twin is in step; or why not. An end of file: the other has died.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

import msgspec

from adapters.base import Facts
from testbed import errors
from testbed.errors import GuestFailed
from testbed.processes import Process, end, identify
from testbed.substrate.guest_init import PROJECT
from testbed.twin.echo import INTERVAL
from testbed.twin.loop import SETTLE_TIMEOUT

LOG_FILE, SAMPLES_FILE = "mirror.log", "samples.sqlite"
SURVEY_TIMEOUT = 120.0
START_TIMEOUT = SETTLE_TIMEOUT + 20.0
STOP_TIMEOUT = 15.0

OnProgress = Callable[[object], None]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is to do.

    Attributes:
        twin: lab to keep in step. inventory: as JSON. base: folder that its file names are taken from.
        period: seconds between two polls. tolerance, echo_every, capacity_every: see `mirror.start`.
        facts: of every device; the process asks when None. topology: of the twin, as JSON; inferred when None.
        guest: its guests' options in place of the topology's, as JSON.
    """

    twin: str
    inventory: str
    base: str
    period: float
    tolerance: float = 1.0
    echo_every: float = INTERVAL
    capacity_every: float | None = None
    facts: dict[str, Facts] | None = None
    topology: str | None = None
    guest: str | None = None


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the process: its number; the topology (JSON); that it is in step. Or an error's class and words."""

    pid: int = 0
    topology: str = ""
    ready: bool = False
    error: str = ""
    message: str = ""


class Starting:
    """A mirror's process on its way, as its starter sees it."""

    def __init__(self, orders: IO[bytes], said: IO[bytes], log: IO[bytes]) -> None:
        self._orders, self._said, self._log = orders, said, log
        self._rest = b""
        self.process: Process | None = None

    def topology(self) -> str:
        """Wait until the devices are read.

        Returns:
            The topology of the twin, as JSON.

        Raises:
            TestbedError: what the process says that went wrong.
        """
        return self._hear(SURVEY_TIMEOUT).topology

    def watched(self, progress: OnProgress | None) -> OnProgress:
        """Progress of the twin that is passed on as long as the mirror's process lives; raises when it does not."""

        def told(event: object) -> None:
            if select.select([self._said], [], [], 0)[0]:
                self._hear(0.0)
            if progress is not None:
                progress(event)

        return told

    def go(self) -> None:
        """Say that the twin is up, and wait until it is in step.

        Raises:
            GuestFailed: it did not come into step.
        """
        self.tell(b"go")
        self._hear(START_TIMEOUT)

    def tell(self, line: bytes) -> None:
        """Write a line. A process that died of something has said what: the next `_hear` raises it."""
        with suppress(BrokenPipeError):
            self._orders.write(line + b"\n")
            self._orders.flush()

    def learn(self) -> None:
        """Take its number, the first thing it says."""
        self.process = identify(self._hear(STOP_TIMEOUT).pid)

    def end(self) -> None:
        """End the process; its log stays readable."""
        if self.process is not None:
            end(self.process, STOP_TIMEOUT)

    def _hear(self, timeout: float) -> Said:
        line = self._line(time.monotonic() + timeout)
        if line is None:
            log = os.pread(self._log.fileno(), 10**6, 0).decode(errors="replace").splitlines()
            lines = "\n  ".join(log[-15:])
            raise GuestFailed(f"the mirror's process ended or was too slow to start; its log ends:\n  {lines}")
        said = msgspec.json.decode(line, type=Said)
        if said.error:
            raise getattr(errors, said.error, GuestFailed)(said.message)
        return said

    def _line(self, deadline: float) -> bytes | None:
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._said], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self._said.fileno(), 65536) if ready else b""
            if not piece:
                return None
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line


@contextmanager
def starting(order: Order) -> Iterator[Starting]:
    """Start the process in a session of its own; when the block is left by an exception the process ends.

    Its log is a file without a name until the twin's folder is there, so that a starter that is killed leaves nothing.
    """
    (orders_in, orders_out), (said_in, said_out) = os.pipe(), os.pipe()
    with os.fdopen(orders_out, "wb") as orders, os.fdopen(said_in, "rb", buffering=0) as said:
        with tempfile.TemporaryFile() as log:
            try:
                argv = [sys.executable, "-m", "testbed.twin.process", str(orders_in), str(said_out)]
                child = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=PROJECT, start_new_session=True,
                    pass_fds=(orders_in, said_out),
                )  # fmt: skip
            finally:
                os.close(orders_in)
                os.close(said_out)
            process = Starting(orders, said, log)
            try:
                process.tell(msgspec.json.encode(order))
                process.learn()
                child.wait(STOP_TIMEOUT)  # it has forked; until it is gone it holds the pipe open
                yield process
            except BaseException:
                process.end()
                raise
            finally:
                child.wait(STOP_TIMEOUT)
