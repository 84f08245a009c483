"""Values of NAS information elements (3GPP TS 24.501, 9.11; identities of TS 23.003).

Each codec reads the value part of an element, without tag and length, and raises ValueError or IndexError where it is
none. What a codec does not read it refuses: nothing is dropped silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import IntEnum
from ipaddress import IPv4Address
from typing import NamedTuple

from core5g.nas.fields import Codec


class Identities(IntEnum):
    """Types of 5GS mobile identities (9.11.3.4)."""

    NONE = 0
    SUCI = 1
    GUTI = 2
    IMEI = 3
    S_TMSI = 4
    IMEISV = 5


class Snssai(NamedTuple):
    """A slice: service type 0 to 255 and differentiator, 0 to 0xfffffe, None where it has none (9.11.2.8)."""

    sst: int
    sd: int | None = None

    def __str__(self) -> str:
        return f"{self.sst}" if self.sd is None else f"{self.sst}-{self.sd:06x}"


class Tai(NamedTuple):
    """A tracking area: PLMN as digits, code of 24 bits."""

    plmn: str
    tac: int

    def __str__(self) -> str:
        return f"{self.plmn}-{self.tac}"


class Guti(NamedTuple):
    """A temporary identity: which AMF gave it (region 8 bits, set 10, pointer 6), and what it is (32 bits)."""

    plmn: str
    region: int
    set: int
    pointer: int
    tmsi: int

    @property
    def short(self) -> STmsi:
        """What of it is unique in its AMF's set."""
        return STmsi(self.set, self.pointer, self.tmsi)


class STmsi(NamedTuple):
    """The short form of a temporary identity (5G-S-TMSI)."""

    set: int
    pointer: int
    tmsi: int


class Suci(NamedTuple):
    """A concealed IMSI (TS 23.003, 2.2B).

    Attributes:
        plmn: as digits. routing: indicator, 1 to 4 digits. scheme: 0 null, 1 profile A, 2 profile B.
        key: of the home network, 0 to 255. output: of the scheme; of the null scheme the MSIN's digits in BCD.
    """

    plmn: str
    routing: str
    scheme: int
    key: int
    output: bytes


class Imei(NamedTuple):
    """An equipment's identity, 15 digits, or 16 with its software version."""

    digits: str


class NoIdentity(NamedTuple):
    """What a UE without any identity says."""


Identity = Suci | Guti | STmsi | Imei | NoIdentity


def plmn_bytes(plmn: str) -> bytes:
    """Return a PLMN of 5 or 6 digits as 3 bytes (TS 24.501, 9.11.3.4)."""
    mcc, mnc = plmn[:3], plmn[3:]
    third = int(mnc[2]) if len(mnc) == 3 else 15
    return bytes((
        int(mcc[1]) << 4 | int(mcc[0]),
        third << 4 | int(mcc[2]),
        int(mnc[1]) << 4 | int(mnc[0]),
    ))  # fmt: skip


def plmn_text(data: bytes) -> str:
    """Return the digits of a PLMN's 3 bytes.

    Raises:
        ValueError: they are no digits.
    """
    if len(data) != 3:
        raise ValueError("a PLMN has 3 bytes")
    digits = [data[0] & 15, data[0] >> 4, data[1] & 15, data[2] & 15, data[2] >> 4]
    if data[1] >> 4 != 15:
        digits.append(data[1] >> 4)
    if max(digits) > 9:
        raise ValueError("a PLMN has decimal digits")
    return "".join(map(str, digits))


def bcd(digits: str) -> bytes:
    """Return decimal digits, two a byte, the first in the lower half, filled up with 1111."""
    padded = digits if len(digits) % 2 == 0 else digits + "f"
    return bytes(int(padded[at + 1], 16) << 4 | int(padded[at], 16) for at in range(0, len(padded), 2))


def digits_of(data: bytes) -> str:
    """Return the decimal digits that `bcd` wrote.

    Raises:
        ValueError: they are no digits.
    """
    halves = [half for byte in data for half in (byte & 15, byte >> 4)]
    if halves and halves[-1] == 15:
        halves.pop()
    if any(half > 9 for half in halves):
        raise ValueError("expected decimal digits")
    return "".join(map(str, halves))


