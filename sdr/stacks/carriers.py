"""Where a cell is in the spectrum: channel numbers, bands, bandwidths, and an NR cell's synchronisation signals.

FDD only, and NR with 15 kHz between subcarriers: for nothing else settings that srsUE works with are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Technology = Literal["lte", "nr"]

MHZ = 1_000_000
_SUBCARRIER = 15_000
_BLOCK = 12 * _SUBCARRIER


class Numerology(NamedTuple):
    """A bandwidth's resource blocks, and the samples/s that srsRAN 4G works at inside."""

    blocks: int
    rate: int


LTE_BANDWIDTHS: Mapping[int, Numerology] = {
    1_400_000: Numerology(6, 1_920_000),
    3 * MHZ: Numerology(15, 3_840_000),
    5 * MHZ: Numerology(25, 5_760_000),
    10 * MHZ: Numerology(50, 11_520_000),
    15 * MHZ: Numerology(75, 15_360_000),
    20 * MHZ: Numerology(100, 23_040_000),
}
"""Hz to blocks (TS 36.101, table 5.6-1) and rate (srsRAN 4G's `srsran_symbol_sz`, without `lte_sample_rates`)."""

NR_BANDWIDTHS: Mapping[int, Numerology] = {
    10 * MHZ: Numerology(52, 11_520_000),
    20 * MHZ: Numerology(106, 23_040_000),
}
"""Hz to blocks (TS 38.104, table 5.3.2-1) and rate; of the others no settings that srsUE works with are known."""

CORESET0: Mapping[int, int] = {10 * MHZ: 6, 20 * MHZ: 12}
"""Hz to the index of CORESET#0: as wide as the cell allows, and one symbol long (TS 38.213, table 13-1)."""


class _Coreset(NamedTuple):
    blocks: int
    offset: int


_CORESETS: Mapping[int, _Coreset] = {6: _Coreset(48, 12), 12: _Coreset(96, 38)}


class _LteBand(NamedTuple):
    """Lowest frequency in 100 kHz and first EARFCN, down and up, and how many (TS 36.101, table 5.7.3-1)."""

    down: int
    down_first: int
    up: int
    up_first: int
    channels: int


_LTE_BANDS: Mapping[int, _LteBand] = {
    1: _LteBand(21100, 0, 19200, 18000, 600),
    2: _LteBand(19300, 600, 18500, 18600, 600),
    3: _LteBand(18050, 1200, 17100, 19200, 750),
    4: _LteBand(21100, 1950, 17100, 19950, 450),
    5: _LteBand(8690, 2400, 8240, 20400, 250),
    7: _LteBand(26200, 2750, 25000, 20750, 700),
    8: _LteBand(9250, 3450, 8800, 21450, 350),
    12: _LteBand(7290, 5010, 6990, 23010, 170),
    13: _LteBand(7460, 5180, 7770, 23180, 100),
    14: _LteBand(7580, 5280, 7880, 23280, 100),
    17: _LteBand(7340, 5730, 7040, 23730, 120),
    18: _LteBand(8600, 5850, 8150, 23850, 150),
    19: _LteBand(8750, 6000, 8300, 24000, 150),
    20: _LteBand(7910, 6150, 8320, 24150, 300),
    21: _LteBand(14959, 6450, 14479, 24450, 150),
    25: _LteBand(19300, 8040, 18500, 26040, 650),
    26: _LteBand(8590, 8690, 8140, 26690, 350),
    27: _LteBand(8520, 9040, 8070, 27040, 170),
    28: _LteBand(7580, 9210, 7030, 27210, 450),
    30: _LteBand(23500, 9770, 23050, 27660, 100),
    65: _LteBand(21100, 65536, 19200, 131072, 900),
    68: _LteBand(7530, 67536, 6980, 132672, 300),
    71: _LteBand(6170, 68586, 6630, 133122, 350),
}


class _NrBand(NamedTuple):
    """First and last reference channel number, up and down (TS 38.104, table 5.4.2.3-1); all on the 100 kHz raster."""

    up: tuple[int, int]
    down: tuple[int, int]


