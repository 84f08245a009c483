"""From the radio to the link: what packets meet at a SINR, so that a lab's RAN link follows a channel without I/Q."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sdr.radio.schemes import CQI, MCS, Scheme, block_errors
from testbed.errors import BadInput, nearest
from testbed.model.impairment import Impairment

_TARGET = 0.1
"""Share of blocks that may fail at the channel quality reported (TS 38.214 5.2.2.1)."""


@dataclass(frozen=True)
class RanLink:
    """One direction of a cell's link to one UE that has the cell for itself, one layer, in white noise.

    Attributes:
        blocks: resource blocks.
        spacing: between subcarriers, Hz.
        table: `64qam` or `256qam`, of CQI and MCS alike.
        overhead: share of resource elements without data (TS 38.306 4.1.2: 0.14 downlink in FR1).
        wait: seconds until a block goes out, is received and decoded when it arrives whole at once.
        round_trip: seconds from a transmission to the next of the same block.
        transmissions: of a block at most, the first included (HARQ, soft-combined).

    Raises:
        BadInput: a value that cannot be.
    """

    blocks: int = 52
    spacing: int = 15_000
    table: str = "64qam"
    overhead: float = 0.14
    wait: float = 3e-3
    round_trip: float = 8e-3
    transmissions: int = 4

    def __post_init__(self) -> None:
        if self.table not in CQI:
            hint = nearest(self.table, CQI)
            raise BadInput(f"table is {self.table!r}; expected one of {', '.join(CQI)}{hint}")
        _check("blocks", self.blocks, 1, 275)
        _check("spacing", self.spacing, 15_000, 120_000)
        _check("overhead", self.overhead, 0, 0.9)
        _check("wait", self.wait, 0, 1)
        _check("round_trip", self.round_trip, 0, 1)
        _check("transmissions", self.transmissions, 1, 16)

    @property
    def slot(self) -> float:
        """Seconds of a slot."""
        return 15 / self.spacing

    def bits(self, scheme: Scheme) -> int:
        """Return a slot's transport block, bits; not rounded to the sizes of TS 38.214 5.1.3.2 (some percent)."""
        return max(24, int(self.blocks * 12 * 14 * (1 - self.overhead) * scheme.efficiency))

    def cqi(self, sinr: float) -> int:
        """Return the highest channel quality index at which a tenth of the blocks fails at most; 0: out of range.

        Raises:
            BadInput: a SINR (dB) that is no number.
        """
        if math.isnan(sinr):
            raise BadInput("SINR is nan; expected a number of dB")
        fits = [
            index
            for index, scheme in enumerate(CQI[self.table], start=1)
            if block_errors(scheme, _within(sinr), self.bits(scheme)) <= _TARGET
        ]
        return max(fits, default=0)

    def mcs(self, cqi: int) -> int:
        """Return the index of the scheme that carries most without carrying more than the CQI's; 0 where all do.

        Raises:
            BadInput: no such CQI, or 0, at which nothing is sent.
        """
        _check("CQI", cqi, 1, len(CQI[self.table]))
        most = CQI[self.table][cqi - 1].efficiency
        fits = [(scheme.efficiency, index) for index, scheme in enumerate(MCS[self.table]) if scheme.efficiency <= most]
        return max(fits, default=(0.0, 0))[1]

    def impairment(self, sinr: float) -> Impairment:
        """Return what packets meet at a SINR (dB) of a resource element: mean delay, loss after HARQ, rate.

        A retransmission adds its energy to those before (chase combining). Nothing gets through out of range.
        Delay comes without jitter: netem would reorder packets, which RLC does not.

        Raises:
            BadInput: a SINR that is no number.
        """
        cqi = self.cqi(sinr)
        if cqi == 0:
            return Impairment(loss=1.0)
        scheme = MCS[self.table][self.mcs(cqi)]
        bits = self.bits(scheme)
        fails = [
            block_errors(scheme, _within(sinr) + 10 * math.log10(sent), bits)
            for sent in range(1, self.transmissions + 1)
        ]
        lost, used = fails[-1], 1 + sum(fails[:-1])
        repeats = (sum(fails[:-1]) - (self.transmissions - 1) * lost) / (1 - lost)  # of blocks that do arrive
        return Impairment(
            delay=self.wait + self.round_trip * repeats, loss=lost, rate=bits * (1 - lost) / (self.slot * used)
        )


def _within(sinr: float) -> float:
    """Beyond these bounds all blocks fail, or none."""
    return min(60.0, max(-30.0, sinr))


def _check(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise BadInput(f"{what} is {value}; expected {low} to {high}")
