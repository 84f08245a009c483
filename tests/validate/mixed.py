"""Three real routers in a row, for trials in a guest.

mix-a and mix-b speak IS-IS, mix-b and mix-c BGP; mix-a reaches mix-c by static routes.
"""

from __future__ import annotations

from ipaddress import ip_interface

from testbed.emulator.messages import Build, WireEnd, WireLink, WireNode
from testbed.model.topology import Endpoint, Link, Node, Router, Topology
from testbed.twin.state import MirroredState

A, B, C = NAMES = ("mix-a", "mix-b", "mix-c")
DAEMONS = {A: ("zebra", "staticd", "isisd"), B: ("zebra", "isisd", "bgpd"), C: ("zebra", "bgpd")}
LOOPBACKS = {A: "10.244.0.1/32", B: "10.244.0.2/32", C: "10.244.0.3/32"}
# Link: one end, its port, its address, the other end, its port, its address.
WIRES = {
    "mix-ab": (A, "eth1", "10.243.1.1/30", B, "eth1", "10.243.1.2/30"),
    "mix-bc": (B, "eth2", "10.243.2.1/30", C, "eth1", "10.243.2.2/30"),
}

_ISIS_PORT = """\
interface {port}
 ip router isis lab
 isis hello-interval 1
 isis hello-multiplier 3
 isis network point-to-point
exit
"""
_ISIS = """\
router isis lab
 is-type level-2-only
 net 49.0001.0000.0000.000{number}.00
{more}exit
"""
_BGP = """\
router bgp {own}
 timers bgp 1 3
 no bgp ebgp-requires-policy
 neighbor {peer} remote-as {their}
 address-family ipv4 unicast
{networks} exit-address-family
exit
"""


def config(node: str) -> str:
    """Return a router's configuration; addresses are lines, too."""
    text = f"hostname {node}\ninterface lo\n ip address {LOOPBACKS[node]}\nexit\n"
    for one, port, address, other, far, there in WIRES.values():
        for name, interface, own in ((one, port, address), (other, far, there)):
            text += f"interface {interface}\n ip address {own}\nexit\n" if name == node else ""
    return text + _ROUTING[node]


_ROUTING = {
    A: _ISIS_PORT.format(port="eth1")
    + _ISIS.format(number=1, more="")
    + "ip route 10.244.0.3/32 10.243.1.2\nip route 10.243.2.0/30 10.243.1.2\n",
    B: _ISIS_PORT.format(port="eth1")
    + _ISIS.format(number=2, more="")
    + _BGP.format(own=65001, their=65002, peer="10.243.2.2", networks="  network 10.243.1.0/30\n"),
    C: _BGP.format(own=65002, their=65001, peer="10.243.2.1", networks=f"  network {LOOPBACKS[C]}\n"),
}


def state() -> MirroredState:
    """Return the row as a mirrored state; configurations are to be read from the routers."""
    nodes: dict[str, Node] = {
        n: Router(kind="router", config=config(n), loopbacks=(ip_interface(LOOPBACKS[n]),)) for n in NAMES
    }
    links = {
        name: Link(
            endpoints=(
                Endpoint(node=one, interface=port, addresses=(ip_interface(address),)),
                Endpoint(node=other, interface=far, addresses=(ip_interface(there),)),
            )
        )
        for name, (one, port, address, other, far, there) in WIRES.items()
    }
    return MirroredState(twin="mix-twin", measured=1.0, topology=Topology(name="mix", nodes=nodes, links=links))


def build() -> Build:
    """Return what the agent builds it from."""
    nodes = tuple(
        WireNode(name=n, kind="router", daemons=DAEMONS[n], config=config(n), addresses=(LOOPBACKS[n],)) for n in NAMES
    )
    links = tuple(
        WireLink(
            name=name,
            ends=(
                WireEnd(node=one, interface=port, addresses=(address,)),
                WireEnd(node=other, interface=far, addresses=(there,)),
            ),
        )
        for name, (one, port, address, other, far, there) in WIRES.items()
    )
    return Build(nodes=nodes, links=links)
