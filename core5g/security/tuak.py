"""TUAK, the other set of functions f1 to f5 of a SIM and its home, made of Keccak (3GPP TS 35.231)."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import shake_256

from core5g.security.base import Answers
from core5g.security.errors import WrongSize
from core5g.security.keccak import SIZE, permuted
from core5g.security.octets import sized
from testbed.errors import BadInput

_NAME = b"TUAK1.0"
_RATE = 136
"""Bytes of a state that padding ends in; 64 more follow."""
_USED = 102
"""Bytes of a state that results are taken from."""
_TOPC, _F1, _F1S, _F2345, _F5S = 0x00, 0x00, 0x80, 0x40, 0xC0
"""INSTANCE: which function it is."""
_LONG_KEY, _LONG_IK, _LONG_CK = 0x01, 0x02, 0x04
_LENGTH = {4: 0x00, 8: 0x08, 16: 0x10, 32: 0x20}
"""INSTANCE: how long MAC or RES is; only RES may have 4 bytes."""


def _checked(iterations: int) -> int:
    """Without any permutation the result would be the keys themselves."""
    if iterations < 1:
        raise BadInput(f"{iterations} iterations of TUAK's permutation: expected 1 at least")
    return iterations


@dataclass(frozen=True, slots=True)
class Shape:
    """What an operator chooses (TS 35.231, 5.1).

    Attributes:
        mac: bytes of MAC-A and MAC-S: 8, 16 or 32; 8 in 5GS. res: bytes of RES: 4, 8, 16 or 32; at most 16 in 5GS.
        ck, ik: bytes of CK and IK: 16 or 32. iterations: of the permutation, at least 1.
    """

    mac: int = 8
    res: int = 8
    ck: int = 16
    ik: int = 16
    iterations: int = 1

    def __post_init__(self) -> None:
        """Raises WrongSize or, for iterations, BadInput."""
        for name, size, sizes in (
            ("MAC", self.mac, (8, 16, 32)), ("RES", self.res, (4, 8, 16, 32)),
            ("CK", self.ck, (16, 32)), ("IK", self.ik, (16, 32)),
        ):  # fmt: skip
            if size not in sizes:
                raise WrongSize(name, size, sizes)
        _checked(self.iterations)


DEFAULT = Shape()


def topc_of(key: bytes, top: bytes, iterations: int = 1) -> bytes:
    """Return TOPc, an operator's constant for one SIM, 32 bytes.

    Args:
        key: K, 16 or 32 bytes. top: of the operator, 32 bytes. iterations: of the permutation.

    Raises:
        WrongSize: one of them has another size. BadInput: no iteration.
    """
    instance = _TOPC | _long(sized("K", key, 16, 32))
    return _keccak(sized("TOP", top, 32), instance, bytes(24), key, _checked(iterations))[:32][::-1]


class Tuak:
    """The functions for one SIM."""

    __slots__ = ("_answers", "_key", "_mac", "_shape", "_topc")

    def __init__(self, key: bytes, topc: bytes, shape: Shape = DEFAULT) -> None:
        """Take the SIM's keys.

        Args:
            key: K, 16 or 32 bytes. topc: 32 bytes. shape: sizes, and how often the permutation is applied.

        Raises:
            WrongSize: one of them has another size.
        """
        self._key, self._topc, self._shape = sized("K", key, 16, 32), sized("TOPc", topc, 32), shape
        self._mac = _LENGTH[shape.mac] | _long(key)
        self._answers = _F2345 | _LENGTH[shape.res] | _long(key)
        self._answers |= _LONG_CK * (shape.ck == 32) | _LONG_IK * (shape.ik == 32)

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Return MAC-A. Args: rand: 16 bytes. sqn: 6 bytes. amf: 2 bytes."""
        return self._code(_F1, rand, sqn, amf)

    def f1s(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Return MAC-S (f1*). Args: rand: 16 bytes. sqn: 6 bytes. amf: 2 bytes."""
        return self._code(_F1S, rand, sqn, amf)

    def f2345(self, rand: bytes) -> Answers:
        """Return RES, CK, IK and AK. Args: rand: 16 bytes."""
        out, shape = self._out(self._answers, rand, bytes(6), bytes(2)), self._shape
        return Answers(
            res=out[: shape.res][::-1], ck=out[32 : 32 + shape.ck][::-1], ik=out[64 : 64 + shape.ik][::-1],
            ak=out[96:102][::-1],
        )  # fmt: skip

    def f5s(self, rand: bytes) -> bytes:
        """Return AK of a resynchronisation (f5*), 6 bytes. Args: rand: 16 bytes."""
        return self._out(_F5S | _long(self._key), rand, bytes(6), bytes(2))[96:102][::-1]

    def _code(self, function: int, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        return self._out(function | self._mac, rand, sqn, amf)[: self._shape.mac][::-1]

    def _out(self, instance: int, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        if (len(rand), len(sqn), len(amf)) != (16, 6, 2):
            for name, value, size in (("RAND", rand, 16), ("SQN", sqn, 6), ("AMF", amf, 2)):
                sized(name, value, size)
        return _keccak(self._topc, instance, sqn + amf + rand, self._key, self._shape.iterations)


def _long(key: bytes) -> int:
    return _LONG_KEY if len(key) == 32 else 0


def _keccak(constant: bytes, instance: int, challenge: bytes, key: bytes, iterations: int) -> bytes:
    """Return the bytes of a state that results are taken from (TS 35.231, 6 and 7).

    Every field stands in it with its last byte first. The padding is that of SHAKE256, and so is what a single
    permutation makes of it; Python's own is a hundred times as fast as ours, which more than one permutation takes.
    """
    fields = constant[::-1] + bytes((instance,)) + _NAME[::-1] + challenge[::-1] + key[::-1].ljust(32, b"\0")
    if iterations == 1:
        return shake_256(fields).digest(_USED)
    state = ((fields + b"\x1f").ljust(_RATE - 1, b"\0") + b"\x80").ljust(SIZE, b"\0")
    for _ in range(iterations):
        state = permuted(state)
    return state[:_USED]
