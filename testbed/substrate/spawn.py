"""What all substrates share: start a keeper and wait for its guest, look whether both live, take everything away."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from testbed import errors
from testbed.errors import BadInput, GuestFailed, Unable
from testbed.substrate import processes
from testbed.substrate.base import Liveness, StartOptions
from testbed.substrate.contact import hello
from testbed.substrate.folder import LabFolder, Record, run_folder, tail
from testbed.substrate.guest_init import PROJECT
from testbed.substrate.keeper import ForwardOrder, Orders, write_orders

HANG = 4.0  # seconds of silence after which a guest counts as hung
BOOT_TIMEOUT = 60.0  # seconds until the agent answers
BUILD_TIMEOUT = 180.0  # seconds until a lab without a control channel has built itself


def bring_up(folder: LabFolder, orders: Orders, offline: bool) -> None:
    """Start the keeper and return when the agent answers, or, offline, when it has built.

    Raises:
        Unable: this machine lacks something.
        GuestFailed: the guest or its agent died or did not answer; with the console's last lines.
    """
    write_orders(folder, orders)
    keys = folder.read_keys()
    keys["client_secret"] = ""  # the controller's alone
    guest_keys = folder.guest / "keys"
    guest_keys.touch(mode=0o600)
    guest_keys.write_text(json.dumps(keys))
    messages = Messages(_spawn(folder), BUILD_TIMEOUT if offline else BOOT_TIMEOUT)
    try:
        messages.until(folder, "ready" if offline else "booted")
        while not offline and hello(folder, messages.left(), messages.descriptor) is None:
            messages.next(folder)  # raises when the guest failed, ended or is too slow
        if offline:
            folder.update(state="running")
    finally:
        os.close(messages.descriptor)


def check_count(options: StartOptions) -> None:
    """Refuse a lab spread over several kernels, rather than give one.

    Raises:
        BadInput: more than one guest was asked for.
    """
    if options.guest.guests != 1:
        raise BadInput(f"guest.guests is {options.guest.guests}: one guest per lab for now; write 1 or leave it out")


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
            raise _error(message["kind"], message["message"], folder)
        if message["event"] == "ended":
            raise failure(folder, message["message"])
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


def _error(kind: str, message: str, folder: LabFolder) -> errors.TestbedError:
    if kind == "GuestFailed":
        return failure(folder, message)
    known = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    return known.get(kind, Unable)(message)


def failure(folder: LabFolder, what: str) -> GuestFailed:
    """Return the error for a guest that died or hangs, with the last lines of its console."""
    return GuestFailed(f"lab {folder.name!r}: {what}{_quote('console', folder.console_tail())}")


def _quote(title: str, lines: tuple[str, ...]) -> str:
    return f"; last lines of the {title}:\n" + "\n".join(f"  {line}" for line in lines) if lines else ""


def look(folder: LabFolder) -> Liveness:
    """Say at once whether the lab's processes live, without asking any of them."""
    record = folder.record()
    reason = _what_died(folder, record)
    coming_up = record.state == "starting" and processes.alive(record.starter)
    return Liveness(not reason, reason or ("it is being brought up" if coming_up else ""), folder.console_tail())


def _what_died(folder: LabFolder, record: Record) -> str:
    if record.state == "ended":
        return record.ended
    if record.keeper is None:
        return "" if processes.alive(record.starter) else "the command that brought it up died half way"
    if not processes.alive(record.keeper):
        return "its keeper process is gone"
    stopped = [process.pid for process in record.guest if processes.state(process) == "T"]
    return f"process {stopped[0]} of it is stopped (`kill -CONT {stopped[0]}` lets it go on)" if stopped else ""


def liveness(folder: LabFolder, kernel_answers: Callable[[LabFolder, float], bool]) -> Liveness:
    """Say within HANG seconds whether the lab's keeper, guest and agent live.

    Args:
        kernel_answers: asks the guest's kernel, for a lab without an agent channel.
    """
    seen = look(folder)
    record = folder.record()
    if not seen.alive or (record.state == "starting" and processes.alive(record.starter)):
        return seen
    answers = kernel_answers(folder, HANG) if record.endpoint is None else hello(folder, HANG) is not None
    if not answers:
        return Liveness(False, f"no answer within {HANG:g} s: it hangs", seen.console)
    return Liveness(True, "" if record.state == "running" else "it was never brought up to the end")


def take_down(folder: LabFolder) -> None:
    """End every process of the lab and remove what it left in memory; the folder itself stays.

    Raises:
        Unable: a process cannot be killed.
    """
    record = folder.record()
    if record.keeper is not None and processes.alive(record.keeper):
        processes.kill([record.keeper])  # first, so that it starts nothing more
    stubborn = processes.sweep(record.id)
    if stubborn:
        pids = " ".join(str(process.pid) for process in stubborn)
        raise Unable(f"lab {record.name!r}: processes do not end even when killed: `ps -o pid,stat,wchan {pids}`")
    shutil.rmtree(run_folder(record.id), ignore_errors=True)
