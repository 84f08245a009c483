"""What all substrates share: start a keeper and wait for its guest, look whether both live, take everything away."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from testbed import errors
from testbed.errors import GuestFailed, Unable
from testbed.processes import alive, kill, state
from testbed.substrate import processes
from testbed.substrate.base import Liveness, StartOptions
from testbed.substrate.contact import silent
from testbed.substrate.folder import LabFolder, Record, run_folder, tail
from testbed.substrate.guest_init import PROJECT
from testbed.substrate.keeper import ForwardOrder, Orders, write_orders

HANG = 4.0  # seconds of silence after which a guest counts as hung, those not counted in which it had no processor
LONGEST_HANG = 30.0  # seconds of silence after which it does however busy this machine is
LEAST_PATIENCE = 0.5  # seconds worth asking again for
BOOT_TIMEOUT = 60.0  # seconds until the agent answers
BUILD_TIMEOUT = 180.0  # seconds until a lab without a control channel has built itself
HALF_WAY = "the command that brought it up died half way"


def bring_up(folder: LabFolder, orders: Sequence[Orders], offline: bool) -> None:
    """Start the keeper and return when the agents answer, or, offline, when they have built.

    Raises:
        Unable: this machine lacks something.
        GuestFailed: the guest or its agent died or did not answer; with the console's last lines.
    """
    write_orders(folder, orders)
    for number, _ in enumerate(orders, 1):
        _give_keys(folder, folder.guest(number) / "keys")
    messages = Messages(_spawn(folder), BUILD_TIMEOUT if offline else BOOT_TIMEOUT)
    try:
        for _ in orders:
            messages.until(folder, "ready" if offline else "booted")
        while not offline and silent(folder, messages.left(), messages.descriptor):
            messages.next(folder)  # raises when a guest failed, ended or is too slow
        if offline:
            folder.update(state="running")
    finally:
        os.close(messages.descriptor)


def _give_keys(folder: LabFolder, path: Path) -> None:
    keys = folder.read_keys()
    keys["client_secret"] = ""  # the controller's alone
    path.touch(mode=0o600)
    path.write_text(json.dumps(keys))


def forward_orders(options: StartOptions) -> tuple[ForwardOrder, ...]:
    """Return what the keeper is told of the ports that lead in."""
    return tuple(ForwardOrder(f.listen, f.listen_port, f.address, f.port) for f in options.forwards)


def _spawn(folder: LabFolder) -> int:
    """Start the keeper; return the descriptor on which it reports."""
    reading, writing = os.pipe()
    log = os.open(folder.keeper_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        subprocess.run(
            [sys.executable, "-m", "testbed.substrate.keeper", str(folder.path), folder.record().id, str(writing)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=PROJECT, pass_fds=[writing], check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
        os.close(log)
    return reading


class Messages:
    """What the keeper reports while the guest comes up: one JSON object a line."""

    def __init__(self, descriptor: int, timeout: float) -> None:
        self.descriptor = descriptor
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._buffer = b""

    def left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    def until(self, folder: LabFolder, event: str) -> None:
        """Read on until this event.

        Raises:
            TestbedError: it failed, ended, or took too long.
        """
        while self.next(folder) != event:
            continue

    def next(self, folder: LabFolder) -> str:
        """Wait for the next event and return its name.

        Raises:
            TestbedError: it is bad news, or none came in time.
        """
        message = self._read(folder)
        if message["event"] == "failed":
            raise _error(message, folder)
        if message["event"] == "ended":
            raise failure(folder, message["message"], folder.record().culprit)
        return message["event"]

    def _read(self, folder: LabFolder) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            if not select.select([self.descriptor], [], [], self.left())[0]:
                raise failure(folder, f"it did not come up within {self._timeout:g} s")
            data = os.read(self.descriptor, 65536)
            if not data:
                raise failure(folder, "the lab's keeper died" + _quote("keeper log", tail(folder.keeper_log, 8)))
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)


def _error(message: dict[str, Any], folder: LabFolder) -> errors.TestbedError:
    if message["kind"] == "GuestFailed":
        return failure(folder, message["message"], message["guest"])
    known = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    return known.get(message["kind"], Unable)(message["message"])


def failure(folder: LabFolder, what: str, guest: int = 1) -> GuestFailed:
    """Return the error for a guest that died or hangs, with the last lines of its console."""
    return GuestFailed(f"lab {folder.name!r}: {what}{_quote('console', folder.console_tail(guest))}")


def _quote(title: str, lines: tuple[str, ...]) -> str:
    return f"; last lines of the {title}:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def look(folder: LabFolder, guest: int = 1) -> Liveness:
    """Say at once whether the lab's processes live, without asking any of them.

    Args:
        guest: whose console is quoted when none is to blame.
    """
    record = folder.record()
    reason, culprit = _what_died(record)
    coming_up = record.state == "starting" and alive(record.starter)
    said = reason or ("it is being brought up" if coming_up else "")
    return Liveness(not reason, said, folder.console_tail(culprit or guest))


def _what_died(record: Record) -> tuple[str, int]:
    """Return what died, in words, and the number of the guest to blame, 0 for none."""
    if record.state == "ended":
        return record.ended, record.culprit
    if record.keeper is None:
        return ("" if alive(record.starter) else HALF_WAY), 0
    if not alive(record.keeper):
        return _why_unheld(record), 0
    for number, guest in enumerate(record.guests, 1):
        for process in guest.processes:
            if state(process) == "T":
                how = f"process {process.pid} of {record.title(number)} is stopped"
                return f"{how} (`kill -CONT {process.pid}` lets it go on)", number
    return "", 0


def _why_unheld(record: Record) -> str:
    if record.elsewhere is None:
        return "its keeper process is gone"
    return (
        f"the connection to {record.elsewhere.host} is lost; the lab goes on there, and the next command connects "
        "again (`testbed status`)"
    )


def brought_up(record: Record) -> Liveness:
    """Return what to say of a lab that answers."""
    return Liveness(True, "" if record.state == "running" else "it was never brought up to the end")


def liveness(folder: LabFolder, kernel_answers: Callable[[LabFolder, float], bool]) -> Liveness:
    """Say whether the lab's keeper, guests and agents live; see HANG.

    Args:
        kernel_answers: asks the guest's kernel, for a lab without an agent channel.
    """
    seen = look(folder)
    record = folder.record()
    if not seen.alive or (record.state == "starting" and alive(record.starter)):
        return seen
    mute = _mute(folder, record, kernel_answers)
    if mute:
        seen = look(folder)
        if not seen.alive:  # it died while it was asked
            return seen
        reason = f"no answer from {record.title(mute[0])} within {HANG:g} s: it hangs"
        return Liveness(False, reason, folder.console_tail(mute[0]))
    return brought_up(record)


def _mute(folder: LabFolder, record: Record, kernel_answers: Callable[[LabFolder, float], bool]) -> list[int]:
    """Return the numbers of the guests that do not answer; the time in which one had no processor is given again."""

    def starved(guests: Iterable[int]) -> dict[int, float]:
        return {number: processes.guest_starved(record.id, number) for number in guests}

    limit, patience = time.monotonic() + LONGEST_HANG, HANG
    before = starved(range(1, max(1, len(record.guests)) + 1))
    while True:
        mute = silent(folder, patience) if record.endpoints else [] if kernel_answers(folder, patience) else [1]
        now = starved(mute)
        given = min((now[number] - before[number] for number in mute), default=0.0)
        patience = min(given, patience, limit - time.monotonic())
        if patience < LEAST_PATIENCE:
            return mute
        before |= now


def take_down(folder: LabFolder) -> None:
    """End every process of the lab and remove what it left in memory; the folder itself stays.

    Raises:
        Unable: a process cannot be killed.
    """
    record = folder.record()
    if record.keeper is not None and alive(record.keeper):
        kill([record.keeper])  # first, so that it starts nothing more
    stubborn = processes.sweep(record.id)
    if stubborn:
        pids = " ".join(str(process.pid) for process in stubborn)
        raise Unable(f"lab {record.name!r}: processes do not end even when killed: `ps -o pid,stat,wchan {pids}`")
    shutil.rmtree(run_folder(record.id), ignore_errors=True)
