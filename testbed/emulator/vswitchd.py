"""The daemons of Open vSwitch, one ovsdb-server and one ovs-vswitchd, with all that they write in memory."""

from __future__ import annotations

import os
import select
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from testbed.emulator import ovsdb
from testbed.emulator.execute import PATH
from testbed.emulator.namespaces import watch
from testbed.emulator.segments import OPEN_VSWITCH
from testbed.errors import NotReady, Unable

START_PATIENCE = 30.0
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_RUN = "/run/openvswitch"
_DATABASE = "/var/lib/openvswitch/conf.db"
_SOCKET = f"{_RUN}/db.sock"
FOLDERS = {
    "/etc/openvswitch": "755",
    "/run/lock": "1777",
    _RUN: "755",
    "/var/lib": "755",
    "/var/lib/openvswitch": "755",
    "/var/log": "755",
    "/var/log/openvswitch": "755",
    "/var/tmp": "1777",
}
"""What their mount namespace has in memory, as `new_machine` takes it."""
_COUNTS_CORES_AFTER = 10.5
"""Seconds since the kernel started. ovs-vswitchd counts processors every 10 s, and takes them for none before the first
10 s of the monotonic clock: with the kernel's datapath it would start no thread for the packets that need it (seen with
3.1; "Overriding n-handler-threads to 0"). A guest that has just booted is younger."""
_TUN = Path("/dev/net/tun")
_INSTALL = "apt-get install openvswitch-switch"
Opened = TypeVar("Opened", bound=ovsdb.Database)


class Running(Protocol):
    """A process that was started; `code` is its exit code, None while it runs. `wait` says whether it ended in time."""

    @property
    def name(self) -> str: ...
    @property
    def code(self) -> int | None: ...
    def wait(self, timeout: float) -> bool: ...


def check_installed() -> None:
    """Check for the programs.

    Raises:
        Unable: Open vSwitch is not installed.
    """
    for program in OPEN_VSWITCH:
        if shutil.which(program, path=PATH) is None:
            raise Unable(f"there are switches, and {program} is not installed: {_INSTALL}")


def datapath(name: str, wanted: str) -> str:
    """Return the type of a switch's datapath as the database has it; `wanted` as of `SwitchSettings`.

    Raises:
        Unable: the kernel has none, or the machine has no TAP devices, which the userspace's own ports are.
    """
    kernel = wanted != "userspace" and ovsdb.kernel_datapath()
    if wanted == "kernel" and not kernel:
        raise Unable(
            f"{name}: this kernel has no datapath of Open vSwitch (module openvswitch); take `datapath: "
            "userspace`, or run on a User-Mode Linux guest: --substrate uml"
        )
    if not kernel and not os.access(_TUN, os.R_OK | os.W_OK):
        raise Unable(f"{name}: a switch in userspace needs {_TUN}, which is closed here: chmod 666 {_TUN}")
    return "system" if kernel else "netdev"


class Daemons:
    """Both daemons, in namespaces that somebody else has made. Nothing runs before `open`."""

    def __init__(self, start: Callable[[list[str]], Running], execute: Callable[[list[str]], int], run: int) -> None:
        """Take what starts programs in the namespaces.

        Args:
            start: starts one and returns. execute: runs one to its end and returns its code.
            run: descriptor of the namespaces' /run.
        """
        self._start, self._execute = start, execute
        self._folder = f"/proc/self/fd/{run}/openvswitch"
        self.processes: list[Running] = []

    def open(self, database: Callable[[str, str], Opened]) -> Opened:
        """Start the database, wait until it listens, and return it.

        Raises:
            Unable: it cannot be made. NotReady: it did not start in time.
        """
        code = self._execute(["ovsdb-tool", "create", _DATABASE, SCHEMA])
        if code != 0:
            raise Unable(f"ovsdb-tool could not make a database from {SCHEMA} (code {code}): {_INSTALL}")
        appearing = watch(self._folder)
        poller = select.poll()  # select(2) takes no descriptor from 1024 on
        poller.register(appearing, select.POLLIN)
        try:
            self._spawn("ovsdb-server", _DATABASE, f"--remote=punix:{_SOCKET}")
            deadline = time.monotonic() + START_PATIENCE
            while not os.path.exists(f"{self._folder}/db.sock"):
                if time.monotonic() > deadline or self.died():
                    raise NotReady(self.died() or f"ovsdb-server did not open its socket within {START_PATIENCE:g} s")
                if poller.poll(200):
                    os.read(appearing, 65536)
        finally:
            os.close(appearing)
        return database(f"{self._folder}/db.sock", SCHEMA)

    def switch(self, kernel: bool) -> None:
        """Start ovs-vswitchd; with the kernel's datapath not before it can count processors.

        Raises:
            NotReady: the database, which runs by now, has ended meanwhile.
        """
        left = _COUNTS_CORES_AFTER - time.monotonic() if kernel else 0.0
        if left > 0 and self.processes[-1].wait(left):
            raise NotReady(self.died())
        self._spawn("ovs-vswitchd", f"unix:{_SOCKET}")

    def _spawn(self, *words: str) -> None:
        quiet = ["-vconsole:off", "-vfile:warn", "--log-file", "--no-chdir", "--pidfile"]
        self.processes.append(self._start([*words, *quiet]))

    def died(self) -> str:
        """Say which daemon has ended; empty while all run."""
        dead = next((process for process in self.processes if process.code is not None), None)
        return "" if dead is None else f"{dead.name} ended with code {dead.code}"
