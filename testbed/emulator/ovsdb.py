"""The database that ovs-vswitchd is told by (RFC 7047, ovs-vswitchd.conf.db(5)), spoken through the `ovs` library."""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from testbed.emulator.netlink import attribute
from testbed.emulator.segments import SwitchSettings
from testbed.emulator.slicing import Queues
from testbed.emulator.spanning import FORWARD_DELAY, HELLO, MAX_AGE, Tree
from testbed.errors import NotReady, Unable

_COLUMNS = {
    "Open_vSwitch": ("bridges", "cur_cfg", "next_cfg"),
    "Bridge": (
        *("name", "ports", "controller", "datapath_type", "fail_mode", "protocols", "other_config", "stp_enable"),
        "status",
    ),
    "Port": ("name", "interfaces", "tag", "trunks", "vlan_mode", "status", "external_ids", "qos"),
    "QoS": ("type", "other_config", "queues"),
    "Queue": ("other_config",),
    "Interface": ("name", "type", "options", "ofport", "ofport_request", "error", "link_state"),
    "Controller": ("target", "connection_mode", "max_backoff", "is_connected"),
}
_GENERIC = 16  # NETLINK_GENERIC
_PATIENCE = 0.2
_ANSWERS_WITHIN = 10.0
_BACKOFF = 1000
"""Milliseconds between tries to reach a controller."""
_ROUNDS = 3
"""Of ovs-vswitchd's main loop until new ports pass frames: they are made, then found to have carrier, then flows know
it. On a busy machine seconds can lie between them."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port to make: its device, its OpenFlow number, the interface's name in the topology, its VLANs, its queues.

    Attributes:
        peer: the patch port of another switch that this one is joined to; it has no device then.
    """

    device: str
    number: int
    interface: str
    vlan: int | None = None
    trunk: tuple[int, ...] = ()
    queues: Queues | None = None
    peer: str | None = None


@dataclass(frozen=True, slots=True)
class Bridge:
    """A switch to make. `datapath`: `system` or `netdev`; the settings name the controller's target."""

    name: str
    settings: SwitchSettings
    datapath: str
    ports: Sequence[Port]