def _read_identity(data: bytes) -> Identity:
    kind = data[0] & 7
    if kind == Identities.SUCI:
        return _read_suci(data)
    if kind == Identities.GUTI and len(data) == 11:
        return Guti(plmn_text(data[1:4]), data[4], *_pointer(data[5:7]), int.from_bytes(data[7:], "big"))
    if kind == Identities.S_TMSI and len(data) == 7:
        return STmsi(*_pointer(data[1:3]), int.from_bytes(data[3:], "big"))
    if kind in (Identities.IMEI, Identities.IMEISV):
        return _read_imei(data)
    if kind == Identities.NONE:
        return NoIdentity()
    raise ValueError(f"identity of type {kind} and {len(data)} bytes")


def _read_suci(data: bytes) -> Suci:
    if data[0] >> 4 & 7 or len(data) < 8:
        raise ValueError("expected a SUCI made of an IMSI")  # the other kinds are network specific names
    routing = digits_of(data[4:6].rstrip(b"\xff")) or "0"
    return Suci(plmn_text(data[1:4]), routing, data[6] & 15, data[7], data[8:])


def _read_imei(data: bytes) -> Imei:
    digits = str(data[0] >> 4) + digits_of(data[1:])
    if len(digits) != (15 if data[0] & 7 == Identities.IMEI else 16):
        raise ValueError("expected an IMEI of 15 digits or an IMEISV of 16")
    return Imei(digits)


def _pointer(data: bytes) -> tuple[int, int]:
    """The AMF's set and pointer."""
    both = int.from_bytes(data, "big")
    return both >> 6, both & 63


def _write_identity(value: Identity) -> bytes:
    match value:
        case Suci():
            routing = bcd(value.routing).ljust(2, b"\xff")
            head = bytes((Identities.SUCI,)) + plmn_bytes(value.plmn) + routing
            return head + bytes((value.scheme, value.key)) + value.output
        case Guti():
            head = bytes((0xF0 | Identities.GUTI,)) + plmn_bytes(value.plmn) + bytes((value.region,))
            return head + (value.set << 6 | value.pointer).to_bytes(2, "big") + value.tmsi.to_bytes(4, "big")
        case STmsi():
            head = bytes((0xF0 | Identities.S_TMSI,))
            return head + (value.set << 6 | value.pointer).to_bytes(2, "big") + value.tmsi.to_bytes(4, "big")
        case Imei():
            kind = Identities.IMEI if len(value.digits) == 15 else Identities.IMEISV
            odd = 8 if len(value.digits) % 2 else 0
            return bytes((int(value.digits[0]) << 4 | odd | kind,)) + bcd(value.digits[1:])
        case NoIdentity():
            return bytes((Identities.NONE,))


def _read_snssai(data: bytes) -> Snssai:
    """Lengths 2, 5 and 8 have a mapped slice of another network behind, which is left out (9.11.2.8)."""
    if len(data) not in (1, 2, 4, 5, 8):
        raise ValueError("expected an S-NSSAI of 1, 2, 4, 5 or 8 bytes")
    sd = int.from_bytes(data[1:4], "big") if len(data) >= 4 else 0xFFFFFF
    return Snssai(data[0], None if sd == 0xFFFFFF else sd)


def _write_snssai(value: Snssai) -> bytes:
    return bytes((value.sst,)) + (b"" if value.sd is None else value.sd.to_bytes(3, "big"))


def _read_nssai(data: bytes) -> tuple[Snssai, ...]:
    return tuple(_read_snssai(part) for part in _lengths(data))


def _lengths(data: bytes) -> Iterator[bytes]:
    """Parts that each have a byte of length before them."""
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise ValueError("cut off")
        yield data[at + 1 : end]
        at = end


def _write_nssai(value: Iterable[Snssai]) -> bytes:
    return b"".join(bytes((len(part),)) + part for part in map(_write_snssai, value))


class RejectedSlice(NamedTuple):
    """A slice that the UE does not get: cause 0 in this PLMN, 1 in this registration area, 2 authentication failed."""

    slice: Snssai
    cause: int


def _read_rejected(data: bytes) -> tuple[RejectedSlice, ...]:
    found = []
    at = 0
    while at < len(data):
        end = at + 1 + (data[at] >> 4)
        found.append(RejectedSlice(_read_snssai(data[at + 1 : end]), data[at] & 15))
        at = end
    return tuple(found)


def _write_rejected(value: Iterable[RejectedSlice]) -> bytes:
    parts = ((one.cause, _write_snssai(one.slice)) for one in value)
    return b"".join(bytes((len(part) << 4 | cause,)) + part for cause, part in parts)


