"""The contract of a SIM's algorithms: MILENAGE now; TUAK would be another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Answers:
    """What a SIM answers to a challenge: RES (4 to 16 bytes), CK and IK (16 or 32), AK (6); none is ever shown."""

    res: bytes = field(repr=False)
    ck: bytes = field(repr=False)
    ik: bytes = field(repr=False)
    ak: bytes = field(repr=False)


class Algorithm(Protocol):
    """The functions of one SIM, with its keys in them (TS 33.102, 6.3)."""

    def code(self, rand: bytes, sqn: bytes, amf: bytes, again: bool = False) -> bytes:
        """Return MAC-A; with `again` MAC-S; 8 bytes."""
        ...

    def answers(self, rand: bytes) -> Answers:
        """Return RES, CK, IK, AK."""
        ...

    def hidden(self, rand: bytes) -> bytes:
        """Return AK of a resynchronisation, 6 bytes."""
        ...
