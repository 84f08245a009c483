"""The nodes of a lab: namespaces, addresses, forwarding, power; and the lab itself, built and taken down as a whole."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import structs

from testbed import processes
from testbed.control.messages import Policy
from testbed.emulator import bridges, netlink, offload, sshd
from testbed.emulator.control import control_of
from testbed.emulator.execute import Children, Process, stop_all
from testbed.emulator.fabric import Fabric
from testbed.emulator.follower import Follower
from testbed.emulator.frr import Frr
from testbed.emulator.links import Wiring
from testbed.emulator.messages import Build, Built, NodeState, Progress, WireEnd, WireNode
from testbed.emulator.namespaces import Namespaces, new_machine, new_networks
from testbed.emulator.netlink import Netlink, NetlinkError, Request, explain
from testbed.emulator.revision import Given
from testbed.emulator.slicing import queues
from testbed.emulator.standing import RouterChange, RouterText
from testbed.errors import BadInput, TestbedError, nearest

LOOPBACK = 1
FIRST_INDEX = 100
STARTERS = 8
"""Nodes whose daemons are started at the same time."""
PATIENCE = 10.0

_HOST_SYSCTLS = {"ipv4/ip_forward": "0", "ipv4/icmp_ratelimit": "0"}
_ROUTER_SYSCTLS = {
    "ipv4/ip_forward": "1",
    "ipv4/icmp_ratelimit": "0",  # a traceroute counts hops by ICMP errors; the kernel would drop most of a burst
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv6/conf/all/forwarding": "1",
}
_FOLDERS = {
    "/etc/frr": "755",
    "/run/frr": "755",
    "/run/lock": "1777",
    "/run/sshd": "755",
    "/run/home": "755",
    "/var/log": "755",
    "/var/lib": "755",
    "/var/tmp": "1777",
    "/var/log/frr": "755",
    "/var/lib/frr": "755",
    "/var/lib/testbed": "700",
    "/root": "700",
}
_PASSWD = """root:x:0:0:root:/root:/bin/sh
{account}frr:x:0:0:frr:/run/frr:/usr/sbin/nologin
sshd:x:{sshd}:{sshd}:sshd:/run/sshd:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
_GROUP = "root:x:0:\nfrr:x:0:\nfrrvty:x:0:\nsshd:x:{sshd}:\nnogroup:x:65534:\n"
_SSHD_USER = 990


@dataclass(slots=True)
class Node:
    """One node as it runs.

    Attributes:
        interfaces: name to index in the node. run: /run of a node that has its own files. lock: guards `netlink`.
        fabric: of a switch: where the ports of all switches are.
    """

    wire: WireNode
    namespaces: Namespaces
    netlink: Netlink
    run: int | None = None
    frr: Frr | None = None
    sshd: Process | None = None
    powered: bool = True
    fabric: Fabric | None = None
    interfaces: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    name: str = ""

    def __post_init__(self) -> None:
        self.name = self.wire.name

    @property
    def kind(self) -> str:
        return self.wire.kind

    @property
    def network(self) -> int:
        return self.namespaces.net

    def place(self, interface: str) -> tuple[str, int]:
        """Settle what a new interface is called in the node's network, and its index there."""
        if self.fabric is not None:
            name, index = self.fabric.place(self.name, interface)
        else:
            name, index = interface, max(self.interfaces.values(), default=FIRST_INDEX - 1) + 1
        self.interfaces[interface] = index
        return name, index

    def enter(self) -> AbstractContextManager[None]:
        return self.namespaces.enter_net()

    def state(self) -> NodeState:
        daemons = self.frr.alive() if self.frr else {}
        if self.wire.sshd is not None:
            daemons = {**daemons, "sshd": self.sshd is not None and self.sshd.code is None}
        return NodeState(name=self.name, kind=self.kind, daemons=daemons)

    def configure(self, addresses: Sequence[tuple[str, str]]) -> None:
        """Bring all interfaces up, add (interface, address) pairs and the default route: one send."""
        up = {"lo": LOOPBACK, **self.interfaces}
        requests: list[Request] = [netlink.set_link(index, up=True) for index in up.values()]
        names = [f"{self.name}: {interface} up" for interface in up]
        for text in self.wire.addresses:
            requests.append(netlink.address(LOOPBACK, text))
            names.append(f"{self.name}: address {text} on lo")
        for interface, text in addresses:
            requests.append(netlink.address(self.interfaces[interface], text))
            names.append(f"{self.name}: address {text} on {interface}")
        if self.wire.gateway is not None:
            requests.append(netlink.route(self.wire.gateway))
            names.append(f"{self.name}: default route by {self.wire.gateway}")
        self.send(requests, names)

    def addresses(self) -> tuple[tuple[str, str], ...]:
        """Return (interface, address) as the kernel has them, of the lab's interfaces and `lo`."""
        names = {LOOPBACK: "lo", **{index: name for name, index in self.interfaces.items()}}
        with self.lock:
            found = self.netlink.addresses()
        return tuple((names[index], text) for index, text in found if index in names)

    def send(self, requests: Sequence[Request], names: Sequence[str]) -> None:
        """Carry out messages in the node's network, errors named by `names`."""
        try:
            with self.lock:
                self.netlink.run(requests)
        except NetlinkError as error:
            raise explain(error, names) from None

    def close(self) -> None:
        if self.frr:
            self.frr.close()
        self.netlink.close()
        self.namespaces.close()
        if self.run is not None:
            os.close(self.run)


