"""Mininet itself: what it does with forks, done over netlink; all else is its own code."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from testbed.emulator.mininet import rooms, stock
from testbed.emulator.mininet.controller import Controller
from testbed.emulator.mininet.link import OVSIntf
from testbed.emulator.mininet.measure import commands, throughput
from testbed.emulator.mininet.ovs import OpenFlowSwitch
from testbed.emulator.mininet.rooms import Room
from testbed.emulator.mininet.switch import Bridge, say_once
from testbed.emulator.netlink import LinkInfo
from testbed.errors import BadInput, NotReady, Unable

_PATIENCE = 10.0
_SWITCH = 1
"""Where the class of switches stands among Mininet's parameters."""
_ARP_LIMIT = Path("/proc/sys/net/ipv4/neigh/default/gc_thresh3")
"""Entries of the one ARP table that all network namespaces of a kernel share; shown in the first of them alone."""


class Mininet(stock.net.Mininet):
    """A network of Mininet's on our engine. What a script changes or asks is as it was; making it needs no process.

    Attributes:
        open_vswitch: switches whose class the script does not name are of Open vSwitch; bridges otherwise.
    """

    open_vswitch = False
    _names_switches = False

    def __init__(self, *args: Any, **params: Any) -> None:
        type(self).init()
        self._names_switches = "switch" in params or len(args) > _SWITCH
        super().__init__(*args, **params)

    @classmethod
    def init(cls) -> None:
        """Check that this process may do it, and that it may open what a large network needs.

        Raises:
            Unable: not root.
        """
        if os.geteuid() != 0:
            raise Unable("Mininet needs root here; as an ordinary user: testbed mininet run --substrate uml SCRIPT")
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        stock.net.Mininet.inited = True  # its own would fork, and change more of the machine's settings

    def build(self) -> None:
        """Build it; when that fails nothing is left of it."""
        try:
            super().build()
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        for node in [*self.hosts, *self.switches, *self.controllers]:
            node.terminate()
        rooms.sweep()

    def start(self) -> None:
        """Start controllers and switches; return when every wire that is up carries packets."""
        if not self.built:
            self.build()
        if not self.autoStaticArp:
            _warn_of_arp_table(len(self.hosts))
        self._await_wires()  # before packets flow: those that hosts send unasked would take its time
        for switch in self.switches:
            switch.batch = isinstance(switch, Bridge)
        super().start()

    def _await_wires(self) -> None:
        """Wait until the kernel has opened all wires: a bridge forwards by such a one as soon as it is up itself."""
        deadline = time.monotonic() + _PATIENCE
        ends = (end for link in self.links for end in (link.intf1, link.intf2))
        for intf in (end for end in ends if not isinstance(end, OVSIntf)):
            if not intf.room.await_link(intf.number(), _carries, deadline):
                raise NotReady(f"{intf.name} carries no packets after {_PATIENCE:g} s, though its wire is whole")

    def addSwitch(self, name: str, cls: Any = None, **params: Any) -> Any:
        """Add a switch."""
        switch = super().addSwitch(name, cls, **params)
        if isinstance(switch, OpenFlowSwitch):
            named = cls is not None or self._names_switches or self.switch is not stock.node.OVSSwitch
            switch.named = named or self.open_vswitch
        return switch

    def addController(self, name: Any = "c0", controller: Any = None, **params: Any) -> Any:
        """Add a controller."""
        made = super().addController(name, controller, **params)
        if isinstance(made, Controller):
            made.named = (controller or self.controller) is not stock.node.DefaultController or self.open_vswitch
        return made

    def addLink(self, node1: Any, node2: Any, *args: Any, **params: Any) -> Any:
        """Add a link; one that cannot be as asked is not made."""
        ends = [node if not isinstance(node, str) else self[node] for node in (node1, node2)]
        before = [(node, set(node.nameToIntf)) for node in ends]
        try:
            return super().addLink(*ends, *args, **params)
        except BaseException:
            for node, known in before:
                for name in set(node.nameToIntf) - known:
                    node.nameToIntf[name].delete()
            raise

    def staticArp(self) -> None:
        """Tell every host every other's address, in one send per host."""
        known = [(host, host.IP(), host.MAC()) for host in self.hosts]
        for host in self.hosts:
            entries = [host.arp_entry(ip, mac) for other, ip, mac in known if other is not host and ip and mac]
            host.room.run(entries, f"{host.name}: static ARP")

    def delNode(self, node: Any, nodes: Any = None) -> None:
        """Delete a node, and end what runs in it."""
        super().delNode(node, nodes)
        rooms.sweep()

    def stop(self) -> None:
        """Take it all down: no process, interface or namespace of it is left.

        The kernel clears namespaces in the background; a bridge takes it some milliseconds.
        """
        self._take_wires()
        super().stop()
        rooms.sweep()

    def _take_wires(self) -> None:
        """Remove at once what is in namespaces that stay; all else goes with its namespace, without a message each."""
        staying: dict[Room, list[int]] = {rooms.caller(): []}
        for room in {switch.room for switch in self.switches if switch.room is not None}:
            if room.users > sum(node.room is room for node in (*self.switches, *self.controllers)):
                staying[room] = []
        for intf in (end for link in self.links for end in (link.intf1, link.intf2) if end is not None):
            if intf.node.room is not None:
                index = intf.room.interfaces.pop(intf.name, None)
                if index is not None and intf.room in staying:
                    staying[intf.room].append(index)
        for switch in self.switches:
            if switch.room in staying and switch.bridge is not None:
                staying[switch.room].append(switch.bridge)
            switch.bridge = None
        for room, indexes in staying.items():
            room.delete(indexes)

    def iperf(
        self,
        hosts: Any = None,
        l4Type: str = "TCP",
        udpBw: str = "10M",
        fmt: str | None = None,
        seconds: float = 5,
        port: int = 5001,
    ) -> list[str]:
        """Measure throughput between two hosts, the first and the last when not said.

        Mininet's own waits for a report of the server that iperf from 2.1 on does not give, for ever.

        Args:
            hosts: two. l4Type: TCP or UDP. udpBw: what UDP sends. fmt: iperf's format letter.
            seconds: how long. port: of the server.

        Returns:
            Rates that server and client saw, with units; before them `udpBw` for UDP.

        Raises:
            BadInput: another l4Type. NotReady: the server does not listen, or does not report.
        """
        client, server = hosts or (self.hosts[0], self.hosts[-1])
        if l4Type not in ("TCP", "UDP"):
            raise BadInput(f"iperf l4Type={l4Type!r}: expected 'TCP' or 'UDP'")
        stock.log.output(f"*** Iperf: testing {l4Type} bandwidth between {client} and {server}\n")
        said = throughput(client, server, commands(l4Type, udpBw, fmt, seconds, port), seconds)
        result = [self._parseIperf(text) for text in said]
        result = [udpBw, *result] if l4Type == "UDP" else result
        stock.log.output(f"*** Results: {result}\n")
        return result

    def nodes(self) -> Iterable[Any]:
        """Return hosts, switches and controllers."""
        return [*self.hosts, *self.switches, *self.controllers]


def _carries(seen: LinkInfo) -> bool:
    """Say whether the kernel has opened it, which it does in the background once both ends of a wire are up."""
    return not seen.carrier or seen.running


def _warn_of_arp_table(hosts: int) -> None:
    """Say that packets may get lost when all hosts talk at once: the limit is the machine's, and not ours to raise.

    Static entries do not count towards it (neighbour.c, `exempt_from_gc`).
    """
    limit = int(_ARP_LIMIT.read_text()) if _ARP_LIMIT.exists() else None  # a guest's is out of reach, and high
    if limit is not None and hosts * (hosts - 1) > limit:
        say_once(
            f"this machine's ARP table holds {limit} addresses, fewer than the pairs of {hosts} hosts: when all talk "
            "within seconds, packets get lost. autoStaticArp=True (mn --arp) avoids it, as does a guest "
            "(--substrate uml) or, for the whole machine, sysctl -w net.ipv4.neigh.default.gc_thresh3=100000"
        )
