"""The carrier's numerology: where, in samples and subcarriers, each symbol is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from testbed.errors import BadInput

Samples = NDArray[np.complex64]

RATES = (1_920_000, 3_840_000, 5_760_000, 7_680_000, 11_520_000, 15_360_000, 23_040_000, 30_720_000)
SPACINGS = (15_000, 30_000)
SYMBOLS = 14
"""Symbols in a slot, normal cyclic prefix (TS 38.211 table 4.3.2-1)."""
FRAME = 0.01
"""Seconds of a frame (TS 38.211 4.3.1)."""
PILOTS = (2, 11)
"""The symbols that carry nothing but pilots: DM-RS' first and additional place (TS 38.211 table 7.4.1.1.2-3)."""
PSS, SSS = 4, 6
"""The synchronisation symbols of a frame's first slot: those of an SS/PBCH block of case B (TS 38.213 4.1)."""
_OCCUPIED = 0.8125
"""Share of the subcarriers used: 52 resource blocks at 11.52 Msample/s, as srsUE has; the rest is for filters."""


@dataclass(frozen=True)
class Carrier:
    """One carrier as TS 38.211 5.3.1 lays it out; DC lies on the subcarrier in the middle.

    Attributes:
        rate: samples per second.
        spacing: between subcarriers, Hz.

    Raises:
        BadInput: a rate or spacing that is not known, or one at which a cyclic prefix is no whole number of samples.
    """

    rate: int = 11_520_000
    spacing: int = 15_000

    def __post_init__(self) -> None:
        if self.rate not in RATES:
            raise BadInput(
                f"sample rate is {self.rate}; expected one of {', '.join(map(str, RATES))} samples per second"
            )
        if self.spacing not in SPACINGS:
            raise BadInput(f"subcarrier spacing is {self.spacing}; expected 15000 or 30000 Hz")
        if self.fft * 144 % 2048:
            least = next(rate for rate in RATES if rate // self.spacing * 144 % 2048 == 0)
            raise BadInput(
                f"at {self.rate} samples per second and {self.spacing} Hz a cyclic prefix is no whole number of "
                f"samples; expected another rate, such as {least}"
            )

    @cached_property
    def fft(self) -> int:
        """Samples of a symbol without its prefix."""
        return self.rate // self.spacing

    @cached_property
    def subcarriers(self) -> int:
        """Subcarriers used: whole resource blocks of 12."""
        return 12 * int(self.fft * _OCCUPIED / 12)

    @cached_property
    def slots(self) -> int:
        """Slots in a frame."""
        return 10 * self.spacing // 15_000

    @cached_property
    def slot(self) -> int:
        """Samples in a slot."""
        return self.frame // self.slots

    @cached_property
    def frame(self) -> int:
        """Samples in a frame."""
        return round(self.rate * FRAME)

    @cached_property
    def prefixes(self) -> tuple[int, ...]:
        """Samples of each symbol's cyclic prefix; two symbols in a subframe have a longer one."""
        long = (0, 7) if self.spacing == 15_000 else (0,)
        longer = self.slot - SYMBOLS * (self.fft + self.prefix)
        return tuple(self.prefix + longer // len(long) * (symbol in long) for symbol in range(SYMBOLS))

    @cached_property
    def prefix(self) -> int:
        """Samples of the shorter cyclic prefix."""
        return self.fft * 144 // 2048

    @cached_property
    def starts(self) -> NDArray[np.intp]:
        """Where in the slot each symbol starts after its prefix."""
        return np.cumsum(self.prefixes) + np.arange(SYMBOLS) * self.fft

    @cached_property
    def frequencies(self) -> NDArray[np.float64]:
        """Each used subcarrier's frequency from the carrier's, Hz, ascending."""
        return (np.arange(self.subcarriers) - self.subcarriers // 2) * np.float64(self.spacing)

    def data_symbols(self, slot: int) -> NDArray[np.intp]:
        """Return the symbols of a frame's slot that carry data."""
        taken = PILOTS if slot else (*PILOTS, PSS, SSS)
        return np.array([symbol for symbol in range(SYMBOLS) if symbol not in taken])

    def to_bins(self, grid: Samples) -> Samples:
        """Return symbols by subcarrier (ascending) as symbols by bin of a Fourier transform."""
        half = self.subcarriers // 2
        bins = np.zeros((len(grid), self.fft), np.complex64)
        bins[:, :half], bins[:, -half:] = grid[:, half:], grid[:, :half]
        return bins

    def from_bins(self, bins: NDArray[np.complexfloating]) -> Samples:
        """Return the used subcarriers (ascending) of symbols by bin."""
        half = self.subcarriers // 2
        return np.concatenate((bins[..., -half:], bins[..., :half]), axis=-1, dtype=np.complex64)
