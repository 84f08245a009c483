"""Bridges of the kernel: the spanning tree protocol and VLANs, by netlink (linux/if_link.h, linux/if_bridge.h)."""

from __future__ import annotations

import errno
import struct
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from testbed.emulator import netlink
from testbed.emulator.messages import WireEnd
from testbed.emulator.netlink import Netlink, NetlinkError, Request, attribute
from testbed.emulator.segments import BridgeSettings
from testbed.emulator.spanning import FORWARD_DELAY, HELLO, MAX_AGE, Tree
from testbed.errors import Unable

NAME = "br0"
_FORWARD_DELAY, _HELLO_TIME, _MAX_AGE, _STP_STATE, _VLAN_FILTERING, _DEFAULT_PVID = 1, 2, 3, 5, 7, 39  # IFLA_BR_*
_ROOT_ID = 10
_AF_SPEC, _VLAN_INFO = 26, 2  # IFLA_AF_SPEC, IFLA_BRIDGE_VLAN_INFO
_PVID, _UNTAGGED = 0x2, 0x4  # BRIDGE_VLAN_INFO_*
_INFO_SLAVE_DATA, _PORT_STATE = 5, 1  # IFLA_INFO_SLAVE_DATA, IFLA_BRPORT_STATE
_SET_LINK, _AF_BRIDGE = 19, 7
_TICKS = 100
"""Of a second, in which the kernel takes a bridge's times (USER_HZ)."""
_NETFILTER = Path("/proc/sys/net/bridge")
_STATES = ("disabled", "listening", "learning", "forwarding", "blocking")  # BR_STATE_*


def unfiltered() -> dict[str, str]:
    """Return sysctls of a namespace whose bridges pass frames as they are.

    Where br_netfilter is in the kernel, as it is beside Docker, bridges drop IP packets that a router would refuse.
    """
    tables = ("iptables", "ip6tables", "arptables") if _NETFILTER.exists() else ()
    return {f"bridge/bridge-nf-call-{table}": "0" for table in tables}


class BridgeNode(Protocol):
    """A node, as far as a bridge needs it."""

    name: str
    netlink: Netlink
    lock: threading.Lock
    interfaces: dict[str, int]

    @property
    def wire(self) -> Wire: ...

    def send(self, requests: Sequence[Request], names: Sequence[str]) -> None: ...


class Wire(Protocol):
    """What a node is built from, as far as a bridge needs it."""

    @property
    def segment(self) -> object: ...


def join(node: BridgeNode, ends: Iterable[WireEnd]) -> None:
    """Join a node's interfaces by a bridge, which is made where there is none yet.

    Args:
        ends: the node's ends of links, with their VLANs.

    Raises:
        Unable: the kernel cannot, with its reason.
    """
    settings = _settings(node)
    try:
        with node.lock:
            if (master := node.netlink.index_of(NAME)) is None:
                node.netlink.run([netlink.bridge(NAME, options=_options(settings))])
                master = node.netlink.index_of(NAME)
    except NetlinkError as error:
        raise _explained(error, node.name, settings) from None
    ports = dict(node.interfaces)
    requests = [netlink.set_link(index, master=master) for index in ports.values()]
    names = [f"{node.name}: {name} into {NAME}" for name in ports]
    if settings.vlan_filtering:
        for end in ends:
            requests.append(_vlans(ports[end.interface], end))
            names.append(f"{node.name}: VLANs of {end.interface}")
    node.send(requests, names)


def _settings(node: BridgeNode) -> BridgeSettings:
    return node.wire.segment if isinstance(node.wire.segment, BridgeSettings) else BridgeSettings()


def _options(settings: BridgeSettings) -> bytes:
    """Encode; ports get no VLAN by themselves, so that each has what its endpoint says and nothing else."""
    options = b""
    if settings.stp:
        times = ((_FORWARD_DELAY, FORWARD_DELAY), (_HELLO_TIME, HELLO), (_MAX_AGE, MAX_AGE))
        options += b"".join(attribute(kind, struct.pack("=I", seconds * _TICKS)) for kind, seconds in times)
        options += attribute(_STP_STATE, struct.pack("=I", 1))
    if settings.vlan_filtering:
        options += attribute(_DEFAULT_PVID, struct.pack("=H", 0)) + attribute(_VLAN_FILTERING, b"\1")
    return options


def _explained(error: NetlinkError, name: str, settings: BridgeSettings) -> Unable:
    if settings.vlan_filtering and error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
        return Unable(
            f"{name}: this kernel keeps no VLANs apart on a bridge (CONFIG_BRIDGE_VLAN_FILTERING); "
            "run on a User-Mode Linux guest: --substrate uml"
        )
    return netlink.explain(error, [f"{name}: bridge {NAME}"])


def _vlans(index: int, end: WireEnd) -> Request:
    """Encode a port's VLANs: the untagged one, and the tagged ones; VLAN 1 untagged where none is named."""
    untagged = end.vlan if end.vlan is not None or end.trunk else 1
    given = [(_PVID | _UNTAGGED, untagged)] if untagged is not None else []
    given += [(0, vlan) for vlan in end.trunk]
    info = b"".join(attribute(_VLAN_INFO, struct.pack("=HH", *one)) for one in given)
    return Request(_SET_LINK, 0, struct.pack("=BxHiII", _AF_BRIDGE, 0, index, 0, 0) + attribute(_AF_SPEC, info))


def trees(nodes: Iterable[BridgeNode]) -> dict[str, Tree]:
    """Return what each bridge that speaks the spanning tree protocol knows, read from the kernel."""
    return {node.name: _tree(node) for node in nodes if _settings(node).stp}


def _tree(node: BridgeNode) -> Tree:
    with node.lock:
        found = node.netlink.link_attributes()
    info = {index: netlink.attributes(fields.get(netlink.IFLA_LINKINFO, b"")) for index, fields in found}
    own = next(one for one in info.values() if one.get(netlink.IFLA_INFO_KIND, b"").rstrip(b"\0") == b"bridge")
    ports = {
        name: netlink.attributes(info[index].get(_INFO_SLAVE_DATA, b"")) for name, index in node.interfaces.items()
    }
    states = {name: _STATES[fields[_PORT_STATE][0]] for name, fields in ports.items() if _PORT_STATE in fields}
    return Tree(netlink.attributes(own[netlink.IFLA_INFO_DATA])[_ROOT_ID], states)
