"""Four real OSPF routers in a square, for trials in a guest: r1-r2-r3 is fibre, r1-r4-r3 a slower way."""

from __future__ import annotations

from ipaddress import ip_interface

from testbed.emulator.messages import Build, LinkPatch, WireEnd, WireLink, WireNode
from testbed.model.impairment import Impairment
from testbed.model.topology import Endpoint, Link, Node, Router, Topology
from testbed.twin.state import MirroredState

R1, R2, R3, R4 = NAMES = ("val-r1", "val-r2", "val-r3", "val-r4")
# A second address of r4, to be taken away.
SPARE = "10.254.0.44"
# Link: one end, its port, the other end, its port, seconds one way, cost.
WIRES = {
    "val-12": (R1, "eth1", R2, "eth1", 0.002, 10),
    "val-23": (R2, "eth2", R3, "eth1", 0.002, 10),
    "val-34": (R3, "eth2", R4, "eth1", 0.010, 20),
    "val-41": (R4, "eth2", R1, "eth2", 0.010, 20),
}


def loopback(node: str) -> str:
    """Return a router's address."""
    return f"10.254.0.{NAMES.index(node) + 1}"


def config(node: str) -> str:
    """Return a router's configuration as `show running-config` prints it."""
    blocks = [f"hostname {node}\n"]
    for number, (one, port, other, far, _, cost) in enumerate(WIRES.values(), 1):
        for place, (name, interface) in enumerate(((one, port), (other, far)), 1):
            if name == node:
                blocks.append(
                    f"interface {interface}\n ip address 10.253.{number}.{place}/30\n ip ospf cost {cost}\n"
                    " ip ospf dead-interval 4\n ip ospf hello-interval 1\n ip ospf network point-to-point\n"
                    " ip ospf retransmit-interval 1\nexit\n"
                )
    spare = f" ip address {SPARE}/32\n" if node == R4 else ""
    blocks.append(f"interface lo\n ip address {loopback(node)}/32\n{spare}exit\n")
    blocks.append(
        f"router ospf\n ospf router-id {loopback(node)}\n timers lsa min-arrival 50\n timers throttle lsa all 100\n"
        " timers throttle spf 10 100 1000\n passive-interface lo\n"
        " network 10.0.0.0/8 area 0\nexit\n"
    )
    return "!\n".join(blocks)


def topology() -> Topology:
    """Return the square, its routers with their running configuration."""
    nodes: dict[str, Node] = {
        n: Router(kind="router", config=config(n), loopbacks=(ip_interface(f"{loopback(n)}/32"),)) for n in NAMES
    }
    links = {}
    for number, (name, (one, port, other, far, delay, cost)) in enumerate(WIRES.items(), 1):
        first = Endpoint(node=one, interface=port, addresses=(ip_interface(f"10.253.{number}.1/30"),), cost=cost)
        second = Endpoint(node=other, interface=far, addresses=(ip_interface(f"10.253.{number}.2/30"),), cost=cost)
        one_way = Impairment(delay=delay)
        links[name] = Link(endpoints=(first, second), forward=one_way, backward=one_way)
    return Topology(name="val-square", nodes=nodes, links=links)


def state() -> MirroredState:
    """Return the square as a mirrored state."""
    return MirroredState(twin="val-twin", measured=1.0, topology=topology())


def build() -> Build:
    """Return what the agent builds it from."""
    nodes = tuple(
        WireNode(name=n, kind="router", daemons=("zebra", "ospfd"), config=config(n), addresses=(f"{loopback(n)}/32",))
        for n in NAMES
    )
    links = []
    for number, (name, (one, port, other, far, delay, _)) in enumerate(WIRES.items(), 1):
        ends = (
            WireEnd(node=one, interface=port, addresses=(f"10.253.{number}.1/30",)),
            WireEnd(node=other, interface=far, addresses=(f"10.253.{number}.2/30",)),
        )
        patch = LinkPatch(delay=delay)
        links.append(WireLink(name=name, ends=ends, forward=patch, backward=patch))
    return Build(nodes=nodes, links=tuple(links))