def _read_areas(data: bytes) -> tuple[Tai, ...]:
    """All three kinds of partial lists (9.11.3.9): codes of one PLMN, a run of codes, whole TAIs."""
    found: list[Tai] = []
    at = 0
    while at < len(data):
        kind, count = data[at] >> 5 & 3, (data[at] & 31) + 1
        at += 1
        size = {0: 3 + 3 * count, 1: 6, 2: 6 * count}.get(kind, 0)
        part = data[at : at + size]
        if not size or len(part) != size:
            raise ValueError("expected a list of tracking areas")
        found += _areas(kind, count, part)
        at += size
    return tuple(found)


def _areas(kind: int, count: int, part: bytes) -> Iterator[Tai]:
    if kind == 2:
        for at in range(0, len(part), 6):
            yield Tai(plmn_text(part[at : at + 3]), int.from_bytes(part[at + 3 : at + 6], "big"))
        return
    plmn = plmn_text(part[:3])
    first = int.from_bytes(part[3:6], "big")
    for index in range(count):
        code = first + index if kind == 1 else int.from_bytes(part[3 + 3 * index : 6 + 3 * index], "big")
        yield Tai(plmn, code)


def _write_areas(value: tuple[Tai, ...]) -> bytes:
    if not 1 <= len(value) <= 16:
        raise ValueError("expected 1 to 16 tracking areas")
    return bytes((2 << 5 | len(value) - 1,)) + b"".join(
        plmn_bytes(one.plmn) + one.tac.to_bytes(3, "big") for one in value
    )


def _read_area(data: bytes) -> Tai:
    return Tai(plmn_text(data[:3]), int.from_bytes(data[3:6], "big"))


class Capability(NamedTuple):
    """Algorithms that a UE has, one bit each, algorithm 0 the highest (9.11.3.54); `more` is what follows, of EPS."""

    ciphering: int
    integrity: int
    more: bytes = b""


def _read_capability(data: bytes) -> Capability:
    return Capability(data[0], data[1], data[2:])


def _write_capability(value: Capability) -> bytes:
    return bytes((value.ciphering, value.integrity)) + value.more


_TIMER_3 = ((320 * 3600, 6), (10 * 3600, 2), (3600, 1), (600, 0), (60, 5), (30, 4), (2, 3))
"""Seconds and code of each unit of GPRS timer 3 (TS 24.008, 10.5.7.4a)."""
_TIMER_2 = ((360, 2), (60, 1), (2, 0))
"""Of GPRS timer 2 (TS 24.008, 10.5.7.4)."""


