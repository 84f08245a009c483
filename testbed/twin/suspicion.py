"""When a link deserves a closer look: its newest packets are lost more, or less, than its known loss explains.

A few packets a second cost devices little, and tell a new loss only slowly. So few packets give the suspicion, and a
burst of many answers it: a link that begins to lose is known within two polls, one that doesn't costs nothing more.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from ipaddress import ip_address
from math import comb
from shlex import quote

PACKETS = 60
"""Packets of a closer look. A loss of 10 % each way takes some twelve of them: no chance explains that beside none."""

APART = 0.005
"""Seconds between two of them."""

COOLDOWN = 5.0
"""Seconds to a look at the same link, on average: a device must not be kept busy by a link that flaps."""

AT_ONCE = 2
"""Looks that need not wait for that, after a quiet time: a link that has just been looked at may begin to lose."""

NEWEST = 40
"""Packets that a suspicion is made of. All answered tell that a link has stopped losing one of eight."""

KNOWN = 200.0
"""Packets that the known loss is made of, about: it follows slowly."""

CLEAN = 5e-4
"""Least loss that a link is thought to have: below it the first lost packet would always be a wonder."""

DOUBT = 0.025
"""So improbable must the newest packets be. One lost of `NEWEST` on a clean link is."""

_SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) received")


def closer(source: str, destination: str) -> str:
    """The ping (iputils) of a closer look; it ends by itself, a second after its last packet at the latest.

    Args:
        source: interface or address. destination: IP address.
    """
    return f"exec ping -n -q -c {PACKETS} -i {APART:g} -W 1 -I {quote(source)} {ip_address(destination)} 2>&1"


def counted(output: str) -> tuple[int, int]:
    """How many packets of a closer look were answered, and how many were lost; none when it did not end well."""
    found = _SUMMARY.search(output)
    sent, received = (int(found[1]), int(found[2])) if found else (0, 0)
    return received, sent - received


@dataclass(slots=True)
class Suspicion:
    """Judges one link's packets as they come. Times are seconds on any clock that only goes forward."""

    _known: float = CLEAN
    _newest: deque[bool] = field(default_factory=lambda: deque(maxlen=NEWEST))
    _owed: float = float("-inf")

    def saw(self, answered: bool) -> None:
        """A packet was answered or lost."""
        if len(self._newest) == NEWEST:
            self._learn(int(not self._newest[0]), 1)
        self._newest.append(answered)

    def looked(self, answered: int, lost: int) -> None:
        """A closer look has ended."""
        self._newest.clear()
        if _is_odd(lost, answered + lost, self._known):
            self._known = lost / (answered + lost)
        else:
            self._learn(lost, answered + lost)

    def due(self, now: float) -> bool:
        """Whether to look closer now; it says so `AT_ONCE` times, then once in a `COOLDOWN` (GCRA, ITU-T I.371)."""
        if self._owed - now > (AT_ONCE - 1) * COOLDOWN:
            return False
        if not _is_odd(self._newest.count(False), len(self._newest), self._known):
            return False
        self._owed = max(self._owed, now) + COOLDOWN
        return True

    def _learn(self, lost: int, packets: int) -> None:
        self._known += (lost - packets * self._known) / (KNOWN + packets)


def _is_odd(lost: int, packets: int, share: float) -> bool:
    """Whether so many or more, or so few or fewer, of the packets are hardly ever lost at that share."""
    share = min(max(share, CLEAN), 1.0 - CLEAN)
    chances = [comb(packets, k) * share**k * (1.0 - share) ** (packets - k) for k in range(packets + 1)]
    return sum(chances[lost:]) < DOUBT or sum(chances[: lost + 1]) < DOUBT
