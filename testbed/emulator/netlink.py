"""Raw rtnetlink (rtnetlink(7), linux/rtnetlink.h): messages as bytes, and a socket that sends many at once.

A message function returns a `Request`; `Netlink.run` sends any number of them in a few system calls. pyroute2 would do,
but importing it takes 2.6 s in a guest and building a message with it 50 times as long.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from testbed.errors import Unable

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE = 24, 25
NEWNEIGH = 28
NEWQDISC, DELQDISC, GETQDISC = 36, 37, 38
NEWTFILTER = 44
ERROR, DONE = 2, 3

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
REPLACE, EXCLUSIVE, CREATE = 0x100, 0x200, 0x400
ACK_TLVS = 0x200

UP, RUNNING, LOWER_UP = 0x1, 0x40, 0x10000
LINK_EVENTS = 1
"""Multicast group (RTNLGRP_LINK) that tells of every change of an interface."""
ROOT, CLSACT = 0xFFFFFFFF, 0xFFFFFFF1
INGRESS = 0xFFFFFFF2
FIRST_HANDLE = 0x00010000

IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 5, 10, 18
IFLA_GROUP, IFLA_NET_NS_FD, IFLA_GSO_MAX_SEGS = 27, 28, 40
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER, VLAN_ID = 1, 2, 1, 1
IFLA_BR_STP_STATE, IFLA_BR_MCAST_SNOOPING = 5, 23
IFLA_INFO_SLAVE_DATA, BRPORT_STATE = 5, 1
IFA_ADDRESS, IFA_LOCAL, IFA_F_NODAD = 1, 2, 0x02
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
NDA_DST, NDA_LLADDR, NUD_PERMANENT = 1, 2, 0x80
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_U32_SEL, TCA_U32_ACT, TC_U32_TERMINAL = 5, 7, 1
TCA_ACT_KIND, TCA_ACT_OPTIONS, TCA_MIRRED_PARMS = 1, 2, 2
TC_ACT_STOLEN, MIRRED_EGRESS_REDIR = 4, 1
ETH_P_ALL = 0x0003

_NLMSGHDR = struct.Struct("=IHHII")
_ATTR = struct.Struct("=HH")
_IFINFO = struct.Struct("=BxHiII")
_TCMSG = struct.Struct("=BxxxiIII")
_IFADDR = struct.Struct("=BBBBI")
_INT = struct.Struct("=i")
_RTMSG = struct.Struct("=BBBBBBBBI")
_UNIVERSE, _SITE, _LINK = 0, 200, 253

NETLINK_CAP_ACK, NETLINK_EXT_ACK, SOL_NETLINK = 10, 11, 270
_SEND_LIMIT = 128 * 1024
_SEND_BUFFER = 1 << 20


class Request(NamedTuple):
    """One rtnetlink message without its header."""

    kind: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """What the kernel says of one message: `index` counts the messages given to `run`."""

    index: int
    errno: int
    text: str

    def __str__(self) -> str:
        said = f": {self.text}" if self.text else ""
        return f"{os.strerror(self.errno)} ({errno.errorcode.get(self.errno, self.errno)}){said}"


class NetlinkError(OSError):
    """Some messages of a batch failed, the others were carried out."""

    def __init__(self, failures: Sequence[Failure]) -> None:
        super().__init__(failures[0].errno, "; ".join(f"message {f.index}: {f}" for f in failures[:5]))
        self.failures = tuple(failures)


# --- encoding --------------------------------------------------------------------------------------------------------


def attribute(kind: int, payload: bytes) -> bytes:
    """Encode one attribute, padded to four bytes."""
    return _ATTR.pack(len(payload) + 4, kind) + payload + bytes(-len(payload) % 4)


def _number(kind: int, value: int) -> bytes:
    return _ATTR.pack(8, kind) + _INT.pack(value)


def _text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes | memoryview) -> dict[int, bytes]:
    """Decode a run of attributes into type to payload; the nested flag is dropped."""
    found, offset = {}, 0
    while offset + 4 <= len(data):
        length, kind = _ATTR.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = bytes(data[offset + 4 : offset + length])
        offset += length + (-length % 4)
    return found


def _link_settings(
    *,
    name: str | None = None,
    mac: bytes | None = None,
    mtu: int | None = None,
    master: int | None = None,
    group: int | None = None,
    gso_max_segs: int | None = None,
    namespace: int | None = None,
) -> bytes:
    numbers = (
        (IFLA_MTU, mtu), (IFLA_MASTER, master), (IFLA_GROUP, group), (IFLA_GSO_MAX_SEGS, gso_max_segs),
        (IFLA_NET_NS_FD, namespace),
    )  # fmt: skip
    body = b"".join(_number(kind, value) for kind, value in numbers if value is not None)
    if mac is not None:
        body += attribute(IFLA_ADDRESS, mac)
    return body + (_text(IFLA_IFNAME, name) if name is not None else b"")


@dataclass(frozen=True, slots=True)
class VethEnd:
    """One end of a new veth pair.

    Attributes:
        index: 0 lets the kernel choose; a peer's is heeded only where the first end has one.
        namespace: a file descriptor, None for here.
        up: only the first end can be made up; the kernel refuses to open a peer that is half made.
    """

    name: str
    index: int = 0
    mac: bytes | None = None
    up: bool = True
    namespace: int | None = None
    group: int | None = None
    gso_max_segs: int | None = None

    def encode(self, mtu: int) -> tuple[bytes, bytes]:
        """Return `ifinfomsg` and attributes."""
        flags = UP if self.up else 0
        settings = _link_settings(
            name=self.name, mac=self.mac, mtu=mtu, group=self.group, gso_max_segs=self.gso_max_segs,
            namespace=self.namespace,
        )  # fmt: skip
        return _IFINFO.pack(0, 0, self.index, flags, flags), settings


def veth(end: VethEnd, peer: VethEnd, mtu: int = 1500) -> Request:
    """Make a veth pair, each end at once in its namespace, named and addressed.

    Args:
        end, peer: the ends. mtu: bytes, of both.
    """
    header, settings = end.encode(mtu)
    other = attribute(VETH_INFO_PEER, b"".join(peer.encode(mtu)))
    info = _text(IFLA_INFO_KIND, "veth") + attribute(IFLA_INFO_DATA, other)
    return Request(NEWLINK, CREATE | EXCLUSIVE, header + settings + attribute(IFLA_LINKINFO, info))


def vlan(
    name: str, index: int, parent: int, number: int, mtu: int, *, up: bool, group: int, namespace: int | None = None
) -> Request:
    """Make a VLAN device (IEEE 802.1Q).

    Args:
        index: its own, parent: of the device it is on. number: 1 to 4094. mtu: bytes. namespace: file descriptor of
            the network it is made in; the parent is in the socket's.
    """
    flags = UP if up else 0
    settings = _link_settings(name=name, mtu=mtu, group=group, namespace=namespace) + _number(IFLA_LINK, parent)
    data = attribute(IFLA_INFO_DATA, attribute(VLAN_ID, struct.pack("=H", number)))
    info = attribute(IFLA_LINKINFO, _text(IFLA_INFO_KIND, "vlan") + data)
    return Request(NEWLINK, CREATE | EXCLUSIVE, _IFINFO.pack(0, 0, index, flags, flags) + settings + info)


def bridge(name: str, index: int = 0, options: bytes = b"", *, up: bool = True) -> Request:
    """Make an Ethernet bridge.

    Args:
        index: 0 lets the kernel choose. options: IFLA_BR_* attributes. up: it forwards by what joins it.
    """
    info = attribute(IFLA_LINKINFO, _text(IFLA_INFO_KIND, "bridge") + attribute(IFLA_INFO_DATA, options))
    head = _IFINFO.pack(0, 0, index, up * UP, UP)
    return Request(NEWLINK, CREATE | EXCLUSIVE, head + _text(IFLA_IFNAME, name) + info)


def bridge_options(*, stp: bool, snooping: bool) -> bytes:
    """Encode options of a bridge.

    Args:
        stp: it speaks IEEE 802.1D. snooping: it listens for who wants which multicast group (RFC 4541), and says on
            all its ports that it does.
    """
    return _number(IFLA_BR_STP_STATE, stp) + attribute(IFLA_BR_MCAST_SNOOPING, bytes([snooping]))


def set_link(
    index: int,
    *,
    up: bool | None = None,
    name: str | None = None,
    mtu: int | None = None,
    master: int | None = None,
    group: int | None = None,
    gso_max_segs: int | None = None,
    mac: bytes | None = None,
    namespace: int | None = None,
) -> Request:
    """Change an interface; what is None stays.

    Args:
        mtu: bytes. master: an interface index (0 releases). namespace: file descriptor of the network it moves to.
    """
    flags, change = (UP if up else 0), (UP if up is not None else 0)
    settings = _link_settings(
        name=name, mac=mac, mtu=mtu, master=master, group=group, gso_max_segs=gso_max_segs, namespace=namespace
    )
    return Request(NEWLINK, 0, _IFINFO.pack(0, 0, index, flags, change) + settings)


def delete_group(group: int) -> Request:
    """Remove all interfaces of a group, in one kernel transaction."""
    return Request(DELLINK, 0, _IFINFO.pack(0, 0, 0, 0, 0) + _number(IFLA_GROUP, group))


def _packed(address: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.inet_pton(family, address)


def address(index: int, text: str) -> Request:
    """Add an address such as `10.0.0.1/30` to an interface; IPv6 without duplicate detection, usable at once."""
    host, _, length = text.partition("/")
    family, packed = _packed(host)
    prefix = int(length) if length else 8 * len(packed)
    flags = IFA_F_NODAD if family == socket.AF_INET6 else 0
    body = _IFADDR.pack(family, prefix, flags, _UNIVERSE, index)
    body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    return Request(NEWADDR, CREATE | REPLACE, body)


def delete_address(index: int, text: str) -> Request:
    """Take an address such as `10.0.0.1/30` from an interface."""
    return address(index, text)._replace(kind=DELADDR, flags=0)


def route(gateway: str | None, destination: str = "", index: int = 0) -> Request:
    """Add a unicast route to `destination` (`10.0.0.0/8`; empty is the default route).

    Args:
        gateway: None where the destination is on the link itself. index: the interface, 0 where the gateway tells.
    """
    host, _, length = destination.partition("/")
    family, packed = _packed(gateway or host or "0.0.0.0")
    scope = _UNIVERSE if gateway else _LINK
    body = _RTMSG.pack(family, int(length or 0), 0, 0, 254, 3, scope, 1, 0)  # main table, boot, unicast
    body += attribute(RTA_GATEWAY, packed) if gateway else b""
    body += attribute(RTA_DST, _packed(host)[1]) if host else b""
    body += _number(RTA_OIF, index) if index else b""
    return Request(NEWROUTE, CREATE | REPLACE, body)


def add_route(gateway: str) -> Request:
    """Add a default route where there is none of this family yet."""
    return route(gateway)._replace(flags=CREATE | EXCLUSIVE)


def delete_route(gateway: str) -> Request:
    """Take the default route by a gateway away."""
    return route(gateway)._replace(kind=DELROUTE, flags=0)


def neighbour(index: int, address: str, mac: bytes) -> Request:
    """Tell an interface for good which hardware address an IP address has (a static ARP entry)."""
    family, packed = _packed(address)
    body = struct.pack("=BxxxiHBB", family, index, NUD_PERMANENT, 0, 1)
    return Request(NEWNEIGH, CREATE | REPLACE, body + attribute(NDA_DST, packed) + attribute(NDA_LLADDR, mac))


_CLSACT_KIND = _text(TCA_KIND, "clsact")
_NETEM_KIND = _text(TCA_KIND, "netem")
_MATCH_ALL = attribute(
    TCA_U32_SEL,
    struct.pack("=BBBBHhhhI", TC_U32_TERMINAL, 0, 1, 0, 0, 0, 0, 0, 0) + struct.pack("=IIii", 0, 0, 0, 0),
)


def clsact(index: int) -> Request:
    """Give an interface the place where ingress filters hang."""
    return Request(NEWQDISC, CREATE | EXCLUSIVE, _TCMSG.pack(0, index, 0xFFFF0000, CLSACT, 0) + _CLSACT_KIND)


def redirect(source: int, target: int) -> Request:
    """Send every packet that arrives on interface `source` out of `target` (u32 match-all with mirred redirect)."""
    mirred = struct.pack("=IIiiiiI", 0, 0, TC_ACT_STOLEN, 0, 0, MIRRED_EGRESS_REDIR, target)
    action = _text(TCA_ACT_KIND, "mirred") + attribute(TCA_ACT_OPTIONS, attribute(TCA_MIRRED_PARMS, mirred))
    options = _MATCH_ALL + attribute(TCA_U32_ACT, attribute(1, action))
    info = 1 << 16 | socket.htons(ETH_P_ALL)
    body = _TCMSG.pack(0, source, 0, INGRESS, info) + _text(TCA_KIND, "u32") + attribute(TCA_OPTIONS, options)
    return Request(NEWTFILTER, CREATE | EXCLUSIVE, body)


def netem(index: int, options: bytes, create: bool = False) -> Request:
    """Set an interface's root netem, `options` as `testbed.emulator.netem.encode` makes them."""
    body = _TCMSG.pack(0, index, FIRST_HANDLE, ROOT, 0) + _NETEM_KIND + attribute(TCA_OPTIONS, options)
    return Request(NEWQDISC, CREATE | EXCLUSIVE if create else 0, body)


