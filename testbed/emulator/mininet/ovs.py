"""Mininet's OpenFlow switches: Open vSwitch where a script asks for that or for OpenFlow, else bridges."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, cast

from testbed.emulator import offload, ovsdb, vswitchd
from testbed.emulator.mininet import stock, vswitch
from testbed.emulator.mininet.link import OVSIntf, check_name
from testbed.emulator.mininet.rooms import Room
from testbed.emulator.mininet.switch import Bridge, say_once
from testbed.emulator.mininet.vswitch import Vswitch, Wanted
from testbed.emulator.segments import SwitchSettings
from testbed.emulator.vswitchd import START_PATIENCE
from testbed.errors import BadInput, NotReady

LEARNS = "switches learn addresses by themselves, as with Mininet's own controller; no OpenFlow is spoken"
_OURS = "OpenFlow13"
"""What our own controller speaks."""


class OpenFlowSwitch(Bridge):
    """A switch that is a bridge until OpenFlow is asked for; which it is to be is known when it starts.

    Attributes:
        named: its class is the script's choice, and not Mininet's for want of one.
        wanted: what it is as an Open vSwitch, None while it is stopped or a bridge. made: that is in the database.
        teachers: those of its controllers that are ours.
    """

    named = True
    wanted: Wanted | None = None
    made = False
    teachers: Sequence[Any] = ()
    failMode = "secure"
    protocols: str | None = None
    datapath = "kernel"
    inband = False
    reconnectms: int | None = 1000

    @property
    def asks(self) -> bool:
        """Is something said of it that only an Open vSwitch has?"""
        return False

    def speaks(self, controllers: Sequence[Any]) -> bool:
        """Say whether only an Open vSwitch can be what the script asks for.

        A class that is named is Mininet's default more often than not: with the default controller a bridge does.
        """
        if self.asks or any(not one.learns for one in controllers):
            return True
        chosen = not controllers or any(one.named for one in controllers)
        return self.named and chosen and not self.standalone

    def start(self, controllers: Iterable[Any] = ()) -> None:
        """Begin to forward; a bridge in place of an OpenFlow switch says so once."""
        known = list(controllers)
        if self.speaks(known):
            self.wanted = self._wanted(known)
            self.teachers = [one for one in known if one.learns]
            if not self.batch:
                self.batchStartup([self])
            return
        if self.failMode != "standalone":
            say_once(LEARNS)
        super().start(known)

    def network(self) -> Vswitch:
        """Return the Open vSwitch that it is in."""
        return vswitch.of(cast(Room, self.room))

    def _wanted(self, controllers: Sequence[Any]) -> Wanted:
        check_name(self.name)
        if self.inNamespace:
            raise BadInput(
                f"{self.name}: inNamespace=True: all switches of Open vSwitch share one namespace, which is not yours; "
                "leave it out"
            )
        protocols = tuple(one.strip() for one in (self.protocols or "").split(",") if one.strip())
        if protocols and _OURS not in protocols and any(one.learns for one in controllers):
            raise BadInput(
                f"{self.name}: protocols={self.protocols!r}: our own controller speaks {_OURS}; add that, or name a "
                "RemoteController"
            )
        targets = [one.lead(cast(Room, self.room)) for one in controllers]
        targets += [f"ptcp:{self.listenPort}"] if self.listenPort else []
        fail_mode = "standalone" if self.failMode == "standalone" else "secure"
        settings = SwitchSettings(
            dpid=int(self.dpid, 16), controller="none", fail_mode=fail_mode, stp=bool(self.stp and self.standalone)
        )
        kind = vswitchd.datapath(self.name, "userspace" if self.datapath == "user" else "auto")
        bridge = ovsdb.Bridge(self.name, settings, kind, [self._port(intf) for intf in self.data_ports()])
        return Wanted(bridge, tuple(targets), protocols, self.reconnectms or None, self.inband)

    @property
    def standalone(self) -> bool:
        """Does it forward by itself where no controller tells it to?"""
        return self.failMode == "standalone"

    def _port(self, intf: Any) -> ovsdb.Port:
        peer = intf.peer if isinstance(intf, OVSIntf) else None
        return ovsdb.Port(intf.name, self.ports[intf], intf.name, peer=peer)

    def unpatch(self, intf: OVSIntf) -> None:
        """Remove a patch port that goes."""
        if self.made and str(intf) in self.nameToIntf:
            self.detach(intf)

    @classmethod
    def batchStartup(cls, switches: Iterable[Any], run: Any = None) -> Iterable[Any]:
        """Let bridges forward, and make switches of Open vSwitch in one transaction of its database."""
        made: dict[Vswitch, list[Any]] = {}
        for switch in super().batchStartup(switches):
            if switch.wanted is not None and not switch.made:
                made.setdefault(switch.network(), []).append(switch)
        for network, members in made.items():
            _make(network, members)
        return switches

    @classmethod
    def batchShutdown(cls, switches: Iterable[Any], run: Any = None) -> Iterable[Any]:
        """Stop them all, at once; the last ones in their room simply end with its daemons."""
        made: dict[Room, set[str]] = {}
        for switch in switches:
            if switch.made:
                made.setdefault(switch.room, set()).add(switch.name)
                switch.made = False
        for room, names in made.items():
            if room.users > sum(switch.room is room for switch in switches):
                network = vswitch.of(room)
                network.edit(lambda _change, network=network, names=names: network.database.remove(names))
        for switch in switches:
            switch.stop()
            switch.terminate()
        return switches

    def stop(self, deleteIntfs: bool = True) -> None:
        """Stop forwarding.

        Args:
            deleteIntfs: remove the interfaces too.
        """
        if self.made and self.room is not None:
            network = self.network()
            network.edit(lambda _change: network.database.remove({self.name}))
        self.wanted, self.made = None, False
        super().stop(deleteIntfs)

    def attach(self, intf: Any) -> None:
        """Forward by this interface too, one that was added while the switch runs.

        Raises:
            BadInput: the switch has no such interface.
        """
        if self.wanted is None:
            super().attach(intf)
            return
        if str(intf) not in self.nameToIntf:
            self._index_of(str(intf))  # which says so
        port, network = self.nameToIntf[str(intf)], self.network()
        port.ifconfig("up")
        network.edit(lambda change: network.database.add_port(change, self.name, self._port(port)))
        _complete(self, port)

    def detach(self, intf: Any) -> None:
        """Forward by this interface no more."""
        if self.wanted is None:
            super().detach(intf)
            return
        network = self.network()
        network.edit(lambda _change: network.database.remove_port(self.name, str(intf)))

    def connected(self) -> bool:
        """Say whether it is connected to a controller, or forwards without."""
        if self.wanted is None:
            return super().connected()
        taught = any(one.teaches(int(self.dpid, 16)) for one in self.teachers)
        return taught or self.standalone or self.network().database.connected(self.name)

    def dpctl(self, *args: Any) -> str:
        """Run ovs-ofctl on it; of a bridge say that there are no flows."""
        if self.wanted is None:
            asked = " ".join(map(str, args))
            text = (
                f"{self.name} is a learning bridge: it has no flows for `{asked}`; name the switches' class "
                "(Mininet(switch=OVSSwitch)), or run the script with --open-vswitch\n"
            )
            stock.log.error(text)
            return text
        version = ["-O", ",".join(self.wanted.protocols)] if self.wanted.protocols else []
        return self.cmd("ovs-ofctl", *version, args[0], self, *args[1:])

    def vsctl(self, *args: Any, **options: Any) -> str:
        """Run ovs-vsctl beside it.

        Raises:
            BadInput: it is no Open vSwitch.
        """
        if self.wanted is None:
            raise BadInput(
                f"{self.name}: ovs-vsctl {' '.join(map(str, args))}: this switch is a bridge, or has not started; name "
                "the switches' class (Mininet(switch=OVSSwitch)), or run the script with --open-vswitch"
            )
        return self.cmd("ovs-vsctl", *args, **options)


def _make(network: Vswitch, switches: Sequence[Any]) -> None:
    """Make switches; return when those that our own controllers teach are taught.

    Raises:
        NotReady: some are not in time.
    """
    network.edit(partial(network.database.add, wanted=[switch.wanted for switch in switches]))
    for switch in switches:
        switch.made = True
        for port in switch.data_ports():
            _complete(switch, port)
    deadline = time.monotonic() + START_PATIENCE
    for switch in switches:
        if not all(one.teaches(int(switch.dpid, 16), deadline) for one in switch.teachers):
            raise NotReady(f"{switch.name}: our controller did not reach it within {START_PATIENCE:g} s")


def _complete(switch: OpenFlowSwitch, port: Any) -> None:
    """Let who is at the other end of a wire to userspace write checksums itself; see `offload`."""
    assert switch.wanted is not None
    if switch.wanted.bridge.datapath == "netdev" and port.link is not None and not isinstance(port, OVSIntf):
        far = port.link.intf1 if port.link.intf2 is port else port.link.intf2
        offload.switch(far.node.room.inside(), {far.name: {"tx": False}})


class UserSwitch(OpenFlowSwitch, stock.node.UserSwitch):
    """Mininet's user-space OpenFlow switch, as an Open vSwitch in userspace."""

    datapath = "user"

    def __init__(self, name: str, dpopts: str = "--no-slicing", **params: Any) -> None:
        stock.node.Switch.__init__(self, name, **params)
        self.dpopts = dpopts


class OVSSwitch(OpenFlowSwitch, stock.node.OVSSwitch):
    """Mininet's Open vSwitch."""

    def __init__(self, name: str, *args: Any, **params: Any) -> None:
        super().__init__(name, *args, **params)
        self.commands = []

    @property
    def asks(self) -> bool:
        """Is something said of it that only an Open vSwitch has: also a class of the script's own."""
        own = type(self) not in (OVSSwitch, OVSBridge) and not self.standalone
        patched = any(isinstance(intf, OVSIntf) for intf in self.data_ports())
        return bool(own or patched or self.protocols or self.datapath == "user")

    @classmethod
    def isOldOVS(cls) -> bool:
        """Say that it is not: older than 1.10."""
        return False


class OVSBridge(OVSSwitch, stock.node.OVSBridge):
    """Mininet's Open vSwitch without a controller: a learning bridge, with STP where asked."""

    def __init__(self, *args: Any, **params: Any) -> None:
        OVSSwitch.__init__(self, *args, **{**params, "failMode": "standalone"})

    def start(self, controllers: Iterable[Any] = ()) -> None:
        """Begin to forward, whatever controllers there are."""
        OVSSwitch.start(self, ())