_NR_STEP = 20  # channel numbers in 100 kHz
_NR_BANDS: Mapping[int, _NrBand] = {
    1: _NrBand((384000, 396000), (422000, 434000)),
    2: _NrBand((370000, 382000), (386000, 398000)),
    3: _NrBand((342000, 357000), (361000, 376000)),
    5: _NrBand((164800, 169800), (173800, 178800)),
    7: _NrBand((500000, 514000), (524000, 538000)),
    8: _NrBand((176000, 183000), (185000, 192000)),
    12: _NrBand((139800, 143200), (145800, 149200)),
    14: _NrBand((157600, 159600), (151600, 153600)),
    18: _NrBand((163000, 166000), (172000, 175000)),
    20: _NrBand((166400, 172400), (158200, 164200)),
    25: _NrBand((370000, 383000), (386000, 399000)),
    26: _NrBand((162800, 169800), (171800, 178800)),
    28: _NrBand((140600, 149600), (151600, 160600)),
    65: _NrBand((384000, 402000), (422000, 440000)),
    71: _NrBand((132600, 139600), (123400, 130400)),
    74: _NrBand((285400, 294000), (295000, 303600)),
}
_NR_HERTZ = 5_000  # from one channel number to the next, below 3 GHz (TS 38.104, table 5.4.2.1-1)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A cell's two carriers, both in the middle of their channels.

    Attributes:
        bandwidth, down, up: Hz. down_number, up_number: EARFCN or NR-ARFCN.
        blocks: resource blocks. rate: samples/s, see Numerology.
        sync: NR-ARFCN in the middle of the synchronisation signals; 0 in LTE, where they are in the carrier's middle.
    """

    technology: Technology
    band: int
    bandwidth: int
    down: int
    up: int
    down_number: int
    up_number: int
    blocks: int
    rate: int
    sync: int = 0


class Unfit(Exception):
    """What does not fit, by the name of the setting.

    Attributes:
        setting: `band`, `bandwidth` or `arfcn`. expected: instead.
    """

    def __init__(self, setting: str, expected: str) -> None:
        super().__init__(f"{setting}: {expected}")
        self.setting, self.expected = setting, expected


def carrier(technology: Technology, band: int, number: int, bandwidth: float) -> Carrier:
    """Return what a downlink channel number stands for.

    Args:
        number: EARFCN or NR-ARFCN of the downlink. bandwidth: Hz.

    Raises:
        Unfit: the band is unknown, or the channel does not lie in it with its whole width.
    """
    sizes = LTE_BANDWIDTHS if technology == "lte" else NR_BANDWIDTHS
    if bandwidth not in sizes:
        words = ", ".join(f"{size / MHZ:g}MHz" for size in sizes)
        raise Unfit("bandwidth", f"expected one of {words}" + (", which srsUE works with" * (technology == "nr")))
    return (_lte if technology == "lte" else _nr)(band, number, round(bandwidth))


def _lte(band: int, number: int, bandwidth: int) -> Carrier:
    it = _LTE_BANDS.get(band)
    if it is None:
        raise Unfit("band", f"expected an FDD band of LTE: {', '.join(map(str, _LTE_BANDS))}")
    edge = -(-bandwidth // 200_000)
    first, last = it.down_first + edge, it.down_first + it.channels - edge
    _within(number, first, last, f"a downlink EARFCN of band {band} for {bandwidth / MHZ:g} MHz")
    index = number - it.down_first
    blocks, rate = LTE_BANDWIDTHS[bandwidth]
    down, up = ((low + index) * 100_000 for low in (it.down, it.up))
    return Carrier("lte", band, bandwidth, down, up, number, it.up_first + index, blocks, rate)


def _nr(band: int, number: int, bandwidth: int) -> Carrier:
    it = _NR_BANDS.get(band)
    if it is None:
        raise Unfit("band", f"expected an FDD band of NR below 3 GHz: {', '.join(map(str, _NR_BANDS))}")
    edge = -(-bandwidth // 2 // (_NR_HERTZ * _NR_STEP)) * _NR_STEP
    first, last = it.down[0] + edge, it.down[1] - edge
    _within(number, first, last, f"a downlink NR-ARFCN of band n{band} for {bandwidth / MHZ:g} MHz")
    if (number - it.down[0]) % _NR_STEP:
        lower = number - (number - it.down[0]) % _NR_STEP
        raise Unfit("arfcn", f"expected one on the 100 kHz raster: {lower} or {lower + _NR_STEP}")
    up = number - it.down[0] + it.up[0]
    blocks, rate = NR_BANDWIDTHS[bandwidth]
    sync = _sync(number, bandwidth)
    if sync is None:
        fit = [other for other in range(first, last + 1, _NR_STEP) if _sync(other, bandwidth) is not None]
        near = min(fit, key=lambda other: abs(other - number))
        raise Unfit(
            "arfcn", f"expected one whose cell has room for synchronisation signals and CORESET#0, such as {near}"
        )
    return Carrier("nr", band, bandwidth, number * _NR_HERTZ, up * _NR_HERTZ, number, up, blocks, rate, sync)


def _within(number: int, first: int, last: int, what: str) -> None:
    if first > last:
        raise Unfit("bandwidth", "expected less: the band is narrower")
    if not first <= number <= last:
        raise Unfit("arfcn", f"expected {what}: {first} to {last}")


def _sync(number: int, bandwidth: int) -> int | None:
    """Return the NR-ARFCN in the middle of the synchronisation signals, as srsRAN Project chooses it below 3 GHz.

    Of the places on the synchronisation raster (TS 38.104, 5.4.3.1) where the block lies on the cell's subcarriers
    and the cell has room for CORESET#0, it takes the one where the two overlap least; of equal ones the lowest
    (`get_ssb_coreset0_freq_location_for_cset0_idx`).
    """
    blocks = NR_BANDWIDTHS[bandwidth].blocks
    point_a = number * _NR_HERTZ - blocks * _BLOCK // 2
    coreset = _CORESETS[CORESET0[bandwidth]]
    free: dict[int, int] = {}
    for middle in _raster(point_a, blocks * _BLOCK):
        block, left = divmod((middle - 10 * _BLOCK - point_a) // _SUBCARRIER, 12)
        first = block - coreset.offset
        if first >= 0 and first + coreset.blocks <= blocks:
            free[middle] = coreset.blocks - _overlap(first, coreset.blocks, block, 20 + (left > 0))
    return max(free, key=lambda middle: (free[middle], -middle)) // _NR_HERTZ if free else None


def _raster(point_a: int, width: int) -> list[int]:
    """The middles of all blocks of 20 resource blocks inside a cell, on its subcarriers."""
    lowest, highest = point_a + 10 * _BLOCK, point_a + width - 10 * _BLOCK
    steps = range(lowest // 1_200_000, highest // 1_200_000 + 1)
    places = [step * 1_200_000 + small * 50_000 for step in steps for small in (1, 3, 5)]
    return [place for place in places if lowest <= place <= highest and (place - lowest) % _SUBCARRIER == 0]


def _overlap(first: int, length: int, other: int, other_length: int) -> int:
    return max(0, min(first + length, other + other_length) - max(first, other))