def delete_root(index: int) -> Request:
    """Take an interface's root qdisc away."""
    return Request(DELQDISC, 0, _TCMSG.pack(0, index, 0, ROOT, 0))


# --- the socket ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """An interface as the kernel lists it.

    Attributes:
        carrier: the wire is there. running: the kernel has seen that and lets packets through.
        port_state: of a bridge's port (linux/if_bridge.h BR_STATE_*), None of others.
    """

    index: int
    name: str
    up: bool
    carrier: bool
    running: bool
    mac: bytes = b""
    port_state: int | None = None


@dataclass(frozen=True, slots=True)
class QdiscInfo:
    """A root qdisc as the kernel lists it."""

    index: int
    kind: str
    options: bytes


class Netlink:
    """An rtnetlink socket; it belongs to the network namespace of the thread that opens it, whoever uses it later.

    Not thread-safe: its user holds a lock.

    Args:
        groups: multicast groups it hears of, a bit mask.
    """

    def __init__(self, groups: int = 0) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self._socket.bind((0, groups))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def heard(self, seconds: float) -> bool:
        """Wait until one of the groups tells something, `seconds` at most; say whether one did."""
        poller = select.poll()  # select(2) takes no descriptor from 1024 on
        poller.register(self._socket, select.POLLIN)
        if not poller.poll(max(seconds, 0.0) * 1000):
            return False
        try:
            self._socket.recv(1 << 16)
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more was told than could be kept
                raise
        return True

    def run(self, requests: Sequence[Request]) -> None:
        """Carry out all messages, in order.

        The kernel answers errors unasked, so only the last message of a send asks for an acknowledgement.

        Raises:
            NetlinkError: some failed; the others were carried out all the same.
        """
        failures: list[Failure] = []
        for first, last in _chunks(requests):
            failures += self._send(requests, first, last)
        if failures:
            raise NetlinkError(failures)

    def _send(self, requests: Sequence[Request], first: int, last: int) -> list[Failure]:
        base = self._sequence - first
        self._sequence += last - first
        parts: list[bytes] = []
        for position in range(first, last):
            kind, flags, body = requests[position]
            flags |= REQUEST | ACK if position == last - 1 else REQUEST
            parts += (_NLMSGHDR.pack(len(body) + 16, kind, flags, base + position, 0), body, bytes(-len(body) % 4))
        self._socket.sendto(b"".join(parts), (0, 0))
        return list(self._failures(base, base + last - 1))

    def _failures(self, base: int, last: int) -> Iterator[Failure]:
        while True:
            for kind, flags, sequence, body in self._receive():
                if kind != ERROR or not base <= sequence <= last:
                    continue
                number = -_INT.unpack_from(body)[0]
                if number:
                    text = _extended(body[20:]) if flags & ACK_TLVS else ""
                    yield Failure(sequence - base, number, text)
                if sequence == last:
                    return

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(1 << 16)
        offset = 0
        while offset + 16 <= len(data):
            length, kind, flags, sequence, _ = _NLMSGHDR.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset + 16 : offset + length]
            offset += length + (-length % 4)

    def _dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        sequence = self._sequence
        self._sequence += 1
        header = _NLMSGHDR.pack(len(body) + 16, kind, REQUEST | DUMP, sequence, 0)
        self._socket.sendto(header + body, (0, 0))
        while True:
            for answer, _, number, data in self._receive():
                if number != sequence:
                    continue
                if answer == ERROR:
                    raise NetlinkError([Failure(0, -_INT.unpack_from(data)[0], "")])
                if answer == DONE:
                    return
                yield data

    def links(self) -> list[LinkInfo]:
        """List the namespace's interfaces."""
        return [_link_info(data) for data in self._dump(GETLINK, _IFINFO.pack(0, 0, 0, 0, 0))]

    def link_attributes(self) -> list[tuple[int, dict[int, bytes]]]:
        """List each interface's index with its attributes as the kernel writes them."""
        dumped = self._dump(GETLINK, _IFINFO.pack(0, 0, 0, 0, 0))
        return [(_IFINFO.unpack_from(data)[2], attributes(data[_IFINFO.size :])) for data in dumped]

    def root_qdiscs(self) -> list[QdiscInfo]:
        """List the namespace's root qdiscs with their raw options."""
        found = []
        for data in self._dump(GETQDISC, _TCMSG.pack(0, 0, 0, 0, 0)):
            _, index, _, parent, _ = _TCMSG.unpack_from(data)
            if parent == ROOT:
                fields = attributes(data[_TCMSG.size :])
                kind = fields[TCA_KIND].rstrip(b"\0").decode()
                found.append(QdiscInfo(index, kind, fields.get(TCA_OPTIONS, b"")))
        return found

    def addresses(self) -> list[tuple[int, str]]:
        """List (interface index, `10.0.0.1/30`), without link-local and loopback ones."""
        found = []
        for data in self._dump(GETADDR, bytes(8)):
            family, prefix, _, scope, index = _IFADDR.unpack_from(data)
            fields = attributes(data[_IFADDR.size :])
            packed = fields.get(IFA_LOCAL) or fields.get(IFA_ADDRESS)
            if scope in (_UNIVERSE, _SITE) and packed:
                found.append((index, f"{socket.inet_ntop(family, packed)}/{prefix}"))
        return found

    def look(self, index: int = 0, name: str | None = None) -> LinkInfo | None:
        """Return one interface of this namespace, by its index or its name; None where there is none."""
        sequence = self._sequence
        self._sequence += 1
        body = _IFINFO.pack(0, 0, index, 0, 0) + (_text(IFLA_IFNAME, name) if name is not None else b"")
        self._socket.sendto(_NLMSGHDR.pack(len(body) + 16, GETLINK, REQUEST, sequence, 0) + body, (0, 0))
        while True:
            for kind, _, number, data in self._receive():
                if number == sequence:
                    return _link_info(data) if kind == NEWLINK else None

    def index_of(self, name: str) -> int | None:
        """Return the index of an interface of this namespace, or None."""
        found = self.look(name=name)
        return found.index if found else None


