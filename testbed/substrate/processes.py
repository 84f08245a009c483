"""Which processes belong to a lab: those that carry its marker in their command lines."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from testbed.processes import Process, alive, identify, kill, starved

MARKER = re.compile(r"testbed-[0-9a-f]{12}")
OUR_MODULES = frozenset(
    {"testbed.substrate.keeper", "testbed.substrate.launch", "testbed.emulator.agent"},
)


def belongs(argv: list[str], marker: str) -> bool:
    """Return whether a command line is one that this product starts for the lab with this marker.

    A command that merely mentions the marker (an editor, a grep) does not belong.
    """
    if any(re.fullmatch(rf"umid={marker}(\.\d+)?|-oControlPath=.*/{marker}/control", argument) for argument in argv):
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


def guest_starved(marker: str, guest: int) -> float:
    """Return the seconds for which a guest, or the keeper that carries its network, had to wait for a processor."""
    umid = f"umid={marker}" if guest == 1 else f"umid={marker}.{guest}"
    return sum(
        starved(process)
        for process, argv in _ours()
        if belongs(argv, marker) and (umid in argv or not any(word.startswith("umid=") for word in argv))
    )


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
