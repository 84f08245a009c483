"""What a lab may never leave behind, gathered while it lives and checked when it is gone."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path

from testbed.processes import Process, alive, wait
from testbed.substrate import processes
from testbed.substrate.folder import LabFolder

from .host import state


@dataclass(frozen=True)
class Traces:
    """Everything that a lab holds where it runs; `here`: what it holds on this machine when that is another."""

    folder: Path
    run: Path
    marker: str
    ports: tuple[str, ...]
    processes: tuple[Process, ...]
    here: Traces | None = None


def runs_in(folder: LabFolder) -> LabFolder:
    """Return the lab's folder where it runs: on the tests' other machine, if that has one, or here."""
    record = folder.record()
    if record.elsewhere is None:
        return folder
    there = LabFolder(state() / "labs" / record.elsewhere.lab)
    return there if there.path.exists() else folder


def traces(folder: LabFolder) -> Traces:
    where = runs_in(folder)
    return _traces(folder) if where == folder else replace(_traces(where), here=_traces(folder))


def _traces(folder: LabFolder) -> Traces:
    record = folder.record()
    return Traces(folder.path, folder.run, record.id, record.ports, tuple(processes.marked(record.id)))


def assert_gone(seen: Traces) -> None:
    """Fail with the name of whatever is left of a lab."""
    if seen.here is not None:
        assert_gone(seen.here)
    assert not seen.folder.exists()
    assert not seen.run.exists()
    assert processes.marked(seen.marker) == []
    assert [process for process in seen.processes if alive(process)] == []
    assert [port for port in seen.ports if _listening(port)] == []
    assert [path for path in seen.folder.parent.iterdir() if path.name.startswith(".")] == []
    assert [path for path in Path("/dev/shm").iterdir() if seen.marker in path.name] == []
    assert not (Path.home() / ".uml" / seen.marker).exists()
    assert seen.marker not in Path("/proc/mounts").read_text()


def _listening(port: str) -> bool:
    address, _, number = port.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((address, int(number))) == 0


def wait_for_end(wanted: tuple[Process, ...], seconds: float) -> float:
    """Wait until processes have ended; return how long it took, fail when they have not."""
    started = time.monotonic()
    left = wait(wanted, seconds)
    assert left == [], f"still running after {seconds} s"
    return time.monotonic() - started
