"""Ciphering and integrity of NAS: NEA0 to NEA3, NIA0 to NIA3 (3GPP TS 33.501, annex D; TS 33.401, annex B)."""

from __future__ import annotations

from functools import lru_cache
from itertools import islice

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.cmac import CMAC

from core5g.security import snow3g, zuc

UPLINK, DOWNLINK = 0, 1
BEARER = 1
"""Of NAS over 3GPP access (TS 33.501, 6.4.3.1)."""
_POLYNOMIAL = 0x1B
"""x^4 + x^3 + x + 1, of UIA2's field of 2^64 elements."""


def cipher(algorithm: int, key: bytes, count: int, direction: int, data: bytes, *, bearer: int = BEARER) -> bytes:
    """Encrypt or, which is the same, decrypt.

    Args:
        algorithm: 0 none, 1 SNOW 3G, 2 AES, 3 ZUC. key: 16 bytes. count: NAS COUNT, 32 bits.
    """
    head = _head(count, direction, bearer)
    if algorithm == 0:
        return data
    if algorithm == 1:
        return _streamed(snow3g.words(key, head * 2), data)
    if algorithm == 2:
        return Cipher(AES(key), CTR(head + bytes(8))).encryptor().update(data)
    if algorithm == 3:
        return _streamed(zuc.words(key, head * 2), data)
    raise ValueError(f"NEA{algorithm} is not known")


def code(algorithm: int, key: bytes, count: int, direction: int, data: bytes, *, bearer: int = BEARER) -> bytes:
    """Return the 4 bytes that prove where data is from; of algorithm 0, which proves nothing, zeros.

    Args:
        algorithm: 0 none, 1 SNOW 3G, 2 AES, 3 ZUC. key: 16 bytes. count: NAS COUNT, 32 bits.
    """
    if algorithm == 0:
        return bytes(4)
    if algorithm == 1:
        return _uia2(key, count, direction, data, bearer << 27)
    if algorithm == 2:
        one = _cmac(key).copy()
        one.update(_head(count, direction, bearer) + data)
        return one.finalize()[:4]
    if algorithm == 3:
        return _eia3(key, count, direction, data, bearer)
    raise ValueError(f"NIA{algorithm} is not known")


@lru_cache(maxsize=4096)
def _cmac(key: bytes) -> CMAC:
    return CMAC(AES(key))


def _head(count: int, direction: int, bearer: int) -> bytes:
    return count.to_bytes(4, "big") + bytes((bearer << 3 | direction << 2, 0, 0, 0))


def _streamed(words: object, data: bytes) -> bytes:
    count = -(-len(data) // 4)
    stream = b"".join(one.to_bytes(4, "big") for one in islice(words, count))  # type: ignore[call-overload]
    size = len(data)
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream[:size], "big")).to_bytes(size, "big")


def _uia2(key: bytes, count: int, direction: int, data: bytes, fresh: int) -> bytes:
    """ETSI/SAGE, UEA2 and UIA2, document 1, 4; the bearer stands in FRESH (TS 33.401, B.2.2)."""
    vector = b"".join(
        one.to_bytes(4, "big") for one in (count, fresh, count ^ direction << 31, fresh ^ direction << 15)
    )
    z = list(islice(snow3g.words(key, vector), 5))
    p, q = z[0] << 32 | z[1], z[2] << 32 | z[3]
    value = 0
    for at in range(0, len(data), 8):
        value = _times(value ^ int.from_bytes(data[at : at + 8].ljust(8, b"\0"), "big"), p)
    value = _times(value ^ 8 * len(data), q)
    return (value >> 32 ^ z[4]).to_bytes(4, "big")


def _times(one: int, other: int) -> int:
    """Multiply in a field of 2^64 elements."""
    total = 0
    for bit in range(64):
        if other >> bit & 1:
            total ^= one
        one = (one << 1 ^ _POLYNOMIAL) & 2**64 - 1 if one >> 63 else one << 1
    return total


def _eia3(key: bytes, count: int, direction: int, data: bytes, bearer: int) -> bytes:
    """ETSI/SAGE, 128-EEA3 and 128-EIA3, document 1, 4."""
    half = count.to_bytes(4, "big") + bytes((bearer << 3, 0, 0, 0))
    other = bytearray(half)
    other[0] ^= direction << 7
    other[6] ^= direction << 7
    length = 8 * len(data)
    size = -(-length // 32) + 2
    stream = 0
    for one in islice(zuc.words(key, half + bytes(other)), size):
        stream = stream << 32 | one
    top = 32 * size - 32
    value = 0
    message = int.from_bytes(data, "big")
    for bit in range(length):
        if message >> length - 1 - bit & 1:
            value ^= stream >> top - bit
    value ^= stream >> top - length
    return ((value ^ stream) & 0xFFFFFFFF).to_bytes(4, "big")