class Database:
    """A connection to an ovsdb-server. Thread-safe."""

    def __init__(self, path: str, schema: str) -> None:
        self._path, self._schema = path, schema
        self._transaction = _library().Transaction
        self._lock = threading.Lock()
        self._idl = self._connect()

    def _connect(self) -> Any:
        idl = _library()
        helper = idl.SchemaHelper(location=self._schema)
        for table, columns in _COLUMNS.items():
            helper.register_columns(table, list(columns))
        return idl.Idl(f"unix:{self._path}", helper)

    def close(self) -> None:
        with self._lock:
            self._idl.close()

    def create(self, bridges: Sequence[Bridge], deadline: float, died: Callable[[], str]) -> None:
        """Make switches in one transaction and wait until ovs-vswitchd has carried it out.

        Args:
            deadline: of the monotonic clock. died: why waiting is of no use any more, or empty.

        Raises:
            Unable: the database refuses, or a port could not be opened. NotReady: not done by the deadline.
        """
        with self._lock:
            self._until(self._idl.has_ever_connected, "ovsdb-server", deadline, died)
            change = self._transaction(self._idl)
            root = change.insert(self._idl.tables["Open_vSwitch"])
            root.next_cfg = 1
            root.bridges = [self._insert(change, bridge) for bridge in bridges]
            self._commit(change, deadline, died)
            for number in range(1, 1 + _ROUNDS):
                self._until(partial(self._carried_out, number), "ovs-vswitchd", deadline, died)
                if number < _ROUNDS:
                    self._count(number + 1, deadline, died)
            self._check_ports()

    def edit(self, how: Callable[[Any], None], deadline: float, died: Callable[[], str]) -> None:
        """Change what there is in one transaction, and wait as `create` does.

        Args:
            how: changes rows; it gets the transaction, for new ones. deadline, died: as of `create`.
        """
        with self._lock:
            self._refresh(deadline, died)
            for number in range(_ROUNDS):
                change = self._transaction(self._idl)
                if number == 0:
                    how(change)
                (root,) = self._rows("Open_vSwitch")
                wanted = root.next_cfg + 1
                root.next_cfg = wanted
                self._commit(change, deadline, died)
                self._until(partial(self._carried_out, wanted), "ovs-vswitchd", deadline, died)
            self._check_ports()

    def _refresh(self, deadline: float, died: Callable[[], str]) -> None:
        """Take in what has changed; connect anew where ovsdb-server has hung up, as it does after 10 s of silence."""
        for _ in range(2):  # first what it had to say before that
            self._idl.run()
        if self._idl.state != self._idl.IDL_S_MONITORING or not cast(Any, self._idl)._session.is_connected():
            self._idl.close()
            self._idl = self._connect()
            self._until(self._idl.has_ever_connected, "ovsdb-server", deadline, died)

    def adapt(self, bridges: Sequence[Bridge], deadline: float, died: Callable[[], str]) -> None:
        """Add the switches, ports and queues that are missing, and give ports the queues that they are to have.

        Args:
            bridges: all that there shall be; `unplug` has removed the others. deadline, died: as of `create`.

        Raises:
            As `create`.
        """
        with self._lock:
            self._refresh(deadline, died)
            known = {row.name: {port.name: port for port in row.ports} for row in self._rows("Bridge")}
        made = [bridge for bridge in bridges if bridge.name not in known]
        new = [(it.name, port) for it in bridges if it.name in known for port in it.ports]
        ports = [(name, port) for name, port in new if port.device not in known[name]]
        there = [port for name, port in new if port.device in known[name]]
        devices = {device: row for rows in known.values() for device, row in rows.items()}
        queued = [port for port in there if _queued(devices[port.device]) != port.queues]

        def change(transaction: Any) -> None:
            (root,) = self._rows("Open_vSwitch")
            root.bridges = [*root.bridges, *(self._insert(transaction, bridge) for bridge in made)]
            for switch, port in ports:
                self.add_port(transaction, switch, port)
            for port in queued:
                self._requeue(transaction, port)

        if made or ports or queued:
            self.edit(change, deadline, died)

    def unplug(self, switches: set[str], ports: set[tuple[str, str]], deadline: float, died: Callable[[], str]) -> None:
        """Remove switches, and ports of others: (switch, device); those that are not there are no error."""

        def change(_: Any) -> None:
            for switch, device in ports:
                if self._there(switch):
                    self.remove_port(switch, device)
            self.remove(switches)

        if switches or ports:
            self.edit(change, deadline, died)

    def remove(self, names: set[str]) -> None:
        """Remove switches."""
        (root,) = self._rows("Open_vSwitch")
        for port in (port for row in root.bridges if row.name in names for port in row.ports):
            _forget_queues(port)
        root.bridges = [row for row in root.bridges if row.name not in names]

    def add_port(self, change: Any, switch: str, port: Port) -> None:
        """Give a switch a port."""
        row = self._bridge(switch)
        row.ports = [*row.ports, self._port(change, port)]

    def remove_port(self, switch: str, device: str) -> None:
        """Take a port away."""
        row = self._bridge(switch)
        for port in (port for port in row.ports if port.name == device):
            _forget_queues(port)
        row.ports = [port for port in row.ports if port.name != device]

    def _requeue(self, change: Any, it: Port) -> None:
        port = next(row for row in self._rows("Port") if row.name == it.device)
        _forget_queues(port)
        port.qos = [self._queues(change, it.queues)] if it.queues is not None else []

    def _bridge(self, name: str) -> Any:
        return next(row for row in self._rows("Bridge") if row.name == name)

    def _there(self, name: str) -> bool:
        return any(row.name == name for row in self._rows("Bridge"))

    def _check_ports(self) -> None:
        # A patch port that waits for its peer is no error: the two come and go one by one.
        errors = [f"{row.name}: {row.error[0]}" for row in self._rows("Interface") if row.error and row.type != "patch"]
        if errors:
            raise Unable("ovs-vswitchd could not open " + "; ".join(errors[:5]))

    def _insert(self, change: Any, bridge: Bridge) -> Any:
        tables, settings = self._idl.tables, bridge.settings
        row = change.insert(tables["Bridge"])
        row.name = bridge.name
        row.datapath_type = bridge.datapath
        row.fail_mode = settings.fail_mode
        row.protocols = [settings.openflow]
        row.stp_enable = settings.stp
        times = {"stp-hello-time": HELLO, "stp-max-age": MAX_AGE, "stp-forward-delay": FORWARD_DELAY}
        row.other_config = {
            "datapath-id": f"{settings.dpid:016x}",
            "disable-in-band": "true",
            **({key: str(value) for key, value in times.items()} if settings.stp else {}),
        }
        if settings.controller != "none":
            controller = change.insert(tables["Controller"])
            controller.target = settings.controller
            controller.connection_mode = "out-of-band"
            controller.max_backoff = _BACKOFF
            row.controller = [controller]
        row.ports = [self._local(change, bridge.name), *(self._port(change, port) for port in bridge.ports)]
        return row

    def _local(self, change: Any, name: str) -> Any:
        """The switch's own port, which every bridge of Open vSwitch has."""
        interface, port = (change.insert(self._idl.tables[table]) for table in ("Interface", "Port"))
        interface.name, interface.type = name, "internal"
        port.name, port.interfaces = name, [interface]
        return port

    def _port(self, change: Any, it: Port) -> Any:
        interface, port = (change.insert(self._idl.tables[table]) for table in ("Interface", "Port"))
        interface.name, interface.ofport_request = it.device, it.number
        port.name, port.interfaces, port.external_ids = it.device, [interface], {"interface": it.interface}
        if it.trunk:
            port.trunks = [*it.trunk, *([it.vlan] if it.vlan is not None else [])]
            port.vlan_mode = "native-untagged" if it.vlan is not None else "trunk"
        if it.vlan is not None:
            port.tag = it.vlan
        if it.peer is not None:
            interface.type, interface.options = "patch", {"peer": it.peer}
        if it.queues is not None:
            port.qos = [self._queues(change, it.queues)]
        return port

    def _queues(self, change: Any, it: Queues) -> Any:
        """Classes of htb (tc-htb(8)); `min-rate` is what each gets, what is over any of them may take."""
        made = {number: change.insert(self._idl.tables["Queue"]) for number in it.guaranteed}
        for number, queue in made.items():
            queue.other_config = {"min-rate": f"{it.guaranteed[number]:.0f}", "max-rate": f"{it.rate:.0f}"}
        quality = change.insert(self._idl.tables["QoS"])
        quality.type, quality.other_config, quality.queues = "linux-htb", {"max-rate": f"{it.rate:.0f}"}, made
        return quality

    def _count(self, number: int, deadline: float, died: Callable[[], str]) -> None:
        """Ask for one more round of the daemon's main loop."""
        change = self._transaction(self._idl)
        for row in self._rows("Open_vSwitch"):
            row.next_cfg = number
        self._commit(change, deadline, died)

    def _commit(self, change: Any, deadline: float, died: Callable[[], str]) -> None:
        if change.commit() == change.INCOMPLETE:
            self._until(lambda: change.commit() != change.INCOMPLETE, "ovsdb-server", deadline, died)
        status = change.commit()
        if status not in (change.SUCCESS, change.UNCHANGED):
            raise Unable(f"the database of Open vSwitch refused a change: {change.get_error() or status}")

    def _until(self, done: Callable[[], bool], who: str, deadline: float, died: Callable[[], str]) -> None:
        from ovs.poller import Poller

        while True:
            self._idl.run()
            if done():
                return
            if time.monotonic() > deadline or died():
                raise NotReady(died() or f"{who} was not ready in time")
            poller = Poller()
            self._idl.wait(poller)
            poller.timer_wait(round(_PATIENCE * 1000))
            poller.block()

    def _carried_out(self, number: int) -> bool:
        return any(row.cur_cfg >= number for row in self._rows("Open_vSwitch"))

    def _rows(self, table: str) -> list[Any]:
        return list(self._idl.tables[table].rows.values())

    def carriers(self) -> dict[tuple[str, str], bool]:
        """Return (switch, interface) to whether ovs-vswitchd knows its wire to be whole; it says so once it acts so.

        Raises:
            NotReady: the database does not answer.
        """
        with self._lock:
            self._refresh(time.monotonic() + _ANSWERS_WITHIN, lambda: "")
            return {
                (bridge.name, port.external_ids["interface"]): port.interfaces[0].link_state == ["up"]
                for bridge in self._rows("Bridge")
                for port in bridge.ports
                if "interface" in port.external_ids
            }

    def trees(self) -> dict[str, Tree]:
        """Return what each switch that speaks the spanning tree protocol knows.

        Raises:
            NotReady: the database does not answer.
        """
        with self._lock:
            self._refresh(time.monotonic() + _ANSWERS_WITHIN, lambda: "")
            return {row.name: _tree(row) for row in self._rows("Bridge") if row.stp_enable}


