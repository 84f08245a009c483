"""Mininet's switches as Ethernet bridges of the kernel, that learn where addresses are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from testbed.emulator import netlink
from testbed.emulator.mininet import rooms, stock
from testbed.emulator.mininet.link import check_name
from testbed.emulator.mininet.node import Node
from testbed.emulator.mininet.rooms import Room
from testbed.emulator.netlink import Request

_LISTENING, _LEARNING, _FORWARDING = 1, 2, 3
_said: set[str] = set()


def say_once(text: str) -> None:
    """Warn, the first time only."""
    if text not in _said:
        _said.add(text)
        stock.log.warn(f"*** {text}\n")


class Bridge(Node):
    """A node that forwards between its interfaces. All of a process share one namespace unless one has its own.

    Attributes:
        bridge: index of the kernel's bridge, which has the switch's name; None while it is stopped.
        batch: it is started with all others, by `batchStartup`.
    """

    bridge: int | None = None
    batch: bool = False
    stp = False

    def place(self) -> Room:
        """Return the room of all switches, or one of its own."""
        return rooms.switching() if self.inNamespace else rooms.fabric()

    def start(self, _controllers: Iterable[Any] = ()) -> None:
        """Begin to forward between all interfaces there are; in a batch when all are made.

        What hosts say unasked when their wires come up (IPv6) would else flood those that are there already, the longer
        the more: a line of 2,000 nodes took half as long again for each as one of 200.
        """
        if self.bridge is None:
            check_name(self.name)
            room = cast(Room, self.room)
            self.bridge = room.new_index()
            # Without snooping, as in Open vSwitch: else each bridge tells every other over the whole network that it
            # listens (IGMP for 224.0.0.106), which makes the thousandth switch several times as dear as the first.
            options = netlink.bridge_options(stp=self.stp, snooping=False)
            self._run([netlink.bridge(self.name, self.bridge, options, up=not self.batch)], "bridge")
        self.join(self.data_ports())

    @classmethod
    def batchStartup(cls, switches: Iterable[Any], run: Any = None) -> Iterable[Any]:
        """Let bridges that were made in a batch forward, all at once."""
        ready: dict[Room, list[Request]] = {}
        for switch in switches:
            if switch.batch and switch.bridge is not None:
                ready.setdefault(switch.room, []).append(netlink.set_link(switch.bridge, up=True))
            switch.batch = False
        for room, requests in ready.items():
            room.run(requests, "bridges up")
        return switches

    def join(self, ports: Iterable[Any]) -> None:
        """Forward by these interfaces too."""
        master = self.bridge or 0
        self._run([netlink.set_link(port.number(), master=master) for port in ports], "port of the bridge")

    def data_ports(self) -> list[Any]:
        """Return its interfaces without the loopback."""
        return [intf for name, intf in self.nameToIntf.items() if name != "lo"]

    def stop(self, deleteIntfs: bool = True) -> None:
        """Stop forwarding.

        Args:
            deleteIntfs: remove the interfaces too.
        """
        if self.bridge is not None and self.room is not None:
            self.room.delete([self.bridge])
        self.bridge = None
        if deleteIntfs:
            self.deleteIntfs()

    def attach(self, intf: Any) -> None:
        """Forward by this interface too, one that was added while the switch runs.

        Raises:
            BadInput: the switch has no such interface.
        """
        up = netlink.set_link(self._index_of(str(intf)), master=self.bridge or 0, up=True)
        self._run([up], f"port {intf}")

    def detach(self, intf: Any) -> None:
        """Forward by this interface no more."""
        self._run([netlink.set_link(self._index_of(str(intf)), master=0)], f"port {intf}")

    def connected(self) -> bool:
        """Say whether it forwards: with the spanning tree protocol when no port listens or learns any more."""
        if not self.stp:
            return True
        found = [cast(Room, self.room).look(intf.number()) for intf in self.data_ports()]
        states = {info.port_state for info in found if info is not None}
        return _FORWARDING in states and not states & {_LISTENING, _LEARNING}


class LinuxBridge(Bridge, stock.nodelib.LinuxBridge):
    """Mininet's Linux bridge, without brctl."""
