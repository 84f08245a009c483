"""A session at a UPF: its rules, and the way of each packet through them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from core5g.pfcp.codec import Elements
from core5g.pfcp.node import Peer
from core5g.upf.rules import CORE, Far, Filter, Pdr, Qer, Rules, Urr


@dataclass(slots=True)
class Way:
    """What is done with the packets of one rule; made from it once, so that packets need not look for anything."""

    pdr: int
    filters: tuple[Filter, ...]
    far: Far
    qfi: int
    qers: tuple[Qer, ...]
    urrs: tuple[Urr, ...]
    uplink: bool
    source: int | None

    def lets(self, size: int) -> bool:
        """Tell whether gates and rates let a packet through; it is counted if they do."""
        for qer in self.qers:
            if qer.gates & (12 if self.uplink else 3) or not (qer.up if self.uplink else qer.down).lets(size):
                return False
        for urr in self.urrs:
            if self.uplink:
                urr.up += size
                urr.packets_up += 1
            else:
                urr.down += size
                urr.packets_down += 1
        return True


@dataclass(slots=True)
class Session:
    """A session.

    Attributes:
        seid: of the UPF. peer, there: its SMF, and the number it has there.
        ways: of what comes by tunnels, by TEID. down: of what comes without, the first to look at first.
        waiting: packets, with the way that they were to go. told: the SMF knows that there are some.
    """

    seid: int
    peer: Peer
    there: int
    kept: int
    rules: Rules = field(default_factory=Rules)
    ways: dict[int, Way] = field(default_factory=dict)
    down: tuple[Way, ...] = ()
    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)
    told: bool = False

    def follow(self, rules: Rules) -> None:
        """Take new rules."""
        self.rules = rules
        ordered = sorted(rules.pdrs.values(), key=lambda one: (one.precedence, one.number))
        self.ways = {one.teid: _way(one, rules) for one in reversed(ordered) if one.teid is not None}
        self.down = tuple(_way(one, rules) for one in ordered if one.teid is None)

    def addresses(self) -> dict[int, str | None]:
        """Return the UE's addresses to which packets come without a tunnel, with the data network's name."""
        return {
            int(one.address): one.dnn
            for one in self.rules.pdrs.values()
            if one.address is not None and one.source == CORE and one.teid is None
        }

    def way_down(self, packet: memoryview) -> Way | None:
        """Return which way a packet goes that has come without a tunnel; None for none."""
        for way in self.down:
            if not way.filters or any(one.matches(packet, downlink=True) for one in way.filters):
                return way
        return None

    def keep(self, way: Way, packet: memoryview) -> bool:
        """Have a packet wait; tell whether another one had to go for it."""
        full = len(self.waiting) >= self.kept
        if full:
            self.waiting.popleft()
        self.waiting.append((way.pdr, bytes(packet)))
        return full

    def reports(self, numbers: Iterable[int], trigger: bytes) -> list[Elements]:
        """Return what went through, of the URRs with these numbers."""
        return [self.rules.urrs[one].report(trigger) for one in numbers if one in self.rules.urrs]


def _way(pdr: Pdr, rules: Rules) -> Way:
    qers = tuple(rules.qers[one] for one in pdr.qers)
    uplink = pdr.source != CORE
    return Way(
        pdr.number,
        pdr.filters,
        rules.fars[pdr.far],
        next((one.qfi for one in qers if one.qfi), 0),
        qers,
        tuple(rules.urrs[one] for one in pdr.urrs),
        uplink,
        int(pdr.address) if uplink and pdr.address is not None else None,
    )