def _queued(port: Any) -> Queues | None:
    """Read what `_queues` writes; None where there is nothing, or what somebody else has written."""
    quality = port.qos[0] if port.qos else None
    if quality is None or "max-rate" not in quality.other_config:
        return None
    guaranteed = {number: float(queue.other_config.get("min-rate", 0)) for number, queue in quality.queues.items()}
    return Queues(float(quality.other_config["max-rate"]), guaranteed)


def _forget_queues(port: Any) -> None:
    """Delete a port's rows of QoS and Queue, which the database keeps without anything that needs them."""
    qualities, port.qos = list(port.qos), []
    for quality in qualities:
        for queue in quality.queues.values():
            queue.delete()
        quality.delete()


def _tree(row: Any) -> Tree:
    """Read a row of table Bridge; the root's id is written as `8000.02000000002a` there."""
    states = {port.external_ids.get("interface", ""): port.status.get("stp_state", "") for port in row.ports}
    return Tree(bytes.fromhex(row.status.get("stp_designated_root", "").replace(".", "")), states)


def _library() -> ModuleType:
    """Import the library without eventlet.

    It imports that to see whether it is in use, which it is not, and which takes longer than all the rest. Without it
    the library can wait by poll(2), and not by select(2), which takes no descriptor from 1024 on.
    """
    cast(dict[str, Any], sys.modules).setdefault("eventlet", None)
    cast(Any, import_module("ovs.poller")).SelectPoll = select.poll
    return import_module("ovs.db.idl")


def kernel_datapath() -> bool:
    """Say whether this kernel has the datapath: generic netlink knows its family (CTRL_CMD_GETFAMILY)."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _GENERIC) as kernel:
        kernel.bind((0, 0))
        body = struct.pack("=BBH", 3, 1, 0) + attribute(2, b"ovs_datapath\0")
        kernel.send(struct.pack("=IHHII", 16 + len(body), 0x10, 0x5, 1, 0) + body)
        answer = kernel.recv(4096)
    return struct.unpack_from("=H", answer, 4)[0] != 2