_NOTHING = Given(Build(nodes=(), links=()))


class Laboratory:
    """The lab an agent runs: at most one at a time.

    Attributes:
        given: what it was built of, or made into, last; what was changed since is not in it.
    """

    def __init__(self, children: Children, controllers: Mapping[str, str] | None = None) -> None:
        self.children, self._controllers = children, controllers or {}
        self.wiring = Wiring()
        self.nodes: dict[str, Node] = {}
        self.elsewhere: dict[str, tuple[str, ...]] = {}
        self.guest = 1
        self.changing = threading.RLock()
        self._owners: dict[bytes, str] = {}
        self._addresses: dict[str, list[tuple[str, str]]] = {}
        self._ends: dict[str, list[WireEnd]] = {}
        self.fabric: Fabric | None = None
        self._follower: Follower | None = None
        self.given = _NOTHING

    def node(self, name: str) -> Node:
        """Return the node called `name`.

        Raises:
            BadInput: no such node.
        """
        if name not in self.nodes:
            known = ", ".join(sorted(self.nodes)[:20])
            raise BadInput(f"no node called {name!r}{nearest(name, self.nodes)} (known: {known})")
        return self.nodes[name]

    def switches(self) -> Fabric:
        """Return the lab's switches.

        Raises:
            BadInput: it has none.
        """
        if self.fabric is None:
            raise BadInput("the lab has no switch (`kind: switch`)")
        return self.fabric

    def owner_of(self, address: str) -> str | None:
        """Return the node that was built with this address, or None."""
        return self._owners.get(_bare(address))

    def build(self, request: Build, progress: Callable[[Progress], None]) -> Built:
        """Take down what is there and build anew; an empty `Build` only takes down.

        Raises:
            TestbedError: what could not be built, and nothing of it is left.
        """
        started = time.monotonic()
        with self.changing:
            self.tear_down()
            try:
                self._build(request, progress)
            except BaseException:
                self.tear_down()
                raise
            self.given = Given(request)
        return Built(nodes=len(request.nodes), links=len(request.links), seconds=time.monotonic() - started)

    def _build(self, request: Build, progress: Callable[[Progress], None]) -> None:
        check(request)
        self.take_note(request)
        self.make_nodes(request.nodes)
        progress(Progress(text="nodes made", done=len(request.nodes), total=len(request.nodes)))
        self.wiring.build(request.links, dict(self.nodes), request.guest)
        progress(Progress(text="links made", done=len(request.links), total=len(request.links)))
        for node in self.nodes.values():
            self.configure(node)
        self.switch(request, progress)
        self.start_services(list(self.nodes.values()), progress)

    def take_note(self, request: Build) -> None:
        """Remember who has which address."""
        self.elsewhere, self.guest = dict(request.elsewhere), request.guest
        self._addresses = {node.name: [] for node in request.nodes}
        self._ends = {node.name: [] for node in request.nodes}
        for end in (end for link in request.links for end in link.ends if end.node not in self.elsewhere):
            self._ends[end.node].append(end)
            self._addresses[end.node] += [(end.interface, address) for address in end.addresses]
        self._owners = {_bare(a): n for n, given in self._addresses.items() for _, a in given}
        self._owners |= {_bare(a): node.name for node in request.nodes for a in node.addresses}
        self._owners |= {_bare(a): name for name, given in request.elsewhere.items() for a in given}

    def addresses_of(self, name: str) -> dict[str, tuple[str, ...]]:
        """Return what a node's interfaces are given, `lo` among them."""
        found: dict[str, tuple[str, ...]] = {"lo": self.nodes[name].wire.addresses}
        for interface, address in self._addresses[name]:
            found[interface] = (*found.get(interface, ()), address)
        return found

    def configure(self, node: Node) -> None:
        """Give a node its addresses and default route; what it has already of them is no error. Join a bridge."""
        node.configure(self._addresses[node.name])
        if node.kind == "bridge":
            bridges.join(node, self._ends[node.name])

    def switch(self, request: Build, progress: Callable[[Progress], None]) -> None:
        """Let the switches forward, now that their wires are there; those that do already become what they shall be.

        Raises:
            As `Fabric.start`.
        """
        switches, fabric = self._switches(), self.fabric
        if fabric is None:
            return
        if not switches:
            fabric.close()
            self.fabric = None
            return
        told = request.control or control_of([request], self.wiring.numbers(), fabric.ports)
        shares = queues(request.slices, self.wiring.made())
        if shares and self._follower is None:
            self._follower = Follower(self._follow, "queues")
            self.wiring.rates_changed = self._follower.tell
        if not fabric.runs:
            fabric.start(switches, told, request.guest, shares)
            progress(Progress(text="switches made"))
        elif request.control is None:  # in several guests they stay as they were made
            fabric.adapt(switches, told, shares)
        if fabric.in_userspace:
            for node in (node for node in self.nodes.values() if node.fabric is None):
                offload.complete_checksums(node, node.interfaces)

    def unplug(self, switches: Sequence[str], links: Container[str]) -> None:
        """Tell the switches of what goes: some of them, and ports of others.

        Raises:
            As `Fabric.unplug`.
        """
        if self.fabric is not None:
            ends = (end for wire in self.wiring.made() if wire.name in links for end in wire.ends)
            self.fabric.unplug(switches, ((end.node, end.interface) for end in ends))

    def requeue(self) -> None:
        """Let the switches' queues follow the rates of their links.

        Raises:
            As `Fabric.start`.
        """
        with self.changing:
            slices = self.given.build.slices
            if self.fabric is not None and any(one.guaranteed is not None for one in slices):
                self.fabric.requeue(self._switches(), queues(slices, self.wiring.made()))

    def _follow(self) -> None:
        """As `requeue`, for rates that a trace sets; what it fails by is told by whoever asks whether all is well."""
        problem = ""
        try:
            self.requeue()
        except TestbedError as error:
            problem = f"queues do not follow the rates of links: {error}"
        if self.fabric is not None:
            self.fabric.problem = problem

    def _switches(self) -> list[tuple[Node, list[WireEnd]]]:
        return [(node, self._ends[name]) for name, node in self.nodes.items() if node.kind == "switch"]

    @property
    def policy(self) -> Policy | None:
        """Where our own controller's switches send packets; None without any."""
        controller = self.fabric.controller if self.fabric is not None else None
        return controller.policy if controller is not None else None

    def make_nodes(self, wires: Sequence[WireNode]) -> None:
        """Make nodes with nothing in them."""
        own = [wire for wire in wires if wire.kind != "switch"]
        kinds = {"router": _ROUTER_SYSCTLS, "bridge": _HOST_SYSCTLS | bridges.unfiltered()}
        sysctls = [kinds.get(wire.kind, _HOST_SYSCTLS) for wire in own]
        for wire, (net, inside) in zip(own, new_networks(len(own), sysctls), strict=True):
            self.nodes[wire.name] = Node(wire, Namespaces(net), inside)
        if len(own) < len(wires) and self.fabric is None:
            self.fabric = Fabric(self.children, self._controllers)
        for wire in wires:
            if wire.kind == "switch" and self.fabric is not None:
                self.nodes[wire.name] = Node(wire, *self.fabric.share(), fabric=self.fabric)
        for node in (self.nodes[wire.name] for wire in wires):
            if node.kind == "router" or node.wire.sshd is not None:
                mnt, uts, node.run = new_machine(node.name, _FOLDERS, _files(node.wire), node.network)
                node.namespaces = Namespaces(node.network, mnt, uts)

    def start_services(self, nodes: Sequence[Node], progress: Callable[[Progress], None]) -> None:
        """Start what these nodes run, several at a time."""
        serving = [node for node in nodes if node.kind == "router" or node.wire.sshd]
        if not serving:
            return
        managed = [node for node in serving if node.wire.sshd]
        for number, node in enumerate(managed):
            sshd.connect(node, number)
        with ThreadPoolExecutor(STARTERS) as pool:
            for done, node in enumerate(pool.map(self._serve, serving), 1):
                progress(Progress(text=f"{node.name} started", done=done, total=len(serving)))

    def _serve(self, node: Node) -> Node:
        if node.wire.daemons and node.run is not None:
            node.frr = node.frr or Frr(node.name, node.namespaces, node.run, node.wire.daemons, self.children)
            node.frr.start(_startup_configuration(node))
        if node.wire.sshd is not None:
            node.sshd = sshd.start(node, self.children)
        return node

    def reconfigure(self, change: RouterChange) -> None:
        """Change a router's configuration, also the one that it starts from.

        Raises:
            AgentError: a daemon died, or refused a line; the others were given them. BadInput: no such router.
        """
        node = self.node(change.node)
        if node.frr is None or not node.powered:
            raise BadInput(
                f"{node.name} is {'a ' + node.kind if node.frr is None else 'without power'}: no daemon runs"
            )
        with self.changing:
            node.wire = structs.replace(node.wire, daemons=change.daemons, config=change.config)
            with node.namespaces.enter():
                Path("/etc/frr/frr.conf").write_text(change.config)
            node.frr.change(change.daemons, change.config, change.lines)
            node.frr.given = node.frr.running() if change.given is None else change.given

    def configurations(self) -> dict[str, RouterText]:
        """Return what routers were given for a configuration, and what they have now."""
        serving = ((name, node.frr) for name, node in self.nodes.items() if node.frr is not None and node.powered)
        return {name: RouterText(given=frr.given, running=frr.running()) for name, frr in serving}

    def power(self, name: str, on: bool) -> None:
        """Take a node's power away, or give it back: it starts from its startup configuration.

        Off: every process in the node is killed and its wires lose carrier. Repeating either is harmless. Of a node in
        another guest only the wires are here.
        """
        if name in self.elsewhere:
            self.wiring.power(name, on)
            return
        node = self.node(name)
        with self.changing:
            if on == node.powered:
                return
            if on:
                _cold(node)
                node.configure(self._addresses[name])
                self.wiring.power(name, on=True)
                node.powered = True
                self._serve(node)
            else:
                node.powered = False
                self.wiring.power(name, on=False)
                if node.fabric is None:  # a switch shares its daemon with all others
                    self._kill([node])

    def _kill(self, nodes: Sequence[Node]) -> None:
        own = [p for node in nodes for p in ((node.frr.processes() if node.frr else []) + [node.sshd]) if p]
        processes.kill(processes_in({os.fstat(node.network).st_ino for node in nodes}), PATIENCE)
        stop_all([process for process in own if process.code is None], PATIENCE)

    def tear_down(self) -> None:
        """End every process of the lab, then remove its links and namespaces."""
        with self.changing:
            nodes = list(self.nodes.values())
            if any(node.namespaces.mnt is not None for node in nodes):
                self._kill(nodes)
            self.wiring.tear_down()
            for node in nodes:
                node.close()
            if self.fabric is not None:
                self.fabric.close()
            if self._follower is not None:
                self._follower.close()
                self._follower = None
            self.nodes, self._owners, self.elsewhere, self.fabric = {}, {}, {}, None
            self.given = _NOTHING

    def drop(self, names: Sequence[str]) -> None:
        """Remove nodes whose wires are gone, with every process in them; a switch shares its own with all others."""
        nodes = [self.nodes.pop(name) for name in names if name in self.nodes]
        if ending := [node for node in nodes if node.fabric is None]:
            self._kill(ending)
        for node in nodes:
            node.close()


