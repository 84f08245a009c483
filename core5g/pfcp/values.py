"""Values of PFCP information elements, to bytes and back (3GPP TS 29.244, 8.2).

What stands behind what a value is known to have is left out: later releases add to the end (TS 29.244, 5.2.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

IpAddress = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Codec:
    """Reads and writes the value of an element. `read` raises ValueError or IndexError where it is none."""

    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]


class Fseid(NamedTuple):
    """A session's endpoint: its number at one end, and that end's address (8.2.37)."""

    seid: int
    address: IpAddress


class Fteid(NamedTuple):
    """A tunnel's endpoint (8.2.3); without a number, or with a number to choose by, the UPF is to choose one.

    Attributes:
        teid, address: of the tunnel; None where the UPF chooses. choose: CHOOSE ID, the same for the same endpoint.
        v6: where the UPF chooses, an IPv6 address.
    """

    teid: int | None = None
    address: IpAddress | None = None
    choose: int | None = None
    v6: bool = False


class UeAddress(NamedTuple):
    """A UE's address (8.2.62). `destination`: packets to it; else from it."""

    address: IpAddress
    destination: bool = False


class OuterHeader(NamedTuple):
    """What is put before packets: a GTP-U tunnel (8.2.56)."""

    teid: int
    address: IpAddress


class Rates(NamedTuple):
    """Bit rates, bit/s, kept as whole kbit/s (8.2.8, 8.2.9)."""

    uplink: int
    downlink: int


class Volume(NamedTuple):
    """What went through a session, bytes and packets (8.2.44)."""

    uplink: int
    downlink: int
    uplink_packets: int = 0
    downlink_packets: int = 0


def number(size: int) -> Codec:
    """Return the codec of a number of so many bytes."""

    def read(data: bytes) -> int:
        if len(data) < size:
            raise ValueError(f"expected {size} bytes")
        return int.from_bytes(data[:size], "big")

    return Codec(read, lambda value: value.to_bytes(size, "big"))


def bits(mask: int) -> Codec:
    """Return the codec of a number that has a byte for itself, beside spare bits."""
    return Codec(lambda data: data[0] & mask, lambda value: bytes((value,)))


def _both(data: bytes, at: int, v4: bool, v6: bool) -> IpAddress:
    """The address at a place; of two the IPv4 one, which stands first in all but F-SEIDs of old."""
    size = 4 if v4 else 16
    if not (v4 or v6) or len(data) < at + size:
        raise ValueError("expected an address")
    return ip_address(data[at : at + size])


def _read_node(data: bytes) -> IpAddress | str:
    kind = data[0] & 15
    if kind == 2:
        return _labels(data[1:])
    return _both(data, 1, kind == 0, kind == 1)


def _write_node(value: IpAddress | str) -> bytes:
    if isinstance(value, str):
        return b"\x02" + b"".join(bytes((len(one),)) + one.encode() for one in value.split("."))
    return bytes((value.version == 6,)) + value.packed


def _labels(data: bytes) -> str:
    """Labels with their lengths; Network Instances of some are plain text instead (8.2.4)."""
    parts, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            return data.decode("ascii")
        parts.append(data[at + 1 : end].decode("ascii"))
        at = end
    return ".".join(parts)


def _write_labels(value: str) -> bytes:
    return b"".join(bytes((len(one),)) + one.encode("ascii") for one in value.split("."))


def _read_fseid(data: bytes) -> Fseid:
    return Fseid(int.from_bytes(data[1:9], "big"), _both(data, 9, bool(data[0] & 2), bool(data[0] & 1)))


def _write_fseid(value: Fseid) -> bytes:
    flag = 2 if value.address.version == 4 else 1
    return bytes((flag,)) + value.seid.to_bytes(8, "big") + value.address.packed


def _read_fteid(data: bytes) -> Fteid:
    v4, v6, choose, named = (bool(data[0] & bit) for bit in (1, 2, 4, 8))
    if choose:
        return Fteid(choose=data[1] if named else None, v6=v6 and not v4)
    return Fteid(int.from_bytes(data[1:5], "big"), _both(data, 5, v4, v6))


