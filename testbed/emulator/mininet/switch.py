"""Mininet's switches as Ethernet bridges of the kernel, that learn where addresses are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from testbed.emulator import netlink
from testbed.emulator.mininet import rooms, stock
from testbed.emulator.mininet.link import check_name
from testbed.emulator.mininet.node import Node
from testbed.emulator.mininet.rooms import Room
from testbed.errors import BadInput

PORT_DISABLED, _LISTENING, _LEARNING, _FORWARDING = 0, 1, 2, 3
LEARNS = "switches learn addresses by themselves, as with Mininet's own controller; no OpenFlow is spoken"
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
    """

    bridge: int | None = None
    stp = False

    def place(self) -> Room:
        """Return the room of all switches, or one of its own."""
        return rooms.new({"ipv6/conf/default/disable_ipv6": "1"}) if self.inNamespace else rooms.fabric()

    def start(self, _controllers: Iterable[Any] = ()) -> None:
        """Begin to forward between all interfaces there are."""
        if self.bridge is None:
            check_name(self.name)
            room = cast(Room, self.room)
            self.bridge = room.new_index()
            # Without snooping, as in Open vSwitch: else each bridge tells every other over the whole network that it
            # listens (IGMP for 224.0.0.106), which makes the thousandth switch several times as dear as the first.
            self._run(
                [netlink.bridge(self.name, self.bridge, netlink.bridge_options(stp=self.stp, snooping=False))], "bridge"
            )
        ports = [self.nameToIntf[name].number() for name in self.nameToIntf if name != "lo"]
        self._run([netlink.set_link(index, master=self.bridge) for index in ports], "port of the bridge")

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
        found = [cast(Room, self.room).look(intf.number()) for intf in self.intfList() if intf.name != "lo"]
        states = {info.port_state for info in found if info is not None}
        return _FORWARDING in states and not states & {_LISTENING, _LEARNING}


class LinuxBridge(Bridge, stock.nodelib.LinuxBridge):
    """Mininet's Linux bridge, without brctl."""


class UserSwitch(Bridge, stock.node.UserSwitch):
    """Mininet's user-space OpenFlow switch, as a learning bridge of the kernel."""

    def __init__(self, name: str, dpopts: str = "--no-slicing", **params: Any) -> None:
        stock.node.Switch.__init__(self, name, **params)
        self.dpopts = dpopts

    def start(self, controllers: Iterable[Any] = ()) -> None:
        """Begin to forward; say once that this is a bridge."""
        say_once(LEARNS)
        super().start(controllers)


class OVSSwitch(Bridge, stock.node.OVSSwitch):
    """Mininet's Open vSwitch, for the time being a learning bridge; what needs OpenFlow is refused.

    A bridge does what Open vSwitch does with Mininet's own controller, or without one (`failMode="standalone"`).
    """

    def __init__(self, name: str, *args: Any, **params: Any) -> None:
        super().__init__(name, *args, **params)
        if self.protocols:
            raise needs_openflow(f"switch {name}: protocols={self.protocols!r}")
        self.commands = []

    def start(self, controllers: Iterable[Any] = ()) -> None:
        """Begin to forward; say once that this is a bridge."""
        if self.failMode != "standalone":
            say_once(LEARNS)
        Bridge.start(self, controllers)

    @classmethod
    def batchStartup(cls, switches: Iterable[Any], run: Any = None) -> Iterable[Any]:
        """Have nothing left to do: each has started."""
        return switches

    @classmethod
    def batchShutdown(cls, switches: Iterable[Any], run: Any = None) -> Iterable[Any]:
        """Stop them all."""
        for switch in switches:
            switch.stop()
            switch.terminate()
        return switches

    def vsctl(self, *args: Any, **_options: Any) -> str:
        """Refuse: there is no Open vSwitch."""
        raise needs_openflow(f"switch {self.name}: ovs-vsctl {' '.join(map(str, args))}")

    def dpctl(self, *args: Any) -> str:
        """Say that there are no flows."""
        text = f"{self.name} is a learning bridge: it has no flows for `{' '.join(map(str, args))}`\n"
        stock.log.error(text)
        return text


class OVSBridge(OVSSwitch, stock.node.OVSBridge):
    """Mininet's Open vSwitch without a controller: a learning bridge, with STP where asked."""

    def __init__(self, *args: Any, **params: Any) -> None:
        OVSSwitch.__init__(self, *args, **{**params, "failMode": "standalone"})


def needs_openflow(what: str) -> BadInput:
    """Return the error for what only OpenFlow could do."""
    return BadInput(
        f"{what}: OpenFlow is not available; leave it out and switches learn by themselves, or run this script with "
        "stock Mininet (`from mininet.net import Mininet`)"
    )