def _bare(address: str) -> bytes:
    """Return an address without its prefix length, in the one form that equal addresses share."""
    host = address.partition("/")[0]
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    except OSError:
        raise BadInput(f"{address!r} is not an IP address") from None


def check(request: Build) -> None:
    """Refuse what cannot be built; the controller checks more, with the place in the file."""
    names = {*(node.name for node in request.nodes), *request.elsewhere}
    taken: set[tuple[str, str]] = set()
    if len(names) != len(request.nodes) + len(request.elsewhere):
        raise BadInput("a node name is used twice")
    if len({link.name for link in request.links}) != len(request.links):
        raise BadInput("a link name is used twice")
    for link in request.links:
        for end in link.ends:
            if end.node not in names:
                raise BadInput(f"link {link.name}: no node called {end.node!r}{nearest(end.node, names)}")
            if (end.node, end.interface) in taken:
                raise BadInput(f"link {link.name}: {end.node} has more than one interface {end.interface!r}")
            taken.add((end.node, end.interface))


def _sshd_user() -> int:
    """Return whose rights sshd takes on before a login: its own user's, or root's where there is no other user."""
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    there = any(int(first) <= _SSHD_USER < int(first) + int(count) for first, _, count in ranges)
    return _SSHD_USER if there else 0


def _files(wire: WireNode) -> dict[str, str]:
    sshd_user = _sshd_user()
    account = f"{wire.sshd.user}:x:0:0::/run/home/{wire.sshd.user}:/bin/sh\n" if wire.sshd else ""
    names = ["root", *([wire.sshd.user] if wire.sshd else []), "frr", "sshd", "nobody"]
    files = {
        "/etc/passwd": _PASSWD.format(account=account, sshd=sshd_user),
        "/etc/group": _GROUP.format(sshd=sshd_user),
        "/etc/shadow": "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names),
        "/etc/frr/vtysh.conf": "service integrated-vtysh-config\n",
    }
    return files | ({"/etc/frr/frr.conf": wire.config} if wire.daemons else {})


def _startup_configuration(node: Node) -> str:
    with node.namespaces.enter():
        return Path("/etc/frr/frr.conf").read_text()


def _cold(node: Node) -> None:
    """Take away the addresses and routes that daemons left in the kernel: interfaces go down."""
    with node.lock:
        addresses = node.netlink.addresses()
    requests = [netlink.set_link(index, up=False) for index in (LOOPBACK, *node.interfaces.values())]
    requests += [netlink.delete_address(index, text) for index, text in addresses if index != sshd.INDEX]
    node.send(requests, [f"{node.name}: reset of an interface"] * len(requests))


def processes_in(networks: set[int]) -> Iterator[processes.Process]:
    """Find the processes in network namespaces (by inode number), other than the agent's own."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):  # ended meanwhile
                found = processes.identify(int(folder.name))
                if found and os.stat(folder / "ns/net").st_ino in networks:
                    yield found
