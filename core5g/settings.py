"""What the processes of a core and a RAN are told, as JSON on their standard input: no key is in a command line."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from core5g.nas.values import Ambr, Snssai
from core5g.security.milenage import Milenage
from core5g.udm.base import DnnSubscription, SliceSubscription, Subscription
from core5g.udm.memory import Subscriber
from testbed.errors import BadInput


class SliceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A slice: service type and differentiator."""

    sst: int
    sd: int | None = None

    @property
    def value(self) -> Snssai:
        """As NAS has it."""
        return Snssai(self.sst, self.sd)


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Subscribers with IMSIs that follow each other.

    Attributes:
        key, opc: 32 hexadecimal digits, of all of them. dnns: of each slice. down, up: bit/s, of each UE and session.
    """

    first: str
    key: str
    opc: str
    count: int = 1
    slices: tuple[SliceSettings, ...] = (SliceSettings(1),)
    dnns: tuple[str, ...] = ("internet",)
    down: int = 1_000_000_000
    up: int = 1_000_000_000

    def __repr__(self) -> str:
        return f"Range({self.first}+{self.count})"

    def imsis(self) -> Iterator[str]:
        """Give the IMSIs."""
        return (f"{int(self.first) + index:015d}" for index in range(self.count))

    def sim(self) -> Milenage:
        """Return the functions of their SIMs."""
        return Milenage(bytes.fromhex(self.key), bytes.fromhex(self.opc))

    def subscribers(self) -> Iterator[tuple[str, Subscriber]]:
        """Give what their home knows of them."""
        rates = Ambr(self.down, self.up)
        dnns = {name: DnnSubscription(rates) for name in self.dnns}
        subscription = Subscription(rates, tuple(SliceSubscription(one.value, dnns) for one in self.slices))
        key, opc = bytes.fromhex(self.key), bytes.fromhex(self.opc)
        return ((imsi, Subscriber(subscription, key, opc)) for imsi in self.imsis())


Settings = TypeVar("Settings")


def read(kind: type[Settings]) -> Settings:
    """Return what stands on standard input.

    Raises:
        BadInput: it is not such settings; what is there is not shown, for it has keys.
    """
    try:
        return msgspec.json.decode(sys.stdin.buffer.read(), type=kind)
    except msgspec.DecodeError as error:
        raise BadInput(f"standard input: {error}; expected {kind.__name__} as JSON") from None


def memory() -> int:
    """Return how many bytes of this process are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
