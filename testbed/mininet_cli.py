"""Mininet's CLI on a lab that is up, whatever it was made from: its commands, carried out by the lab's agent.

The CLI and its pings are Mininet's own code; what it finds as `net` is a picture of the lab. A command in a node is a
shell of its own: what `cd` or a variable does there ends with it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any, cast

from testbed.emulator.messages import GetLinks, LinkChange, Output, Throughput
from testbed.emulator.mininet import stock
from testbed.errors import TestbedError
from testbed.lab import Lab


@dataclass(eq=False)
class LabIntf:
    """An interface of a node; `ip` without its prefix length, None where it has no address."""

    name: str
    ip: str | None
    link: LabLink = field(init=False)

    def updateIP(self) -> str | None:
        """Return its address."""
        return self.ip

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False)
class LabLink:
    """A link; `name` is that of the topology."""

    lab: Lab
    name: str
    intf1: LabIntf
    intf2: LabIntf

    def status(self) -> str:
        """Return what Mininet's `links` shows of it."""
        with self.lab.agent() as agent:
            up = agent.call(GetLinks(names=(self.name,))).links[0].up
        return "(OK OK)" if up else "(cut)"

    def __str__(self) -> str:
        return f"{self.intf1}<->{self.intf2}"


@dataclass(eq=False)
class LabNode:
    """A node, with those of Mininet's methods that need no shell which stays."""

    lab: Lab
    name: str
    kind: str
    loopbacks: tuple[str, ...] = ()
    interfaces: list[LabIntf] = field(default_factory=list)
    waiting = False

    @property
    def intfs(self) -> dict[int, LabIntf]:
        """Interfaces by port."""
        return dict(enumerate(self.interfaces))

    @property
    def ports(self) -> dict[LabIntf, int]:
        """Port of each interface."""
        return {intf: port for port, intf in self.intfs.items()}

    def intfList(self) -> list[LabIntf]:
        """Return the interfaces."""
        return self.interfaces

    def intfNames(self) -> list[str]:
        """Return their names."""
        return [intf.name for intf in self.interfaces]

    def defaultIntf(self) -> LabIntf:
        """Return the first interface that has an address, else the first."""
        return next((intf for intf in self.interfaces if intf.ip), self.interfaces[0])

    def IP(self) -> str | None:
        """Return the node's address: a loopback's, else that of its default interface."""
        if self.loopbacks:
            return self.loopbacks[0].partition("/")[0]
        return self.defaultIntf().ip if self.interfaces else None

    def cmd(self, *words: str) -> str:
        """Run a shell command; return what it says."""
        with self.lab.agent() as agent:
            done = agent.run(self.name, ["/bin/bash", "-c", f"{' '.join(words)} 2>&1"])
        return done.stdout.decode(errors="replace")

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        shown = ",".join(f"{intf}:{intf.ip}" for intf in self.interfaces)
        return f"<{self.kind} {self.name}: {shown}> "


class LabNet(stock.net.Mininet):
    """A lab as Mininet's CLI wants a network."""

    def __init__(self, lab: Lab) -> None:
        self.lab, topology = lab, lab.topology
        self.nameToNode = {
            name: LabNode(lab, name, node.kind, tuple(map(str, getattr(node, "loopbacks", ()))))
            for name, node in topology.nodes.items()
        }
        self.links = [self._wire(name, link.endpoints) for name, link in topology.links.items()]
        nodes = self.nameToNode.values()
        self.hosts = [node for node in nodes if node.kind not in ("bridge", "switch")]
        self.switches = [node for node in nodes if node.kind in ("bridge", "switch")]
        self.controllers, self.terms = [], []

    def _wire(self, name: str, ends: Any) -> LabLink:
        made = []
        for end in ends:
            address = str(end.addresses[0]).partition("/")[0] if end.addresses else None
            made.append(LabIntf(end.interface, address))
            self.nameToNode[end.node].interfaces.append(made[-1])
        link = LabLink(self.lab, name, *made)
        made[0].link = made[1].link = link
        return link

    def configLinkStatus(self, src: str, dst: str, status: str) -> None:
        """Cut or mend all links between two nodes."""
        for name in (src, dst):
            if name not in self.nameToNode:
                stock.log.error(f"{name} is not in the lab\n")
                return
        names = [
            name for name, link in self.lab.topology.links.items() if {e.node for e in link.endpoints} == {src, dst}
        ]
        if not names:
            stock.log.error(f"{src} and {dst} are not connected\n")
            return
        with self.lab.agent() as agent:
            agent.set_links([LinkChange(link=name, up=status == "up") for name in names])

    def iperf(self, hosts: Any = None, l4Type: str = "TCP", seconds: float = 5, **_options: Any) -> None:
        """Say what TCP carries from one node to another, by iperf3; the first and the last host when not said."""
        if l4Type != "TCP":
            stock.log.error("iperfudp: not on a lab; h1 iperf3 -c h2 -u, with iperf3 -s in h2\n")
            return
        client, server = hosts or (self.hosts[0], self.hosts[-1])
        if (address := server.IP()) is None:
            stock.log.error(f"{server} has no address\n")
            return
        with self.lab.agent() as agent:
            result = agent.call(Throughput(client.name, address, server.name, seconds))
        stock.log.output(f"*** Results: {result.received_rate / 1e6:.1f} Mbits/sec from {client} to {server}\n")

    def waitConnected(self, *_arguments: Any) -> bool:
        """Say that it is: a lab is up when its network is ready."""
        return True


class LabCLI(stock.cli.CLI):
    """Mininet's CLI whose commands in nodes go to the agent; a problem of ours is one line and not the end."""

    def default(self, line: str) -> None:
        """Run a command in the node named first; other nodes' names in it stand for their addresses."""
        nodes = cast(dict[str, LabNode], self.mn.nameToNode)
        first, _, rest = line.strip().partition(" ")
        if first not in nodes or not rest:
            stock.log.error(f"*** expected a command (help lists them) or NODE COMMAND, not: {line}\n")
            return
        self._run(nodes[first], " ".join((word in nodes and nodes[word].IP()) or word for word in rest.split(" ")))

    def _run(self, node: LabNode, command: str) -> None:
        def write(event: object) -> None:
            if isinstance(event, Output):
                self.stdout.write(event.data.decode(errors="replace"))
                self.stdout.flush()

        with node.lab.agent() as agent:  # its own: an interrupt leaves, and that ends the command
            agent.run(node.name, ["/bin/bash", "-c", command], timeout=3600.0, on_event=write)

    def do_elsewhere(self, _line: str) -> None:
        """Say that a lab has no such thing: no OpenFlow switch to talk to, no node with a display."""
        stock.log.error("*** this works in a script of Mininet's (testbed mininet run) and not on a lab\n")

    do_dpctl = do_switch = do_x = do_xterm = do_gterm = do_elsewhere

    def onecmd(self, line: str) -> bool:
        """Carry out one line."""
        try:
            return super().onecmd(line)
        except TestbedError as problem:
            stock.log.error(f"*** {problem}\n")
            return False


def run(lab: Lab, script: str | None = None) -> None:
    """Open the CLI on a lab.

    Args:
        script: a file of commands to carry out instead of those typed.
    """
    said = stock.log.lg.ch  # what Mininet prints goes to standard error otherwise
    before, said.stream = said.stream, sys.stdout
    try:
        LabCLI(LabNet(lab), stdin=sys.stdin, script=script)
    finally:
        said.stream = before
