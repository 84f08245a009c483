"""Processes told apart for certain: by PID and start time, and by the marker of the lab they belong to."""

from __future__ import annotations

import os
import re
import select
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

MARKER = re.compile(r"testbed-[0-9a-f]{12}")
OUR_MODULES = frozenset(
    {"testbed.substrate.keeper", "testbed.substrate.launch", "testbed.emulator.agent"},
)


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


def is_child(process: Process, parents: Iterable[Process]) -> bool:
    """Return whether one of `parents` is the parent of a process."""
    stat = _stat(process.pid)
    return stat is not None and stat[2] in {parent.pid for parent in parents}


def alive(process: Process | None) -> bool:
    """Return whether exactly this process still runs; a zombie does not."""
    return state(process) != ""


def belongs(argv: list[str], marker: str) -> bool:
    """Return whether a command line is one that this product starts for the lab with this marker.

    A command that merely mentions the marker (an editor, a grep) does not belong.
    """
    if any(re.fullmatch(rf"umid={marker}(\.\d+)?", argument) for argument in argv):
        return True
    return not OUR_MODULES.isdisjoint(argv) and any(_mentions(argument, marker) for argument in argv)


def _mentions(argument: str, marker: str) -> bool:
    return argument == marker or f"/{marker}/" in argument


def _ours() -> Iterator[tuple[Process, list[str]]]:
    """All living processes of this user, with their command lines."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        process = identify(int(entry))
        if process is None or not alive(process) or _uid(process.pid) != os.getuid():
            continue
        try:
            argv = Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        yield process, argv


def _uid(pid: int) -> int | None:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None


def marked(marker: str) -> list[Process]:
    """Return this user's living processes that belong to the lab with this marker."""
    return [process for process, argv in _ours() if belongs(argv, marker)]


def command_lines(marker: str) -> list[list[str]]:
    """Return the command lines of this user's living processes that belong to the lab with this marker."""
    return [argv for _, argv in _ours() if belongs(argv, marker)]


def markers() -> dict[str, list[Process]]:
    """Return every lab marker found on this user's processes, with those processes."""
    found: dict[str, list[Process]] = {}
    for process, argv in _ours():
        marker = _marker(argv)
        if marker is not None and belongs(argv, marker):
            found.setdefault(marker, []).append(process)
    return found


def _marker(argv: list[str]) -> str | None:
    for argument in argv:
        for part in argument.removeprefix("umid=").split("/"):
            if MARKER.fullmatch(part):
                return part
    return None


def kill(processes: Iterable[Process], deadline: float = 5.0) -> list[Process]:
    """Send SIGKILL to these processes and wait until they have ended.

    Args:
        processes: each checked again by start time through a pidfd, so that no later owner of its PID is hit.
        deadline: seconds to wait for all of them.

    Returns:
        Those that did not end in time (in uninterruptible sleep).
    """
    waiting: dict[int, Process] = {}
    for process in processes:
        descriptor = _pidfd(process)
        if descriptor is not None:
            waiting[descriptor] = process
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    poller = select.poll()
    for descriptor in waiting:
        poller.register(descriptor, select.POLLIN)
    end = time.monotonic() + deadline
    while waiting and (left := end - time.monotonic()) > 0:
        for descriptor, _ in poller.poll(left * 1000):
            poller.unregister(descriptor)
            os.close(descriptor)
            del waiting[descriptor]
    for descriptor in waiting:
        os.close(descriptor)
    return list(waiting.values())


def _pidfd(process: Process) -> int | None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if alive(process):
        return descriptor
    os.close(descriptor)
    return None


def sweep(marker: str, deadline: float = 10.0) -> list[Process]:
    """Kill all processes of a lab, also those that its dying ones were just starting.

    Returns:
        Those that would not end.
    """
    end = time.monotonic() + deadline
    found = marked(marker)
    while found and time.monotonic() < end:
        kill(found, end - time.monotonic())
        found = marked(marker)
    return found
