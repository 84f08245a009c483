"""A device that lives in a folder: it outlives any controller, and its revert timer is a process of its own.

The whole Adapter contract as far as a transaction goes: `running` and `startup` configuration, a folder per
transaction whose `state` file changes under the device's lock, and a timer that is a shell in a session of its own.
SIGUSR1 makes the timer fire at once, so that tests need not wait for it. A file `unreachable` makes every call fail.
"""

from __future__ import annotations

import difflib
import fcntl
import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from adapters.base import (
    Capability,
    Counters,
    Facts,
    Loaded,
    PingResult,
    TracerouteResult,
    TransactionState,
)
from testbed.errors import DeviceError, Refused
from testbed.model.change import Step

TIMER = """
trap '' PIPE
trap : USR1
echo ready
exec >/dev/null
sleep "$2" & wait "$!"
trap '' USR1
exec 9>"$1/../../lock"
flock 9
if [ "$(cat "$1/state")" = committed ]; then
    cp "$1/before" "$1/../../running.new" && mv "$1/../../running.new" "$1/../../running"
    echo reverted >"$1/state.new" && mv "$1/state.new" "$1/state"
fi
kill -KILL 0
"""


class DiskDevice:
    """One session to the device in `root`."""

    family: ClassVar[str] = "disk"
    capabilities: frozenset[Capability] = frozenset(Capability) - {Capability.THROUGHPUT}

    def __init__(self, root: Path, die_in: str = "") -> None:
        self.root, self.name, self._die_in = root, root.name, die_in

    @staticmethod
    def make(root: Path, configuration: str) -> DiskDevice:
        """Put a new device into the folder."""
        (root / "tx").mkdir(parents=True)
        (root / "running").write_text(configuration)
        (root / "startup").write_text(configuration)
        return DiskDevice(root)

    def host_key(self) -> str:
        with self._held():
            file = self.root / "host_key"
            return file.read_text() if file.exists() else f"disk SHA256:{self.name}"

    def running_config(self) -> str:
        with self._held():
            return (self.root / "running").read_text()

    def config_hash(self) -> str:
        return hashlib.sha256(self.running_config().encode()).hexdigest()

    def render(self, steps: Sequence[Step]) -> str:
        return "".join(getattr(step, "configuration", "") for step in steps)

    def load(self, transaction: str, lines: str) -> Loaded:
        with self._held():
            folder, before = self._folder(transaction), (self.root / "running").read_text()
            folder.mkdir(exist_ok=True)
            _write(folder / "before", before)
            self._die("load")
            _write(folder / "after", lines)
            _write(folder / "state", "loaded\n")
            return predicted(transaction, before, lines)

    def commit(self, transaction: str, revert_after: float) -> None:
        with self._held():
            folder = self._folder(transaction)
            if self._state(transaction) is not TransactionState.LOADED:
                raise Refused(f"{self.name}: transaction {transaction} is {self._state(transaction)}")
            if "REJECT" in (folder / "after").read_text():
                raise DeviceError(f"{self.name}: % Unknown command: REJECT; the old configuration is back")
            _write(folder / "state", "committed\n")
            _write(folder / "timer", f"{_start_timer(folder, revert_after)}\n")
            self._die("commit")
            _write(self.root / "running", (folder / "after").read_text())

    def confirm(self, transaction: str) -> None:
        with self._held():
            state = self._state(transaction)
            if state not in (TransactionState.COMMITTED, TransactionState.CONFIRMED):
                raise Refused(f"{self.name}: transaction {transaction} is {state}; its timer has fired")
            _write(self._folder(transaction) / "state", "confirmed\n")
            self._die("confirm")
            _write(self.root / "startup", (self.root / "running").read_text())
            self._disarm(transaction)

    def rollback(self, transaction: str) -> None:
        with self._held():
            folder, state = self._folder(transaction), self._state(transaction)
            if state in (TransactionState.COMMITTED, TransactionState.CONFIRMED):
                _write(self.root / "running", (folder / "before").read_text())
                self._die("rollback")
                _write(self.root / "startup", (folder / "before").read_text())
            if state is not TransactionState.NONE:
                _write(folder / "state", "reverted\n")
            self._disarm(transaction)

    def state(self, transaction: str) -> TransactionState:
        with self._held():
            return self._state(transaction)

    def forget(self, transaction: str) -> None:
        with self._held():
            folder = self._folder(transaction)
            if self._state(transaction) is TransactionState.COMMITTED:
                raise Refused(f"{self.name}: the timer of {transaction} runs")
            self._die("forget")
            for file in folder.iterdir() if folder.exists() else ():
                file.unlink()
            if folder.exists():
                folder.rmdir()

    def armed(self) -> list[int]:
        """Return the processes of timers that still run."""
        return timers(self.root)

    def fire(self) -> None:
        """Let every timer run out now, and wait until it has."""
        while armed := self.armed():
            for pid in armed:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGUSR1)  # again and again: the shell may be about to wait
            time.sleep(0.002)

    def collect(self) -> Facts:
        raise NotImplementedError

    def counters(self) -> Counters:
        raise NotImplementedError

    def ping(
        self, destination: str, source: str | None = None, count: int = 20, interval: float = 0.02, dscp: int = 0
    ) -> PingResult:
        raise NotImplementedError

    def traceroute(self, destination: str, source: str | None = None) -> TracerouteResult:
        raise NotImplementedError

    def close(self) -> None:
        pass

    def _folder(self, transaction: str) -> Path:
        return self.root / "tx" / transaction

    def _state(self, transaction: str) -> TransactionState:
        file = self._folder(transaction) / "state"
        return TransactionState(file.read_text().strip()) if file.exists() else TransactionState.NONE

    def _disarm(self, transaction: str) -> None:
        file = self._folder(transaction) / "timer"
        if file.exists():
            with suppress(ProcessLookupError):
                os.killpg(int(file.read_text()), signal.SIGKILL)
            while timers(self._folder(transaction)):
                time.sleep(0.001)  # a signal is not yet a death, of the shell and of what it forked
            file.unlink()

    def _die(self, where: str) -> None:
        """Be killed in the middle of an act, when a test asks for it."""
        if self._die_in == f"{where} {self.name}":
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def _held(self) -> Iterator[None]:
        if (self.root / "unreachable").exists():
            raise DeviceError(f"{self.name}: no answer")
        handle = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def predicted(transaction: str, before: str, after: str) -> Loaded:
    """What loading these lines answers; here the lines are the whole new configuration."""
    diff = "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), "before", "after"))
    return Loaded(transaction, after, before, diff, hashlib.sha256(before.encode()).hexdigest())


def _write(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text)
    os.replace(draft, path)


def _start_timer(folder: Path, seconds: float) -> int:
    timer = subprocess.Popen(
        ["/bin/sh", "-c", TIMER, "timer", str(folder), f"{seconds:g}"],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert timer.stdout is not None
    timer.stdout.readline()
    timer.stdout.close()
    timer.returncode = 0  # it is not this process's to wait for
    return timer.pid


def timers(folder: Path) -> list[int]:
    """Find the timers by what runs, not by what was written down; a zombie is over."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _is_timer(entry, folder)]


def _is_timer(process: Path, folder: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return len(words) > 4 and words[3] == b"timer" and f"{words[4].decode()}/".startswith(f"{folder}/")
