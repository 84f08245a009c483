"""Open vSwitch of a lab: one ovsdb-server and one ovs-vswitchd for all switches, in namespaces of their own.

A switch's ports are network devices beside the daemon that owns them, so that all switches share one network
namespace, and one /run in memory with database and sockets: `ovs-vsctl` run in a switch talks to them. The machine's
own Open vSwitch, running or not, is never touched. All ends with the agent, whose children the daemons are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Protocol

from msgspec import structs

from testbed import relay
from testbed.control.messages import HOST, PORT
from testbed.emulator import between, control, netlink, ovsdb, vswitchd
from testbed.emulator.arranging import Arrangements
from testbed.emulator.control import Controller
from testbed.emulator.execute import Children, Process, stop_all
from testbed.emulator.messages import SeenWire, WireEnd
from testbed.emulator.namespaces import Namespaces, new_machine, new_networks
from testbed.emulator.netlink import Netlink
from testbed.emulator.segments import (
    Arrange,
    Arranged,
    Control,
    Steer,
    Steered,
    SwitchCounts,
    SwitchesRead,
    SwitchSettings,
)
from testbed.emulator.slicing import Queues
from testbed.emulator.spanning import Tree
from testbed.emulator.vswitchd import START_PATIENCE, Daemons
from testbed.errors import BadInput, Unable
from testbed.relay import Relay

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
    """The switches of a lab. Nothing runs before `start`.

    Attributes:
        ports: OpenFlow's number of each, by switch and interface. in_userspace: some switch's packets are moved there.
        controller: ours, where some switch has it. problem: why queues are not as they should be, or empty.
    """

    def __init__(self, children: Children, controllers: Mapping[str, str] | None = None) -> None:
        """Make the namespaces.

        Args:
            controllers: targets of switches that are outside the lab, each with where it is reached from this process'
                own network, `unix:PATH` or `tcp:ADDRESS:PORT`. Others are taken to be beside the switches.

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
        self._outside, self._relays = dict(controllers or {}), list[Relay]()
        self._stood_in: set[str] = set()
        self._devices: dict[tuple[str, str], str] = {}
        self._indexes = count(_FIRST_INDEX)
        self.ports: dict[tuple[str, str], int] = {}
        self._processes: list[Process] = []
        self._daemons = Daemons(self._start, partial(children.run, self.namespaces, timeout=START_PATIENCE), self._run)
        self._database: Database | None = None
        self._interfaces: dict[str, dict[int, str]] = {}
        self._joined = False
        self.in_userspace = False
        self.problem = ""
        self.controller: Controller | None = None
        self._arrangements: Arrangements | None = None

    def share(self) -> tuple[Namespaces, Netlink]:
        """Return the namespaces once more, with a socket in them: for one switch, which closes them."""
        assert self.namespaces.mnt is not None
        assert self.namespaces.uts is not None
        copies = [os.dup(one) for one in (self.namespaces.net, self.namespaces.mnt, self.namespaces.uts)]
        with self.namespaces.enter_net():
            return Namespaces(*copies), Netlink()

    def place(self, switch: str, interface: str) -> tuple[str, int]:
        """Settle a port's number, and its name among those of all switches: `s1-eth1`, or one that is short enough."""
        index, name = next(self._indexes), f"{switch}-{interface}"
        if len(name) > NAME_LIMIT or name in self._devices.values():
            name = f"port.{index}"
        self._devices[switch, interface] = name
        taken = {number for (at, _), number in self.ports.items() if at == switch}
        self.ports[switch, interface] = next(number for number in count(1) if number not in taken)
        return name, index

    def unplug(self, switches: Sequence[str], ports: Iterable[tuple[str, str]]) -> None:
        """Take switches, and ports of others, out of the database before their devices go.

        Args:
            ports: (switch, interface), whose numbers are free then.

        Raises:
            Unable, NotReady: it is not done.
        """
        gone = {port for port in self.ports if port[0] in switches} | (set(ports) & self.ports.keys())
        if self._database is not None:
            devices = {(port[0], self._devices[port]) for port in gone if port[0] not in switches}
            self._database.unplug(set(switches), devices, time.monotonic() + START_PATIENCE, self._died)
        for port in gone:
            del self._devices[port], self.ports[port]

    def start(
        self,
        switches: Sequence[tuple[SwitchNode, Sequence[WireEnd]]],
        told: Control,
        guest: int,
        queues: Mapping[tuple[str, str], Queues],
    ) -> None:
        """Start the daemons, and make all switches with their ports in one transaction of the database.

        Args:
            switches: with their ends of links, in the order that numbers the ports.
            told: what our own controller is to know; it is started in its guest. Where it has switches in others, too,
                nothing is written until the first `steer`. guest: this one's number.
            queues: of the ports that have some, by node and interface.

        Raises:
            Unable: the kernel lacks what was asked for, or a daemon or the database refuses; with its words.
            NotReady: a daemon did not start in time.
        """
        address = between.host(told.guest) if told.others else HOST
        bridges = [self._bridge(node, ends, f"tcp:{address}:{PORT}", queues) for node, ends in switches]
        self._stand_in({bridge.settings.controller for bridge in bridges} & self._outside.keys())
        if between.needed(told, guest):
            between.join(self.namespaces, told, guest)
            self._joined = True
        if told.guest == guest:
            self._control(told, address)
        self.in_userspace = any(bridge.datapath == "netdev" for bridge in bridges)
        self._database = self._daemons.open(ovsdb.Database)
        self._daemons.switch(kernel=any(bridge.datapath == "system" for bridge in bridges))
        if self.controller is not None:
            self.controller.connect(self._died)  # before there are switches: one that is refused waits for a second
        self._database.create(bridges, time.monotonic() + START_PATIENCE, self._died)
        self._check_queues([port for bridge in bridges for port in bridge.ports if port.queues is not None])
        if self.controller is not None and not told.others:
            self.controller.install(self.controller.policy)

    @property
    def runs(self) -> bool:
        """Whether it was started."""
        return self._database is not None

    def adapt(
        self,
        switches: Sequence[tuple[SwitchNode, Sequence[WireEnd]]],
        told: Control,
        queues: Mapping[tuple[str, str], Queues],
    ) -> None:
        """Make of the running switches what these are, in one guest; `unplug` has removed what is not among them.

        Args:
            As of `start`.

        Raises:
            As `start`.
        """
        self._stand_in({_settings(node).controller for node, _ in switches} & self._outside.keys() - self._stood_in)
        known = self.controller
        if told.guest and known is None:
            self._control(told, HOST)
            self._own_controller().connect(self._died)
        self.requeue(switches, queues)
        installed = None if known is None else (known.policy, known.network)
        if self.controller is not None and installed != (told.policy, told.network):
            self._interfaces = told.interfaces
            self.controller.install(told.policy, told.network)

    def requeue(
        self, switches: Sequence[tuple[SwitchNode, Sequence[WireEnd]]], queues: Mapping[tuple[str, str], Queues]
    ) -> None:
        """Give ports the queues that they are to have, and make those, and the switches, that are not there yet.

        Args:
            As of `start`.

        Raises:
            As `start`.
        """
        assert self._database is not None
        bridges = [self._bridge(node, ends, f"tcp:{HOST}:{PORT}", queues) for node, ends in switches]
        self.in_userspace = any(bridge.datapath == "netdev" for bridge in bridges)
        self._database.adapt(bridges, time.monotonic() + START_PATIENCE, self._died)
        self._check_queues([port for bridge in bridges for port in bridge.ports if port.queues is not None])

    def _control(self, told: Control, address: str) -> None:
        """Start our own controller."""
        self._interfaces = told.interfaces
        self.controller = Controller(self._run, told, partial(self._start_controller, address))
        self._arrangements = Arrangements(self.controller)
        self._processes.append(self.controller.process)

    def refuse_open(self) -> None:
        """Refuse while a transaction on the switches is open, which would take what is done now back with it.

        Raises:
            Refused: one is.
        """
        if self._arrangements is not None:
            self._arrangements.refuse_open()

    def _check_queues(self, ports: Sequence[ovsdb.Port]) -> None:
        """ovs-vswitchd says of queues that the kernel did not take in its log alone.

        Raises:
            Unable: a port has none.
        """
        if not ports:
            return
        with self.namespaces.enter_net(), closing(Netlink()) as inside:
            shaped = {one.index for one in inside.root_qdiscs() if one.kind == "htb"}
            missing = [port.device for port in ports if inside.index_of(port.device) not in shaped]
        if missing:
            raise Unable(f"this kernel did not take queues (qdisc htb) for {', '.join(missing)}: --substrate uml")

    def _stand_in(self, targets: Iterable[str]) -> None:
        """Be each controller outside for the switches: its address is here, and what connects to it goes there.

        Raises:
            Unable: the address cannot be taken here.
        """
        for target in targets:
            self._stood_in.add(target)
            host, port = relay.endpoint(target)
            with self.namespaces.enter_net(), closing(Netlink()) as inside:
                if not host.startswith("127.") and host != "::1":
                    inside.run([netlink.address(LOOPBACK, f"{host}/{128 if ':' in host else 32}")])
                listening = relay.listen(host, port)
            self._relays.append(Relay(listening, partial(relay.connect, self._outside[target])))

    def _start_controller(self, address: str) -> Process:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        log = os.open(f"/proc/self/fd/{self._run}/{control.LOG}", flags, 0o644)
        try:
            stdio, environment = (log, log, log), control.environment()
            command = (*control.COMMAND, address)
            return self._children.start(self.namespaces, command, stdio=stdio, environment=environment)
        finally:
            os.close(log)

    def _bridge(
        self,
        node: SwitchNode,
        ends: Sequence[WireEnd],
        own_controller: str,
        queues: Mapping[tuple[str, str], Queues],
    ) -> ovsdb.Bridge:
        settings = _settings(node)
        datapath = vswitchd.datapath(node.name, settings.datapath)
        own = {end: it for end, it in queues.items() if end[0] == node.name and settings.controller == control.OWN}
        if own and datapath != "system":
            raise Unable(
                f"{node.name}: slices are guaranteed by queues, which a switch in userspace does not fill; leave "
                "`guaranteed` out, or let the kernel move its packets, as guests can: --substrate uml"
            )
        if settings.controller == control.OWN:
            settings = structs.replace(settings, controller=own_controller)
        ports = [
            ovsdb.Port(
                self._devices[node.name, end.interface],
                self.ports[node.name, end.interface],
                end.interface,
                end.vlan,
                end.trunk,
                own.get((node.name, end.interface)),
            )
            for end in ends
        ]
        return ovsdb.Bridge(node.name, settings, datapath, ports)

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
        lines = [self.problem] if self.problem else []
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
            Refused: a change is being tried on the switches.
        """
        return self._own_arrangements().steer(request)

    def arrange(self, request: Arrange) -> Arranged:
        """Do one act of a transaction; see `Arrangements`.

        Raises:
            BadInput: no switch has our own controller.
        """
        return self._own_arrangements().act(request)

    def _own_arrangements(self) -> Arrangements:
        self._own_controller()
        assert self._arrangements is not None
        return self._arrangements

    def read(self) -> SwitchesRead:
        """Return what is written in the switches.

        Raises:
            BadInput: no switch has our own controller.
        """
        controller = self._own_controller()
        return SwitchesRead(network=controller.network, policy=controller.policy, read=controller.read())

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
            self._own_arrangements().close()
            self.controller.close()
        stop_all(self._processes, START_PATIENCE)
        if self._joined:
            between.leave(self.namespaces)
        for one in self._relays:
            one.close()
        os.close(self._run)
        self.namespaces.close()


def _settings(node: SwitchNode) -> SwitchSettings:
    assert isinstance(node.wire.segment, SwitchSettings)
    return node.wire.segment
