"""The far end of substrate `ssh`, run as `testbed hosted`: starts, looks at and takes down another machine's labs.

One order a run, a line of JSON on the standard input, which stays open until the answer has come: when it ends before,
who asked is gone, and what was half started is taken away.
"""

from __future__ import annotations

import os
import re
import signal
import threading

import msgspec

import testbed
from testbed.errors import BadInput, TestbedError, Unable
from testbed.lab import Lab
from testbed.model.topology import GuestOptions
from testbed.processes import alive, end
from testbed.substrate.base import StartOptions
from testbed.substrate.folder import LabFolder, write_atomically
from testbed.substrate.registry import pick
from testbed.substrate.ssh import Answer, Order, Start

BUILD_FILE = "build.msgpack"
UNDO = 30.0
"""Seconds that a start gets to undo itself before it is killed."""


def serve() -> None:
    """Take the order, do it, answer."""
    try:
        answer = obey(_order())
    except TestbedError as problem:
        answer = Answer(testbed=testbed.__version__, kind=type(problem).__name__, reason=str(problem))
    print(msgspec.json.encode(answer).decode(), flush=True)


def _order() -> Order:
    with open(0, "rb", buffering=0, closefd=False) as source:
        line = source.readline()
    try:
        order = msgspec.json.decode(line, type=Order)
    except msgspec.DecodeError as problem:
        version = f"testbed here is {testbed.__version__}"
        raise BadInput(f"not an order that this version understands ({problem}); {version}") from None
    if not re.fullmatch(r"hosted-[0-9a-f]{12}", order.lab):  # no order reaches the labs of those who work there
        raise BadInput(f"{order.lab!r} is not the name of a hosted lab")
    return order


def obey(order: Order) -> Answer:
    """Do what is ordered.

    Raises:
        TestbedError: it cannot be done.
    """
    match order.do:
        case "start" if order.start is not None:
            return _start(order.lab, order.start)
        case "look":
            return _look(order.lab)
        case "stop":
            _stop(order.lab)
        case _:
            _check_version(order.version)
    return Answer(testbed=testbed.__version__)


def _check_version(other: str) -> None:
    if other != testbed.__version__:
        raise Unable(
            f"testbed is {testbed.__version__} there and {other} here, and both ends have to be the same: "
            "check out one release on both, and run `make setup` in each"
        )


def _start(name: str, start: Start) -> Answer:
    substrate, _ = pick(start.substrate)
    folder = LabFolder.create(name, start.kind, substrate.name, start.keys)
    undo = threading.Event()
    undo.set()
    try:
        threading.Thread(target=_end_with_input, args=(undo,), daemon=True).start()
        if start.build is not None:
            write_atomically(folder.path / BUILD_FILE, start.build)
        guest = GuestOptions(memory=start.memory, guests=start.guests)
        offline = BUILD_FILE if start.build is not None else None
        substrate.start(folder, StartOptions(guest, offline_build=offline, controllers=start.controllers))
        record = folder.update(state="running")
        undo.clear()
    except BaseException:
        substrate.stop(folder)
        folder.remove()
        raise
    return Answer(
        testbed=testbed.__version__, endpoints=record.endpoints, sealed=record.sealed, seal=record.seal,
        missing_modules=record.missing_modules,
    )  # fmt: skip


def _end_with_input(undo: threading.Event) -> None:
    while os.read(0, 4096):
        continue
    if undo.is_set():
        os.kill(os.getpid(), signal.SIGTERM)


def _look(name: str) -> Answer:
    lab = _found(name)
    if lab is None:
        return Answer(testbed=testbed.__version__, alive=False, reason="the lab is not there any more")
    seen = lab.liveness()
    return Answer(testbed=testbed.__version__, alive=seen.alive, reason=seen.reason, console=seen.console)


def _stop(name: str) -> None:
    lab = _found(name)
    if lab is not None and (record := lab.folder.record()).state == "starting" and alive(record.starter):
        end(record.starter, UNDO)  # who ordered that start is gone, or would not ask for the end
        lab = _found(name)
    if lab is not None:
        lab.down()


def _found(name: str) -> Lab | None:
    return next((lab for lab in Lab.all() if lab.name == name), None)
