"""MILENAGE, the functions f1 to f5 of a SIM and its home (3GPP TS 35.206)."""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from core5g.security.base import Answers

_C = tuple((1 << index).to_bytes(16, "big") if index >= 0 else bytes(16) for index in (-1, 0, 1, 2, 3))
_ROTATED = (8, 0, 4, 8, 12)
"""Bytes: r1 to r5 are 64, 0, 32, 64, 96 bits."""


@lru_cache(maxsize=65536)
def _aes(key: bytes) -> CipherContext:
    """A block cipher keeps nothing of what it has worked on, so one is enough for each key."""
    return Cipher(AES(key), ECB()).encryptor()


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(16, "big")


def opc_of(key: bytes, op: bytes) -> bytes:
    """Return OPc, an operator's constant for one SIM.

    Args:
        key: K, 16 bytes. op: of the operator, 16 bytes.
    """
    return _xor(_aes(key).update(op), op)


class Milenage:
    """The functions for one SIM."""

    def __init__(self, key: bytes, opc: bytes) -> None:
        """Args: key: K, 16 bytes. opc: 16 bytes."""
        self._block = _aes(key).update
        self._opc = opc

    def code(self, rand: bytes, sqn: bytes, amf: bytes, again: bool = False) -> bytes:
        """Return MAC-A (f1), 8 bytes; with `again` MAC-S (f1*), for a resynchronisation.

        Args:
            rand: 16 bytes. sqn: 6 bytes. amf: 2 bytes.
        """
        temp = self._block(_xor(rand, self._opc))
        out = self._out(0, _xor(sqn + amf + sqn + amf, self._opc), temp)
        return out[8:] if again else out[:8]

    def answers(self, rand: bytes) -> Answers:
        """Return RES, CK, IK and AK (f2 to f5)."""
        temp = _xor(self._block(_xor(rand, self._opc)), self._opc)
        second = self._out(1, temp)
        return Answers(res=second[8:], ck=self._out(2, temp), ik=self._out(3, temp), ak=second[:6])

    def hidden(self, rand: bytes) -> bytes:
        """Return AK of a resynchronisation (f5*), 6 bytes."""
        return self._out(4, _xor(self._block(_xor(rand, self._opc)), self._opc))[:6]

    def _out(self, number: int, value: bytes, before: bytes = bytes(16)) -> bytes:
        by = _ROTATED[number]
        rotated = _xor(value[by:] + value[:by], _C[number])
        return _xor(self._block(_xor(rotated, before)), self._opc)
