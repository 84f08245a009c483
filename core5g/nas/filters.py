"""Which packets belong to a QoS flow: filters as NAS has them (3GPP TS 24.501, 9.11.4.13), and as PFCP and people do.

The text form is an IPFilterRule (RFC 6733, 4.3.1) as 3GPP uses it (TS 29.212, 5.4.2): seen by the UE's downlink, so
`permit out udp from 10.0.0.0/8 5000-5010 to assigned` has the far side first, whichever way a packet goes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network

from testbed.errors import BadInput

ANY: tuple[int, int] = (0, 65535)
ANYWHERE = IPv4Network("0.0.0.0/0")
_PROTOCOLS = {"ip": None, "icmp": 1, "tcp": 6, "udp": 17, "sctp": 132}
_NAMES = {number: name for name, number in _PROTOCOLS.items()}
_PORTED = frozenset((6, 17, 132))
_PORTS = r"(?:\s+(\d+)(?:-(\d+))?)?"
_TEXT = re.compile(rf"permit\s+out\s+(\w+)\s+from\s+(\S+){_PORTS}\s+to\s+(?:assigned|any){_PORTS}")

_REMOTE_V4, _PROTOCOL, _LOCAL_PORT, _LOCAL_PORTS, _REMOTE_PORT, _REMOTE_PORTS = 0x10, 0x30, 0x40, 0x41, 0x50, 0x51


@dataclass(frozen=True, slots=True)
class Filter:
    """Packets of IPv4.

    Attributes:
        protocol: number; None for any. remote: who the UE talks to. remote_ports, local_ports: first and last; the
            local ones are the UE's.
    """

    protocol: int | None = None
    remote: IPv4Network = ANYWHERE
    remote_ports: tuple[int, int] = ANY
    local_ports: tuple[int, int] = ANY

    def matches(self, packet: bytes | memoryview, downlink: bool) -> bool:
        """Tell whether a packet (a whole one of IPv4, from or to the UE) is one of these."""
        size = (packet[0] & 15) * 4
        if packet[0] >> 4 != 4 or len(packet) < size + 4:
            return False
        if self.protocol is not None and packet[9] != self.protocol:
            return False
        far = int.from_bytes(packet[12:16] if downlink else packet[16:20], "big")
        if far & int(self.remote.netmask) != int(self.remote.network_address):
            return False
        if self.remote_ports == ANY and self.local_ports == ANY:
            return True
        if packet[9] not in _PORTED or (packet[6] & 31 or packet[7]):
            return False
        source, destination = packet[size] << 8 | packet[size + 1], packet[size + 2] << 8 | packet[size + 3]
        remote, local = (source, destination) if downlink else (destination, source)
        return _within(remote, self.remote_ports) and _within(local, self.local_ports)

    def components(self) -> bytes:
        """Return it as a packet filter of NAS has it."""
        parts = []
        if self.remote.prefixlen:
            parts.append(bytes((_REMOTE_V4,)) + self.remote.network_address.packed + self.remote.netmask.packed)
        if self.protocol is not None:
            parts.append(bytes((_PROTOCOL, self.protocol)))
        parts.append(_ports(_LOCAL_PORT, self.local_ports))
        parts.append(_ports(_REMOTE_PORT, self.remote_ports))
        return b"".join(parts) or b"\x01"

    def text(self) -> str:
        """Return it as an IPFilterRule."""
        name = _NAMES.get(self.protocol, str(self.protocol))
        far = "any" if not self.remote.prefixlen else str(self.remote)
        return f"permit out {name} from {far}{_range(self.remote_ports)} to assigned{_range(self.local_ports)}"


def of_text(text: str) -> Filter:
    """Return the filter that an IPFilterRule means.

    Raises:
        BadInput: it is none, or has what we have not (IPv6, lists of ports).
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{text!r}: expected such as `permit out udp from 10.0.0.0/8 5000-5010 to assigned`")
    name, far, *ports = found.groups()
    if name not in _PROTOCOLS and not name.isdecimal():
        raise BadInput(f"{text!r}: protocol {name}: expected a number or one of {', '.join(_PROTOCOLS)}")
    protocol = _PROTOCOLS[name] if name in _PROTOCOLS else int(name)
    try:
        remote = ANYWHERE if far == "any" else ip_network(far, strict=False)
    except ValueError as error:
        raise BadInput(f"{text!r}: {error}") from None
    if not isinstance(remote, IPv4Network) or (protocol is not None and protocol > 255):
        raise BadInput(f"{text!r}: expected an IPv4 network and a protocol up to 255")
    return Filter(protocol, remote, _given(text, *ports[:2]), _given(text, *ports[2:]))


def of_components(data: bytes) -> Filter | None:
    """Return the filter that components of NAS mean; None where it has what we have not."""
    protocol, remote = None, ANYWHERE
    ports: dict[str, tuple[int, int]] = {"remote": ANY, "local": ANY}
    at = 0
    while at < len(data):
        kind = data[at]
        size = _SIZES.get(kind)
        body = data[at + 1 : at + 1 + size] if size is not None else b""
        if size is None or len(body) != size:
            return None
        at += 1 + size
        if kind == _REMOTE_V4:
            mask = int.from_bytes(body[4:], "big")
            if (mask | mask - 1) & 0xFFFFFFFF != 0xFFFFFFFF and mask:
                return None
            remote = IPv4Network((int.from_bytes(body[:4], "big") & mask, mask.bit_count()))
        elif kind == _PROTOCOL:
            protocol = body[0]
        elif kind != _ALL:
            first = int.from_bytes(body[:2], "big")
            side = "local" if kind in (_LOCAL_PORT, _LOCAL_PORTS) else "remote"
            ports[side] = (first, int.from_bytes(body[-2:], "big"))
    return Filter(protocol, remote, ports["remote"], ports["local"])


_ALL = 0x01
_SIZES = {_ALL: 0, _REMOTE_V4: 8, _PROTOCOL: 1, _LOCAL_PORT: 2, _LOCAL_PORTS: 4, _REMOTE_PORT: 2, _REMOTE_PORTS: 4}


def _within(port: int, ports: tuple[int, int]) -> bool:
    return ports[0] <= port <= ports[1]


def _ports(one: int, ports: tuple[int, int]) -> bytes:
    """A single port's component is followed by that of a range of ports."""
    if ports == ANY:
        return b""
    first, last = (port.to_bytes(2, "big") for port in ports)
    return bytes((one,)) + first if first == last else bytes((one + 1,)) + first + last


def _range(ports: tuple[int, int]) -> str:
    first, last = ports
    if ports == ANY:
        return ""
    return f" {first}" if first == last else f" {first}-{last}"


def _given(text: str, first: str | None, last: str | None) -> tuple[int, int]:
    if first is None:
        return ANY
    ports = int(first), int(last or first)
    if not ports[0] <= ports[1] <= 65535:
        raise BadInput(f"{text!r}: expected ports from 0 to 65535, the first one first")
    return ports
