"""What gNBs and UEs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from core5g.nas.values import Capability, Snssai, Tai
from core5g.security.base import Algorithm

ALL = Capability(0xF0, 0xF0)
"""A UE that has NEA0 to NEA3 and NIA0 to NIA3."""


@dataclass(frozen=True, slots=True)
class GnbConfig:
    """A gNB.

    Attributes:
        number: gNB ID of `length` bits, 22 to 32. area: its tracking area. slices: that it has.
        dscp: class of the packets of a 5QI on N3; none for best effort.
    """

    name: str
    area: Tai
    slices: tuple[Snssai, ...]
    number: int = 1
    length: int = 24
    dscp: Mapping[int, int] = field(default_factory=dict)

    @property
    def cell(self) -> int:
        """Its one cell's identity, 36 bits (TS 38.413, 9.3.1.7)."""
        return self.number << 36 - self.length | 1


@dataclass(frozen=True, slots=True)
class HomeKey:
    """The home network's public key, by which a SIM conceals who it is: profile 1 (A) or 2 (B), identifier, key."""

    scheme: int
    identifier: int
    public: bytes


@dataclass(frozen=True, slots=True)
class UeConfig:
    """A UE with its SIM.

    Attributes:
        imsi: 15 digits. digits: how many of them are the PLMN. sim: its functions.
        slices: that it asks for, none for what the network gives unasked.
        imeisv: 16 digits. concealed: by which key, None for no concealment.
    """

    imsi: str
    sim: Algorithm = field(repr=False)
    digits: int = 5
    slices: tuple[Snssai, ...] = ()
    capability: Capability = ALL
    imeisv: str = "4370816125816151"
    concealed: HomeKey | None = None

    @property
    def plmn(self) -> str:
        """Its home network."""
        return self.imsi[: self.digits]