def _timer(units: tuple[tuple[int, int], ...]) -> Codec[int | None]:
    """Seconds; None means never (the timer is deactivated). What no unit has exactly becomes the next longer value."""

    def read(data: bytes) -> int | None:
        code = data[0] >> 5
        if code == 7:
            return None
        seconds = next((seconds for seconds, one in units if one == code), 60)  # others count minutes
        return seconds * (data[0] & 31)

    def write(value: int | None) -> bytes:
        if value is None:
            return b"\xe0"
        unit, code = min(
            (one for one in units if -(-value // one[0]) <= 31), key=lambda one: -(-value // one[0]) * one[0]
        )
        return bytes((code << 5 | -(-value // unit),))

    return Codec(read, write)


class Addresses(NamedTuple):
    """What a PDU session's UE gets: an IPv4 address, the lower 64 bits of its link-local IPv6 address, or both."""

    v4: IPv4Address | None = None
    v6: int | None = None


def _read_addresses(data: bytes) -> Addresses:
    kind = data[0] & 7
    sizes = {1: 5, 2: 9, 3: 13}
    if kind not in sizes or len(data) != sizes[kind]:
        raise ValueError("expected a PDU address")
    v6 = int.from_bytes(data[1:9], "big") if kind != 1 else None
    return Addresses(IPv4Address(data[-4:]) if kind != 2 else None, v6)


def _write_addresses(value: Addresses) -> bytes:
    kind = (value.v4 is not None) + 2 * (value.v6 is not None)
    v6 = b"" if value.v6 is None else value.v6.to_bytes(8, "big")
    return bytes((kind,)) + v6 + (b"" if value.v4 is None else value.v4.packed)


class Ambr(NamedTuple):
    """A session's aggregate rate, bit/s."""

    downlink: int
    uplink: int


def _read_ambr(data: bytes) -> Ambr:
    if len(data) != 6:
        raise ValueError("expected a session AMBR of 6 bytes")
    return Ambr(rate(data[:3]), rate(data[3:]))


def rate(data: bytes) -> int:
    """Units are 4 to the power of n kbit/s, in every fifth multiplied by 1000 instead of 1024 (9.11.4.14)."""
    if not data[0]:
        raise ValueError("expected a unit of rates")
    group, step = divmod(min(data[0], 25) - 1, 5)
    return int.from_bytes(data[1:], "big") * 1000 ** (group + 1) * 4**step


def rate_bytes(rate: int) -> bytes:
    for unit in range(1, 26):
        group, step = divmod(unit - 1, 5)
        size = 1000 ** (group + 1) * 4**step
        if rate <= size * 0xFFFF:
            return bytes((unit,)) + max(1, -(-rate // size)).to_bytes(2, "big")
    raise ValueError("expected a rate below 16 Ebit/s")


def _write_ambr(value: Ambr) -> bytes:
    return rate_bytes(value.downlink) + rate_bytes(value.uplink)


def _read_dnn(data: bytes) -> str:
    """Labels with their lengths, as in the DNS (TS 23.003, 9.1)."""
    return ".".join(label.decode("ascii") for label in _lengths(data))


def _write_dnn(value: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode("ascii") for label in value.split("."))


def _read_sessions(data: bytes) -> frozenset[int]:
    """PDU sessions by one bit each; the first byte has 0 to 7 (9.11.3.44)."""
    bits = data[0] | data[1] << 8
    return frozenset(one for one in range(16) if bits >> one & 1)


def _write_sessions(value: Iterable[int]) -> bytes:
    return sum(1 << one for one in value).to_bytes(2, "little")


def _read_causes(data: bytes) -> tuple[tuple[int, int], ...]:
    return tuple((data[at], data[at + 1]) for at in range(0, len(data), 2))


def _write_causes(value: Iterable[tuple[int, int]]) -> bytes:
    return b"".join(bytes(pair) for pair in value)


def _read_name(data: bytes) -> str:
    """A network's name in UCS-2 or in the 7-bit alphabet of TS 23.038, packed (TS 24.008, 10.5.3.5a)."""
    coding, spare = data[0] >> 4 & 7, data[0] & 7
    if coding == 1:
        return data[1:].decode("utf-16-be")
    bits = int.from_bytes(data[1:], "little")
    count = (8 * len(data[1:]) - spare) // 7
    return "".join(chr(bits >> 7 * at & 127) for at in range(count))


def _write_name(value: str) -> bytes:
    return b"\x90" + value.encode("utf-16-be")


def _raw(size: int | None = None) -> Codec[bytes]:
    def read(data: bytes) -> bytes:
        if size is not None and len(data) != size:
            raise ValueError(f"expected {size} bytes")
        return data

    return Codec(read, lambda value: value)


def _read_number(data: bytes) -> int:
    if len(data) != 1:
        raise ValueError("expected one byte")
    return data[0]


IDENTITY = Codec(_read_identity, _write_identity)
SNSSAI = Codec(_read_snssai, _write_snssai)
NSSAI = Codec(_read_nssai, _write_nssai)
REJECTED = Codec(_read_rejected, _write_rejected)
AREAS = Codec(_read_areas, _write_areas)
AREA = Codec(_read_area, lambda value: plmn_bytes(value.plmn) + value.tac.to_bytes(3, "big"))
CAPABILITY = Codec(_read_capability, _write_capability)
TIMER_3 = _timer(_TIMER_3)
TIMER_2 = _timer(_TIMER_2)
ADDRESSES = Codec(_read_addresses, _write_addresses)
AMBR = Codec(_read_ambr, _write_ambr)
DNN = Codec(_read_dnn, _write_dnn)
SESSIONS = Codec(_read_sessions, _write_sessions)
CAUSES = Codec(_read_causes, _write_causes)
NAME = Codec(_read_name, _write_name)
NUMBER = Codec(_read_number, lambda value: bytes((value,)))
RAW = _raw()
RAND = _raw(16)
AUTS = _raw(14)
ABBA = Codec(lambda data: data if len(data) >= 2 else _refuse("an ABBA of 2 bytes or more"), lambda value: value)
TWO = _raw(2)


def _refuse(what: str) -> bytes:
    raise ValueError(f"expected {what}")