def _link_info(data: bytes) -> LinkInfo:
    _, _, index, flags, _ = _IFINFO.unpack_from(data)
    fields = attributes(data[_IFINFO.size :])
    name = fields[IFLA_IFNAME].rstrip(b"\0").decode()
    port = attributes(attributes(fields.get(IFLA_LINKINFO, b"")).get(IFLA_INFO_SLAVE_DATA, b""))
    state = port[BRPORT_STATE][0] if BRPORT_STATE in port else None
    up, carrier, running = (bool(flags & bit) for bit in (UP, LOWER_UP, RUNNING))
    return LinkInfo(index, name, up, carrier, running, fields.get(IFLA_ADDRESS, b""), state)


def _chunks(requests: Sequence[Request]) -> Iterator[tuple[int, int]]:
    """Cut a batch into sends that fit the socket's buffer."""
    first, size = 0, 0
    for position, request in enumerate(requests):
        length = len(request.body) + 20
        if size + length > _SEND_LIMIT and position > first:
            yield first, position
            first, size = position, 0
        size += length
    if requests:
        yield first, len(requests)


def _extended(data: bytes) -> str:
    return attributes(data).get(1, b"").rstrip(b"\0").decode(errors="replace")


def explain(error: NetlinkError, names: Sequence[str]) -> Unable:
    """Turn a failed batch into an error that says which of `names` (one for each message) failed and why."""
    lines = [f"{names[failure.index]}: {failure}" for failure in error.failures[:5]]
    more = f" (and {len(error.failures) - 5} more)" if len(error.failures) > 5 else ""
    return Unable("; ".join(lines) + more)
