"""A challenge from both sides: what the home makes, what the SIM thinks of it.

3GPP TS 33.102, 6.3 and annex C; TS 33.501, 6.1.3.2.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field

from core5g.security import keys
from core5g.security.base import Algorithm
from core5g.security.errors import MacFailure, NotFor5gs, SyncFailure
from core5g.security.octets import sized, xor

INDEXES = 32
"""Sequence numbers end with an index of five bits; each index has its own last number (TS 33.102, C.3.2)."""
MOST = 2**48 - 1
_AHEAD = 2**28
"""How far a number may jump (TS 33.102, C.2.1): a wrong one must not use up all others."""
_SEPARATION = 0x80
"""First bit of AMF: for 5GS and EPS (TS 33.501, 6.1.3)."""
_DUMMY = bytes(2)
"""AMF of a resynchronisation (TS 33.102, 6.3.3)."""


@dataclass(frozen=True, slots=True)
class Vector:
    """What the home makes for a serving network (TS 33.501, 6.1.3.2).

    Attributes:
        rand, autn: the challenge, 16 bytes each. xres_star: the answer, 16 bytes; `keys.hres_star` is its hash.
        k_seaf: for the serving network, once it has the answer, 32 bytes. k_ausf: stays at home, 32 bytes.
    """

    rand: bytes
    autn: bytes
    xres_star: bytes = field(repr=False)
    k_seaf: bytes = field(repr=False)
    k_ausf: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What the SIM's phone makes of a challenge: its answer (16 bytes), and keys (32 bytes each)."""

    res_star: bytes = field(repr=False)
    k_seaf: bytes = field(repr=False)
    k_ausf: bytes = field(repr=False)


def vector(sim: Algorithm, rand: bytes, sqn: int, amf: bytes, network: bytes) -> Vector:
    """Return the home's vector for 5G-AKA.

    Args:
        rand: 16 random bytes. sqn: sequence number, 48 bits. amf: 2 bytes of the subscription; that it is for 5GS
            is added. network: name of the serving network.

    Raises:
        WrongSize: of `rand` or `amf`.
    """
    number = sqn.to_bytes(6, "big")
    sized("AMF", amf, 2)
    field_ = bytes((amf[0] | _SEPARATION, amf[1]))
    answers = sim.f2345(rand)
    hidden = xor(number, answers.ak)
    autn = hidden + field_ + sim.f1(rand, number, field_)
    ausf = keys.k_ausf(answers.ck, answers.ik, network, hidden)
    star = keys.res_star(answers.ck, answers.ik, network, rand, answers.res)
    return Vector(rand, autn, star, keys.k_seaf(ausf, network), ausf)


def resynchronised(sim: Algorithm, rand: bytes, auts: bytes) -> int:
    """Return the SIM's own sequence number.

    Args:
        auts: 14 bytes that it sent instead of an answer to `rand`.

    Raises:
        MacFailure: they are not of this SIM. WrongSize: of `rand`.
    """
    if len(auts) != 14:
        raise MacFailure
    number = xor(auts[:6], sim.f5s(rand))
    if not hmac.compare_digest(sim.f1s(rand, number, _DUMMY), auts[6:]):
        raise MacFailure
    return int.from_bytes(number, "big")


def following(sqn: int) -> int:
    """Return the sequence number after one: the next of the sequence, and the next index (TS 33.102, C.1.1.1)."""
    sequence, index = divmod(sqn, INDEXES)
    return ((sequence + 1) * INDEXES + (index + 1) % INDEXES) & MOST


class Usim:
    """A SIM: its algorithm, and the sequence numbers that it has seen.

    Attributes:
        last: highest number accepted; what `auts` tells the home.
    """

    __slots__ = ("_floor", "_seen", "_sim", "last")

    def __init__(self, sim: Algorithm, last: int = 0) -> None:
        self._sim, self.last = sim, last
        self._floor = last // INDEXES
        self._seen: dict[int, int] = {}

    def respond(self, rand: bytes, autn: bytes, network: bytes) -> Response:
        """Answer a challenge.

        Args:
            rand: 16 bytes. autn: 16 bytes. network: name of the serving network.

        Raises:
            MacFailure: it is not the home's. SyncFailure: it was used before. NotFor5gs: it is for 2G or 3G.
            WrongSize: of `rand`.
        """
        answers = self._sim.f2345(rand)
        if len(autn) != 16:
            raise MacFailure
        hidden, field_, code = autn[:6], autn[6:8], autn[8:]
        number = xor(hidden, answers.ak)
        if not hmac.compare_digest(self._sim.f1(rand, number, field_), code):
            raise MacFailure
        if not self._fresh(int.from_bytes(number, "big")):
            raise SyncFailure(self._auts(rand))
        if not field_[0] & _SEPARATION:
            raise NotFor5gs
        ausf = keys.k_ausf(answers.ck, answers.ik, network, hidden)
        star = keys.res_star(answers.ck, answers.ik, network, rand, answers.res)
        return Response(star, keys.k_seaf(ausf, network), ausf)

    def _fresh(self, sqn: int) -> bool:
        sequence, index = divmod(sqn, INDEXES)
        if sequence <= self._seen.get(index, self._floor) or sequence - self.last // INDEXES > _AHEAD:
            return False
        self._seen[index] = sequence
        self.last = max(self.last, sqn)
        return True

    def _auts(self, rand: bytes) -> bytes:
        number = self.last.to_bytes(6, "big")
        return xor(number, self._sim.f5s(rand)) + self._sim.f1s(rand, number, _DUMMY)
