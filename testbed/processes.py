"""Processes told apart for certain, by PID and start time; and how one is ended: asked, killed, waited for."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct

KILL_TIMEOUT = 5.0
"""Seconds until a killed process has ended, unless it sleeps uninterruptibly."""


class Process(Struct, frozen=True):
    """One process, also after its PID was given to another: `started` is in clock ticks since boot (proc(5))."""

    pid: int
    started: int


def _stat(pid: int) -> tuple[str, int, int] | None:
    """State letter, start time and parent, or None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[19]), int(fields[1])


def identify(pid: int) -> Process | None:
    """Return the process that has this PID now, or None."""
    stat = _stat(pid)
    return None if stat is None else Process(pid, stat[1])


def state(process: Process | None) -> str:
    """Return the state letter of proc(5) (`R`, `S`, `T` stopped, ...), or an empty string when it has ended."""
    stat = None if process is None else _stat(process.pid)
    if process is None or stat is None or stat[1] != process.started or stat[0] in "ZX":
        return ""
    return stat[0]


def alive(process: Process | None) -> bool:
    """Return whether exactly this process still runs; a zombie does not."""
    return state(process) != ""


def is_child(process: Process, parents: Iterable[Process]) -> bool:
    """Return whether one of `parents` is the parent of a process."""
    stat = _stat(process.pid)
    return stat is not None and stat[2] in {parent.pid for parent in parents}


def starved(process: Process) -> float:
    """Return the seconds for which a process's threads could have run and had to wait for a processor.

    Over its whole life; 0 where the kernel does not say (Linux's scheduler/sched-stats.rst).
    """
    waited = 0
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                waited += int((thread / "schedstat").read_text().split()[1])
    return waited / 1e9


def wait(processes: Iterable[Process], timeout: float) -> list[Process]:
    """Wait until processes have ended, whoever their parent is.

    Args:
        timeout: seconds for all of them.

    Returns:
        Those that have not ended in time.
    """
    with _held(processes) as held:
        return _wait(held, timeout)


def kill(processes: Iterable[Process], timeout: float = KILL_TIMEOUT) -> list[Process]:
    """Send SIGKILL to processes and wait until they have ended; never to a later owner of a PID.

    Args:
        timeout: seconds to wait for all of them.

    Returns:
        Those that have not ended in time (in uninterruptible sleep).
    """
    with _held(processes) as held:
        _send(held, signal.SIGKILL)
        return _wait(held, timeout)


def end(process: Process, patience: float) -> None:
    """Ask a process to end (SIGTERM), and kill it when it has not after `patience` seconds."""
    with _held([process]) as held:
        _send(held, signal.SIGTERM)
        if _wait(held, patience):
            _send(held, signal.SIGKILL)
            _wait(held, KILL_TIMEOUT)


@contextmanager
def _held(processes: Iterable[Process]) -> Iterator[dict[int, Process]]:
    """Give those that live, by a descriptor (pidfd_open(2)) that stands for this process and no later one."""
    held: dict[int, Process] = {}
    try:
        for process in processes:
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(process.pid)
                held[descriptor] = process
        yield {descriptor: process for descriptor, process in held.items() if alive(process)}
    finally:
        for descriptor in held:
            os.close(descriptor)


def _send(held: Iterable[int], number: signal.Signals) -> None:
    for descriptor in held:
        with suppress(ProcessLookupError):  # it has ended since it was seen alive
            signal.pidfd_send_signal(descriptor, number)


def _wait(held: dict[int, Process], timeout: float) -> list[Process]:
    poller = select.poll()
    for descriptor in held:
        poller.register(descriptor, select.POLLIN)
    waiting = dict(held)
    deadline = time.monotonic() + timeout
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poller.poll(left * 1000):
            poller.unregister(descriptor)
            del waiting[descriptor]
    return list(waiting.values())
