"""The bytes of STAMP Test packets, unauthenticated mode (RFC 8762 4.2.1 and 4.3.1, RFC 8972 3 for the SSID)."""

from __future__ import annotations

import struct
from math import ceil
from typing import NamedTuple

PORT = 862
BASE_SIZE = 44
_SENDER = struct.Struct("!IQHH28x")
_REFLECTOR = struct.Struct("!IQHHQIQHxxB3x")
_NTP_EPOCH = 2_208_988_800
_BILLION = 1_000_000_000


class SenderPacket(NamedTuple):
    """What a Session-Sender sends. Times are Unix nanoseconds."""

    sequence: int
    time: int
    error_estimate: int
    ssid: int


class ReflectorPacket(NamedTuple):
    """What a Session-Reflector answers. Times are Unix nanoseconds."""

    sequence: int
    time: int
    error_estimate: int
    ssid: int
    receive_time: int
    sender_sequence: int
    sender_time: int
    sender_error_estimate: int
    sender_ttl: int


def to_ntp(nanoseconds: int) -> int:
    """Unix nanoseconds as a 64-bit NTP timestamp (RFC 5905 6: 32 bits of seconds since 1900, 32 of fraction)."""
    seconds, rest = divmod(nanoseconds, _BILLION)
    fraction = ((rest << 32) + _BILLION // 2) // _BILLION
    return ((seconds + _NTP_EPOCH << 32) + fraction) & 0xFFFF_FFFF_FFFF_FFFF


def from_ntp(timestamp: int) -> int:
    """A 64-bit NTP timestamp as Unix nanoseconds; one without the top bit is of the era that starts in 2036."""
    era = 0 if timestamp >> 63 else 1 << 32
    seconds = (timestamp >> 32) + era - _NTP_EPOCH
    return seconds * _BILLION + (((timestamp & 0xFFFF_FFFF) * _BILLION + (1 << 31)) >> 32)


def error_estimate(seconds: float, synchronised: bool = False) -> int:
    """Error Estimate field (RFC 4656 4.1.2): S, Z = 0 for NTP format, 6 bits scale, 8 bits multiplier, never zero.

    Args:
        seconds: how far the clock may be off; rounded up to what the field can say.
        synchronised: the clock follows UTC from an external source (the S bit).
    """
    units, scale = max(1, ceil(seconds * 2**32)), 0
    while units > 0xFF:
        units, scale = (units + 1) >> 1, scale + 1
    return synchronised << 15 | scale << 8 | units


def pack_sender(packet: SenderPacket, size: int) -> bytes:
    """Write a Session-Sender Test packet, zero-padded to `size` bytes."""
    fixed = _SENDER.pack(packet.sequence, to_ntp(packet.time), packet.error_estimate, packet.ssid)
    return fixed.ljust(size, b"\0")


def unpack_sender(data: bytes) -> SenderPacket | None:
    """Read a Session-Sender Test packet; None when it is too short to be one."""
    if len(data) < BASE_SIZE:
        return None
    sequence, timestamp, estimate, ssid = _SENDER.unpack_from(data)
    return SenderPacket(sequence, from_ntp(timestamp), estimate, ssid)


def reflect(data: bytes, *, sequence: int, received: int, ttl: int, estimate: int, transmitted: int) -> bytes:
    """Answer a Session-Sender packet: its own fields copied bit for bit, the size kept (RFC 8762 4.3)."""
    sender_sequence, timestamp, sender_estimate, ssid = _SENDER.unpack_from(data)
    fixed = _REFLECTOR.pack(
        sequence,
        to_ntp(transmitted),
        estimate,
        ssid,
        to_ntp(received),
        sender_sequence,
        timestamp,
        sender_estimate,
        ttl,
    )
    return fixed + data[BASE_SIZE:]


def unpack_reflector(data: bytes) -> ReflectorPacket | None:
    """Read a Session-Reflector Test packet; None when it is too short to be one."""
    if len(data) < BASE_SIZE:
        return None
    sequence, time, estimate, ssid, received, number, sent, sent_estimate, ttl = _REFLECTOR.unpack_from(data)
    return ReflectorPacket(
        sequence, from_ntp(time), estimate, ssid, from_ntp(received), number, from_ntp(sent), sent_estimate, ttl
    )
