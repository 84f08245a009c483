"""What an AMF is told."""

from __future__ import annotations

from dataclasses import dataclass

from core5g.nas.values import Guti, Snssai, Tai


@dataclass(frozen=True, slots=True)
class AmfConfig:
    """An AMF.

    Attributes:
        plmns: that it serves, as digits; the first is in its own identity. region, set, pointer: the rest of that.
        areas: tracking areas that it serves. slices: that it has.
        ciphering, integrity: algorithms, the best first. periodic: seconds between signs of life (T3512).
        capacity: relative to other AMFs of its set, 0 to 255. most: UEs registered at once.
    """

    name: str
    plmns: tuple[str, ...]
    areas: frozenset[Tai]
    slices: tuple[Snssai, ...]
    region: int = 2
    set: int = 1
    pointer: int = 0
    ciphering: tuple[int, ...] = (2, 1, 3, 0)
    integrity: tuple[int, ...] = (2, 1, 3)
    periodic: int = 3240
    capacity: int = 255
    most: int = 100_000

    def guti(self, tmsi: int) -> Guti:
        """Return a temporary identity of this AMF."""
        return Guti(self.plmns[0], self.region, self.set, self.pointer, tmsi)
