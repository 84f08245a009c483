"""Headers of GTP-U (3GPP TS 29.281, 5) with the PDU session container of NR (TS 38.415, 5.5.2)."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

PORT = 2152
ECHO_REQUEST, ECHO_RESPONSE, ERROR_INDICATION, END_MARKER, PACKET = 1, 2, 26, 254, 255
_CONTAINER = 0x85
"""Type of the extension that has a QFI."""
_DOWNLINK, _UPLINK = 0x00, 0x10
"""First byte of the container: PDU types 0 and 1."""
_TEID, _PEER = 16, 133
"""Types of the elements of an error indication (8)."""
_HEAD = struct.Struct("!BBHI")
_FLAGS, _EXTENDED = 0x30, 0x34

Buffer = bytes | bytearray | memoryview


class Received(NamedTuple):
    """A GTP-U message.

    Attributes:
        at, end: where what it carries begins and ends. qfi: None without a container. sequence: 0 without one.
    """

    kind: int
    teid: int
    at: int
    end: int
    qfi: int | None = None
    sequence: int = 0


def head(teid: int, size: int, qfi: int | None, downlink: bool) -> bytes:
    """Return what stands before a user's packet of `size` bytes; without a QFI, no container."""
    if qfi is None:
        return _HEAD.pack(_FLAGS, PACKET, size, teid)
    container = bytes((0, 0, 0, _CONTAINER, 1, _DOWNLINK if downlink else _UPLINK, qfi, 0))
    return _HEAD.pack(_EXTENDED, PACKET, size + 8, teid) + container


def read(data: Buffer, end: int | None = None) -> Received | None:
    """Return what a datagram is; None where it is no GTP-U that can be taken.

    Args:
        end: of the datagram in `data`.
    """
    end = len(data) if end is None else end
    if end < 8:
        return None
    flags, kind, length, teid = _HEAD.unpack_from(data)
    if flags >> 4 != 3 or 8 + length > end:
        return None
    if not flags & 7:
        return Received(kind, teid, 8, 8 + length)
    if length < 4:
        return None
    sequence = data[8] << 8 | data[9] if flags & 2 else 0
    found = Received(kind, teid, 12, 8 + length, None, sequence)
    return _extended(data, found, data[11] if flags & 4 else 0)


def _extended(data: Buffer, found: Received, kind: int) -> Received | None:
    """Go over extension headers, which say how long they are in fours of bytes and what comes next."""
    at, end, qfi = found.at, found.end, None
    while kind:
        if at >= end or not data[at] or at + 4 * data[at] > end:
            return None
        if kind == _CONTAINER:
            qfi = data[at + 2] & 63
        at += 4 * data[at]
        kind = data[at - 1]
    return found._replace(at=at, qfi=qfi)


def read_error(data: Buffer) -> tuple[int, IPv4Address | IPv6Address] | None:
    """Return which tunnel is not there, and where; None where elements are missing or wrong.

    Args:
        data: what an error indication carries.
    """
    if len(data) < 8 or data[0] != _TEID or data[5] != _PEER:
        return None
    size = data[6] << 8 | data[7]
    if size not in (4, 16) or len(data) < 8 + size:
        return None
    return int.from_bytes(data[1:5], "big"), ip_address(bytes(data[8 : 8 + size]))


def echo_response(sequence: int) -> bytes:
    """Return the answer to an echo request: with its sequence number, and a recovery counter, which is always 0."""
    return _HEAD.pack(0x32, ECHO_RESPONSE, 6, 0) + sequence.to_bytes(2, "big") + b"\0\0\x0e\0"


def error_indication(teid: int, address: IPv4Address | IPv6Address) -> bytes:
    """Return what is said to who sends into a tunnel that is not there (7.3.1).

    Args:
        teid: that was sent to. address: where it was sent to.
    """
    peer = address.packed
    body = bytes((_TEID,)) + teid.to_bytes(4, "big") + bytes((_PEER,)) + len(peer).to_bytes(2, "big") + peer
    return _HEAD.pack(0x32, ERROR_INDICATION, 4 + len(body), 0) + bytes(4) + body


def end_marker(teid: int) -> bytes:
    """Return what says that no more comes by this tunnel (7.3.2)."""
    return _HEAD.pack(_FLAGS, END_MARKER, 0, teid)
