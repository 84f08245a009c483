"""What a lab may never leave behind, gathered while it lives and checked when it is gone."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.processes import Process, alive, wait
from testbed.substrate import processes
from testbed.substrate.folder import LabFolder, home


@dataclass(frozen=True)
class Traces:
    """Everything that a lab holds on this machine."""

    folder: Path
    run: Path
    marker: str
    ports: tuple[str, ...]
    processes: tuple[Process, ...]


def traces(folder: LabFolder) -> Traces:
    record = folder.record()
    return Traces(folder.path, folder.run, record.id, record.ports, tuple(processes.marked(record.id)))


def assert_gone(seen: Traces) -> None:
    """Fail with the name of whatever is left of a lab."""
    assert not seen.folder.exists()
    assert not seen.run.exists()
    assert processes.marked(seen.marker) == []
    assert [process for process in seen.processes if alive(process)] == []
    assert [port for port in seen.ports if _listening(port)] == []
    assert [path for path in (home() / "labs").iterdir() if path.name.startswith(".")] == []
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
