"""What an AMF and an SMF ask of a home network (Nudm and Nausf, 3GPP TS 29.503 and 29.509), as function calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Protocol

from core5g.nas.values import Ambr, Snssai, Suci
from core5g.security.vectors import Vector


@dataclass(frozen=True, slots=True)
class Quality:
    """A flow's quality (TS 23.501, 5.7).

    Attributes:
        identifier: 5QI. priority: of ARP, 1 (first) to 15. may_preempt, preemptable: of ARP.
    """

    identifier: int = 9
    priority: int = 8
    may_preempt: bool = False
    preemptable: bool = False


@dataclass(frozen=True, slots=True)
class DnnSubscription:
    """What a subscriber has in one data network: rates in bit/s, and an address of its own where one is promised."""

    ambr: Ambr
    quality: Quality = Quality()
    address: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class SliceSubscription:
    """A slice that a subscriber may use. `default`: it gets it unasked. `dnns`: by name, the default one first."""

    slice: Snssai
    dnns: Mapping[str, DnnSubscription]
    default: bool = True


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a subscriber may."""

    ambr: Ambr
    slices: tuple[SliceSubscription, ...] = field(default=())

    def of(self, one: Snssai) -> SliceSubscription | None:
        """Return what it may in a slice; None where nothing."""
        return next((each for each in self.slices if each.slice == one), None)


class Home(Protocol):
    """A home network. What it does not know raises `Unknown`, what is forged raises errors of `core5g.security`."""

    def reveal(self, suci: Suci) -> str:
        """Return the IMSI that an identity conceals; raises NotConcealed."""
        ...

    def subscription(self, imsi: str) -> Subscription:
        """Return what a subscriber may; raises Unknown."""
        ...

    def challenge(self, imsi: str, network: bytes) -> Vector:
        """Return a vector that was never used; raises Unknown."""
        ...

    def resynchronise(self, imsi: str, rand: bytes, auts: bytes) -> None:
        """Take up a SIM's sequence number; raises Unknown, MacFailure."""
        ...