def _write_fteid(value: Fteid) -> bytes:
    if value.teid is None or value.address is None:
        flags = (2 if value.v6 else 1) | 4 | (8 if value.choose is not None else 0)
        return bytes((flags,)) + (b"" if value.choose is None else bytes((value.choose,)))
    flag = 1 if value.address.version == 4 else 2
    return bytes((flag,)) + value.teid.to_bytes(4, "big") + value.address.packed


def _read_ue(data: bytes) -> UeAddress:
    v6, v4, destination = (bool(data[0] & bit) for bit in (1, 2, 4))
    return UeAddress(_both(data, 1, v4, v6), destination)


def _write_ue(value: UeAddress) -> bytes:
    flags = (2 if value.address.version == 4 else 1) | (4 if value.destination else 0)
    return bytes((flags,)) + value.address.packed


def _read_outer(data: bytes) -> OuterHeader:
    if not data[0] & 3:
        raise ValueError("expected a GTP-U header")
    return OuterHeader(int.from_bytes(data[2:6], "big"), _both(data, 6, bool(data[0] & 1), bool(data[0] & 2)))


def _write_outer(value: OuterHeader) -> bytes:
    flag = 1 if value.address.version == 4 else 2
    return bytes((flag, 0)) + value.teid.to_bytes(4, "big") + value.address.packed


def _read_rates(data: bytes) -> Rates:
    if len(data) < 10:
        raise ValueError("expected 10 bytes")
    return Rates(int.from_bytes(data[:5], "big") * 1000, int.from_bytes(data[5:10], "big") * 1000)


def _write_rates(value: Rates) -> bytes:
    return b"".join((-(-one // 1000)).to_bytes(5, "big") for one in value)


def _read_volume(data: bytes) -> Volume:
    flags, at, found = data[0], 1, [0] * 6
    for index in range(6):  # total, up, down; then the same in packets
        if flags & 1 << index:
            found[index] = int.from_bytes(data[at : at + 8], "big")
            at += 8
    if at > len(data):
        raise ValueError("cut off")
    return Volume(found[1], found[2], found[4], found[5])


def _write_volume(value: Volume) -> bytes:
    up, down, packets_up, packets_down = value
    numbers = (up + down, up, down, packets_up + packets_down, packets_up, packets_down)
    return b"\x3f" + b"".join(one.to_bytes(8, "big") for one in numbers)


def _read_slice(data: bytes) -> tuple[int, int | None]:
    differentiator = int.from_bytes(data[1:4], "big")
    if len(data) < 4:
        raise ValueError("expected 4 bytes")
    return data[0], None if differentiator == 0xFFFFFF else differentiator


def _read_filter(data: bytes) -> str:
    """The text of a filter; other ways to name packets are not used on N4 of ours (8.2.5)."""
    if not data[0] & 1:
        raise ValueError("expected a flow description")
    size = int.from_bytes(data[2:4], "big")
    if len(data) < 4 + size:
        raise ValueError("cut off")
    return data[4 : 4 + size].decode("ascii")


def _write_filter(value: str) -> bytes:
    text = value.encode("ascii")
    return b"\x01\x00" + len(text).to_bytes(2, "big") + text


NODE = Codec(_read_node, _write_node)
LABELS = Codec(_labels, _write_labels)
FSEID = Codec(_read_fseid, _write_fseid)
FTEID = Codec(_read_fteid, _write_fteid)
UE_ADDRESS = Codec(_read_ue, _write_ue)
OUTER_HEADER = Codec(_read_outer, _write_outer)
RATES = Codec(_read_rates, _write_rates)
VOLUME = Codec(_read_volume, _write_volume)
SLICE = Codec(
    _read_slice, lambda value: bytes((value[0],)) + (0xFFFFFF if value[1] is None else value[1]).to_bytes(3, "big")
)
FILTER = Codec(_read_filter, _write_filter)
RAW = Codec(lambda data: data, lambda value: value)
