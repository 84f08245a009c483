"""Ciphering and integrity: NEA0 to NEA3, NIA0 to NIA3 (3GPP TS 33.501, annex D; TS 33.401, annex B)."""

from __future__ import annotations

import threading
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.cmac import CMAC

from core5g.security import snow3g, zuc
from core5g.security.errors import UnknownAlgorithm
from core5g.security.octets import sized

UPLINK, DOWNLINK = 0, 1
BEARER = 1
"""Of NAS over 3GPP access (TS 33.501, 6.4.3.1)."""
_KEY_SIZE = 16
_KEPT = 16384
"""Keys whose schedules are kept, about 1 kB each."""


def cipher(algorithm: int, key: bytes, count: int, direction: int, data: bytes, *, bearer: int = BEARER) -> bytes:
    """Encrypt or, which is the same, decrypt.

    Args:
        algorithm: 0 none, 1 SNOW 3G, 2 AES, 3 ZUC. key: 16 bytes. count: NAS or PDCP COUNT, 32 bits.
        direction: UPLINK or DOWNLINK. bearer: 5 bits.

    Raises:
        UnknownAlgorithm: there is no such number. WrongSize: of the key.
    """
    if algorithm == 2:
        context = _contexts.of(key)
        context.reset_nonce(_head(count, direction, bearer) + bytes(8))
        return context.update(data)
    if algorithm == 0:
        return data
    if algorithm == 1:
        return snow3g.uea2(sized("key", key, _KEY_SIZE), count, bearer, direction, data)
    if algorithm == 3:
        return zuc.eea3(sized("key", key, _KEY_SIZE), count, bearer, direction, data)
    raise UnknownAlgorithm(f"NEA{algorithm}", [f"NEA{one}" for one in range(4)])


def code(algorithm: int, key: bytes, count: int, direction: int, data: bytes, *, bearer: int = BEARER) -> bytes:
    """Return the 4 bytes that prove where data is from; of algorithm 0, which proves nothing, zeros.

    Args:
        algorithm: 0 none, 1 SNOW 3G, 2 AES, 3 ZUC. key: 16 bytes. count: NAS or PDCP COUNT, 32 bits.
        direction: UPLINK or DOWNLINK. bearer: 5 bits.

    Raises:
        UnknownAlgorithm: there is no such number. WrongSize: of the key.
    """
    if algorithm == 2:
        one = _cmac(key).copy()
        one.update(_head(count, direction, bearer) + data)
        return one.finalize()[:4]
    if algorithm == 0:
        return bytes(4)
    if algorithm == 1:
        return snow3g.uia2(sized("key", key, _KEY_SIZE), count, bearer << 27, direction, data)
    if algorithm == 3:
        return zuc.eia3(sized("key", key, _KEY_SIZE), count, bearer, direction, data)
    raise UnknownAlgorithm(f"NIA{algorithm}", [f"NIA{one}" for one in range(4)])


def _head(count: int, direction: int, bearer: int) -> bytes:
    return count.to_bytes(4, "big") + bytes((bearer << 3 | direction << 2, 0, 0, 0))


@lru_cache(_KEPT)
def _cmac(key: bytes) -> CMAC:
    return CMAC(AES(sized("key", key, _KEY_SIZE)))


class _Contexts(threading.local):
    """AES in counter mode by key. A context has a state, so each thread has its own."""

    def __init__(self) -> None:
        self.of = lru_cache(_KEPT)(_context)


def _context(key: bytes) -> CipherContext:
    return Cipher(AES(sized("key", key, _KEY_SIZE)), CTR(bytes(16))).encryptor()


_contexts = _Contexts()
