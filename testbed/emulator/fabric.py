"""Open vSwitch of a lab: one ovsdb-server and one ovs-vswitchd for all switches, in namespaces of their own.

A switch's ports are network devices beside the daemon that owns them, so that all switches share one network
namespace, and one /run in memory with database and sockets: `ovs-vsctl` run in a switch talks to them. The machine's
own Open vSwitch, running or not, is never touched. All ends with the agent, whose children the daemons are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from testbed.control.messages import Network
from testbed.emulator import control, netlink, ovsdb, vswitchd
from testbed.emulator.control import Controller
from testbed.emulator.execute import Children, Process, stop_all
from testbed.emulator.messages import SeenWire, WireEnd
from testbed.emulator.namespaces import Namespaces, new_machine, new_networks
from testbed.emulator.netlink import Netlink
from testbed.emulator.segments import Steer, Steered, SwitchCounts, SwitchSettings
from testbed.emulator.spanning import Tree
from testbed.emulator.vswitchd import START_PATIENCE, Daemons
from testbed.errors import BadInput

if TYPE_CHECKING:
    from testbed.emulator.ovsdb import Database

NAME_LIMIT = 15
_FIRST_INDEX = 1000
LOOPBACK = 1


class SwitchNode(Protocol):
    """A node, as far as its switch needs it."""

    name: str
    interfaces: dict[str, int]

    @property
    def wire(self) -> Wire: ...


class Wire(Protocol):
    """What a node is built from, as far as its switch needs it."""

    @property
    def segment(self) -> object: ...


class Fabric:
    """The switches of a lab. Nothing runs before `start`."""

    def __init__(self, children: Children) -> None:
        """Make the namespaces.

        Raises:
            Unable: Open vSwitch is not installed.
        """
        vswitchd.check_installed()
        self._children = children
        ((net, inside),) = new_networks(1, [{"ipv6/conf/default/disable_ipv6": "1"}])
        inside.run([netlink.set_link(LOOPBACK, up=True)])
        inside.close()
        mnt, uts, self._run = new_machine("switches", vswitchd.FOLDERS, {}, net)
        self.namespaces = Namespaces(net, mnt, uts)
        self._devices: dict[tuple[str, str], str] = {}
        self._processes: list[Process] = []
        self._daemons = Daemons(self._start, partial(children.run, self.namespaces, timeout=START_PATIENCE), self._run)
        self._database: Database | None = None
        self._interfaces: dict[str, dict[int, str]] = {}
        self.in_userspace = False
        self.controller: Controller | None = None

    def share(self) -> tuple[Namespaces, Netlink]:
        """Return the namespaces once more, with a socket in them: for one switch, which closes them."""
        assert self.namespaces.mnt is not None
        assert self.namespaces.uts is not None
        copies = [os.dup(one) for one in (self.namespaces.net, self.namespaces.mnt, self.namespaces.uts)]
        with self.namespaces.enter_net():
            return Namespaces(*copies), Netlink()

    def place(self, switch: str, interface: str) -> tuple[str, int]:
        """Settle a port's name among those of all switches: `s1-eth1`, or a number where that is too long."""
        number = len(self._devices)
        name = f"{switch}-{interface}"
        if len(name) > NAME_LIMIT or name in self._devices.values():
            name = f"port.{number}"
        self._devices[switch, interface] = name
        return name, _FIRST_INDEX + number

    def start(self, switches: Sequence[tuple[SwitchNode, Sequence[WireEnd]]], network: Network) -> None:
        """Start the daemons, and make all switches with their ports in one transaction of the database.

        Args:
            switches: with their ends of links, in the order that numbers the ports.
            network: what our own controller is to know; it is started where it has a switch.

        Raises:
            Unable: the kernel lacks what was asked for, or a daemon or the database refuses; with its words.
            NotReady: a daemon did not start in time.
        """
        bridges = [self._bridge(node, ends) for node, ends in switches]
        if network.switches:
            self.controller = Controller(self._run, network, self._start_controller)
            self._processes.append(self.controller.process)
        self.in_userspace = any(bridge.datapath == "netdev" for bridge in bridges)
        self._database = self._daemons.open(ovsdb.Database)
        self._daemons.switch(kernel=any(bridge.datapath == "system" for bridge in bridges))
        self._database.create(bridges, time.monotonic() + START_PATIENCE, self._died)
        if self.controller is not None:
            self.controller.connect(self._died)
            self.controller.install(self.controller.policy)

    def _start_controller(self) -> Process:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(f"/proc/self/fd/{self._run}/{control.LOG}", flags, 0o644)
        try:
            stdio, environment = (log, log, log), control.environment()
            return self._children.start(self.namespaces, control.COMMAND, stdio=stdio, environment=environment)
        finally:
            os.close(log)

    def _bridge(self, node: SwitchNode, ends: Sequence[WireEnd]) -> ovsdb.Bridge:
        settings = node.wire.segment
        assert isinstance(settings, SwitchSettings)
        self._interfaces[node.name] = {number: end.interface for number, end in enumerate(ends, 1)}
        ports = [
            ovsdb.Port(self._devices[node.name, end.interface], number, end.interface, end.vlan, end.trunk)
            for number, end in enumerate(ends, 1)
        ]
        return ovsdb.Bridge(node.name, settings, vswitchd.datapath(node.name, settings.datapath), ports)

    def _start(self, argv: list[str]) -> Process:
        self._processes.append(self._children.start(self.namespaces, argv))
        return self._processes[-1]

    def _died(self) -> str:
        """Say which daemon has ended; empty while all run."""
        own = self.controller
        if own is not None and own.process.code is not None:
            return f"the controller ended with code {own.process.code}: {own.last_words()}"
        return self._daemons.died()

    def unready(self, wires: Iterable[SeenWire]) -> list[str]:
        """Return a line for each daemon or port that is not ready."""
        died = self._died()
        if died or self._database is None:
            return [died] if died else []
        lines: list[str] = []
        carriers = self._database.carriers()
        for wire in wires:
            for end in wire.ends:
                if carriers.get(end, wire.lit) != wire.lit:
                    said = "whole" if wire.lit else "cut"
                    lines.append(f"{end[0]}: port {end[1]} has not noticed that its wire is {said}")
        return lines

    def steer(self, request: Steer) -> Steered:
        """Change where packets go; see `Steer`.

        Raises:
            BadInput: no switch has our own controller, or it cannot be. NotReady: some switch does not follow.
        """
        controller = self._own_controller()
        before = controller.policy
        after = request.applied(before)
        controller.install(after)
        return Steered(before=before, after=after)

    def count(self) -> SwitchCounts:
        """Return what the switches have counted.

        Raises:
            BadInput: no switch has our own controller.
        """
        return SwitchCounts(counted=self._own_controller().count(), interfaces=self._interfaces)

    def _own_controller(self) -> Controller:
        if self.controller is None:
            raise BadInput("no switch of the lab has `controller: testbed`, which alone is told by this command")
        return self.controller

    def trees(self) -> dict[str, Tree]:
        """Return what each switch that speaks the spanning tree protocol knows."""
        return self._database.trees() if self._database is not None else {}

    def close(self) -> None:
        """End the daemons and let the namespaces go."""
        if self._database is not None:
            self._database.close()
        if self.controller is not None:
            self.controller.close()
        stop_all(self._processes, START_PATIENCE)
        os.close(self._run)
        self.namespaces.close()
