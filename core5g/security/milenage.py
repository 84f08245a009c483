"""MILENAGE, the functions f1 to f5 of a SIM and its home (3GPP TS 35.206)."""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from core5g.security.base import Answers
from core5g.security.octets import sized, xor

_AMF_SIZE, _SQN_SIZE, _SIZE = 2, 6, 16
_THRICE = 1 << 256 | 1 << 128 | 1
_C2_C3_C4 = 1 << 256 | 2 << 128 | 4
_C5 = 8
"""c1 is 0."""


@lru_cache(maxsize=16384)
def _aes(key: bytes) -> CipherContext:
    """A block cipher keeps nothing of what it has worked on, so one is enough for each key: 1 kB each."""
    return Cipher(AES(key), ECB()).encryptor()


def opc_of(key: bytes, op: bytes) -> bytes:
    """Return OPc, an operator's constant for one SIM.

    Args:
        key: K, 16 bytes. op: of the operator, 16 bytes.

    Raises:
        WrongSize: one of them has another size.
    """
    return xor(_aes(sized("K", key, _SIZE)).update(sized("OP", op, _SIZE)), op)


def _spread(block: bytes) -> int:
    """A block turned by r2, by r3 and by r4: 0, 32 and 64 bits."""
    return int.from_bytes(block + block[4:] + block[:4] + block[8:] + block[:8], "big")


class Milenage:
    """The functions for one SIM."""

    __slots__ = ("_before", "_block", "_first", "_last", "_opc")

    def __init__(self, key: bytes, opc: bytes) -> None:
        """Take the SIM's keys.

        Args:
            key: K, 16 bytes. opc: 16 bytes.

        Raises:
            WrongSize: one of them has another size.
        """
        self._block = _aes(sized("K", key, _SIZE)).update
        self._opc = int.from_bytes(sized("OPc", opc, _SIZE), "big")
        self._first = int.from_bytes(opc[8:] + opc[:8], "big")
        self._before = _spread(opc) ^ _C2_C3_C4
        self._last: tuple[bytes | None, bytes] = (None, b"")

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Return MAC-A, 8 bytes. Args: rand: 16 bytes. sqn: 6 bytes. amf: 2 bytes."""
        return self._codes(rand, sqn, amf)[:8]

    def f1s(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Return MAC-S (f1*), 8 bytes. Args: rand: 16 bytes. sqn: 6 bytes. amf: 2 bytes."""
        return self._codes(rand, sqn, amf)[8:]

    def f2345(self, rand: bytes) -> Answers:
        """Return RES (8 bytes), CK, IK and AK. Args: rand: 16 bytes."""
        # Three blocks in one go: with blocks this small it is the calls that take the time.
        mixed = self._block((_spread(self._temp(rand)) ^ self._before).to_bytes(3 * _SIZE, "big"))
        out = (int.from_bytes(mixed, "big") ^ self._opc * _THRICE).to_bytes(3 * _SIZE, "big")
        return Answers(res=out[8:16], ck=out[16:32], ik=out[32:], ak=out[:6])

    def f5s(self, rand: bytes) -> bytes:
        """Return AK of a resynchronisation (f5*), 6 bytes. Args: rand: 16 bytes."""
        mixed = (int.from_bytes(self._temp(rand), "big") ^ self._opc).to_bytes(_SIZE, "big")
        return self._out(int.from_bytes(mixed[12:] + mixed[:12], "big") ^ _C5)[:6]

    def _codes(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        if len(sqn) != _SQN_SIZE or len(amf) != _AMF_SIZE:
            sized("SQN", sqn, _SQN_SIZE)
            sized("AMF", amf, _AMF_SIZE)
        half = sqn + amf  # Turned by r1, 64 bits, two equal halves are what they were.
        temp = int.from_bytes(self._temp(rand), "big")
        return self._out(temp ^ int.from_bytes(half + half, "big") ^ self._first)

    def _out(self, value: int) -> bytes:
        block = self._block(value.to_bytes(_SIZE, "big"))
        return (int.from_bytes(block, "big") ^ self._opc).to_bytes(_SIZE, "big")

    def _temp(self, rand: bytes) -> bytes:
        """TEMP, which all functions begin with; that of the last RAND is kept."""
        last, temp = self._last
        if last != rand:
            sized("RAND", rand, _SIZE)
            temp = self._block((int.from_bytes(rand, "big") ^ self._opc).to_bytes(_SIZE, "big"))
            self._last = rand, temp
        return temp
