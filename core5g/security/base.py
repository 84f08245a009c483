"""The contract of a SIM's algorithms (3GPP TS 33.102, 6.3 and annex B); `registry` lists those that keep it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answers:
    """What a SIM answers to a challenge: RES (4 to 32 bytes), CK and IK (16 or 32), AK (6); none is ever shown."""

    res: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)
    ak: bytes = field(repr=False)


class Algorithm(Protocol):
    """The functions of one SIM, with its keys in them. All raise WrongSize.

    Sizes: rand 16 bytes, sqn 6, amf 2.
    """

    def f1(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Return MAC-A, the code of a challenge: 8 bytes in 5GS."""
        ...

    def f1s(self, rand: bytes, sqn: bytes, amf: bytes) -> bytes:
        """Return MAC-S (f1*), the code of a resynchronisation: as long as MAC-A."""
        ...

    def f2345(self, rand: bytes) -> Answers:
        """Return RES, CK, IK, AK."""
        ...

    def f5s(self, rand: bytes) -> bytes:
        """Return AK of a resynchronisation (f5*), 6 bytes."""
        ...
