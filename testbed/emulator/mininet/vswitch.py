"""The Open vSwitch of a script: one for all its switches, started when the first of them needs it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.emulator import ovsdb, vswitchd
from testbed.emulator.mininet.rooms import Room
from testbed.emulator.vswitchd import START_PATIENCE


@dataclass(frozen=True, slots=True)
class Wanted:
    """A switch to make, beyond what a lab's have.

    Attributes:
        controllers: targets as ovs-vswitchd takes them, `tcp:127.0.0.1:6653`. backoff: ms between tries to reach them.
        protocols: versions of OpenFlow, such as `OpenFlow13`; empty for all.
    """

    bridge: ovsdb.Bridge
    controllers: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    backoff: int | None = None
    in_band: bool = False


class Database(ovsdb.Database):
    """The database, of switches that come and go one by one."""

    def _port(self, change: Any, it: ovsdb.Port) -> Any:
        """Make a port whose queueing disciplines ovs-vswitchd leaves alone: those of TCLink's."""
        port = super()._port(change, it)
        if it.peer is None:
            qos = change.insert(self._idl.tables["QoS"])
            qos.type = "linux-noop"
            port.qos = [qos]
        return port

    def _make(self, change: Any, wanted: Wanted) -> Any:
        row, rows = self._insert(change, wanted.bridge), []
        row.protocols = list(wanted.protocols)
        for target in wanted.controllers:
            controller = change.insert(self._idl.tables["Controller"])
            controller.target = target
            controller.connection_mode = "in-band" if wanted.in_band else "out-of-band"
            controller.max_backoff = [wanted.backoff] if wanted.backoff else []
            rows.append(controller)
        row.controller = rows
        return row

    def add(self, change: Any, wanted: Sequence[Wanted]) -> None:
        """Add switches."""
        (root,) = self._rows("Open_vSwitch")
        root.bridges = [*root.bridges, *(self._make(change, one) for one in wanted)]

    def connected(self, switch: str) -> bool:
        """Say whether a switch is connected to a controller; ovs-vswitchd says so up to 5 s later."""
        with self._lock:
            self._refresh(time.monotonic() + START_PATIENCE, lambda: "")
            return any(one.is_connected for one in self._bridge(switch).controller)


@dataclass(frozen=True, slots=True)
class _Daemon:
    """A daemon as `vswitchd` wants it."""

    name: str
    process: subprocess.Popen[Any]

    @property
    def code(self) -> int | None:
        return self.process.poll()

    def wait(self, timeout: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        return self.process.poll() is not None

    def end(self) -> None:
        """Kill it and wait for that."""
        self.process.kill()
        self.process.wait()


class Vswitch:
    """The daemons in a room, and their database."""

    def __init__(self, room: Room) -> None:
        """Start them.

        Raises:
            Unable: Open vSwitch is not installed, or does not run. NotReady: it did not start in time.
        """
        vswitchd.check_installed()
        self._room = room
        # A guest shows a script the folder that it is in for reading only, and ovsdb-server must write into /tmp.
        closed = {} if os.access("/tmp", os.W_OK) else {"/tmp": "1777"}
        run = room.furnish("switches", {**vswitchd.FOLDERS, **closed})
        self._daemons = vswitchd.Daemons(self._start, self._execute, run)
        self.database = self._daemons.open(Database)
        room.at_end.insert(0, self.database.close)
        self.in_userspace = vswitchd.datapath("Open vSwitch", "auto") == "netdev"
        self._daemons.switch(kernel=not self.in_userspace)
        self.database.create([], self._deadline(), self._daemons.died)

    def edit(self, how: Callable[[Any], None]) -> None:
        """Change the database, and wait until that is done; see `ovsdb.Database.edit`."""
        self.database.edit(how, self._deadline(), self._daemons.died)

    @staticmethod
    def _deadline() -> float:
        return time.monotonic() + START_PATIENCE

    def _start(self, argv: list[str]) -> _Daemon:
        daemon = _Daemon(argv[0], self._popen(argv))
        self._room.at_end.insert(0, daemon.end)
        return daemon

    def _execute(self, argv: list[str]) -> int:
        return self._popen(argv).wait(START_PATIENCE)

    def _popen(self, argv: list[str]) -> subprocess.Popen[Any]:
        quiet = subprocess.DEVNULL
        return self._room.start(argv, cwd="/", stdin=quiet, stdout=quiet, stderr=quiet)


def of(room: Room) -> Vswitch:
    """Return the Open vSwitch of a room; the first who asks starts it."""
    if room.vswitch is None:
        room.vswitch = Vswitch(room)
    return room.vswitch
