"""The transmitter: an endless stream of samples, the same for the same seed."""

from __future__ import annotations

import math

import numpy as np

from sdr.radio import crc, modulation, sequences
from sdr.radio.carrier import PILOTS, PSS, SSS, SYMBOLS, Carrier, Samples
from testbed.errors import BadInput


class Transmitter:
    """Sends frames of synchronisation signals, pilots and data; each data symbol is one block with its check.

    Args:
        carrier: rate and subcarrier spacing.
        cell: physical cell identity; pilots and synchronisation signals depend on it.
        order: bits of a data point: 2, 4, 6 or 8.
        seed: of the data.
        level: mean power of a symbol with data, dBFS (0 dBFS: amplitude 1); OFDM's peaks are some 11 dB above.

    Raises:
        BadInput: a cell, order, seed or level that cannot be.
    """

    def __init__(self, carrier: Carrier, cell: int = 0, order: int = 2, seed: int = 0, level: float = -12.0) -> None:
        if not (math.isfinite(level) and level <= 0):
            raise BadInput(f"level is {level}; expected a number of dBFS, at most 0")
        if seed < 0:
            raise BadInput(f"seed is {seed}; expected 0 or more")
        sequences.check_cell(cell)
        self.carrier, self.cell, self.order, self.seed = carrier, cell, order, seed
        self.amplitude = np.float32(10 ** (level / 20) / math.sqrt(carrier.subcarriers))
        self._points = modulation.constellation(order) * self.amplitude
        self._known = [self._grid(slot) for slot in range(carrier.slots)]
        self._next = 0
        self._rest = np.zeros(0, np.complex64)

    def read(self, n: int) -> Samples:
        """Return the next `n` samples.

        Raises:
            BadInput: a negative number.
        """
        if n < 0:
            raise BadInput(f"{n} samples asked for; expected 0 or more")
        out = np.empty(n, np.complex64)
        filled = 0
        while filled < n:
            if not len(self._rest):
                self._rest = self.slot(self._next)
                self._next += 1
            part = self._rest[: n - filled]
            out[filled : filled + len(part)] = part
            filled += len(part)
            self._rest = self._rest[len(part) :]
        return out

    def blocks(self, slot: int) -> modulation.Bytes:
        """Return the blocks of a slot, counted from the stream's start, one a row, with their checks."""
        symbols = len(self.carrier.data_symbols(slot % self.carrier.slots))
        length = self.carrier.subcarriers * self.order // 8
        check = crc.size(length)
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, slot]))
        payload = np.frombuffer(random.bytes(symbols * (length - check)), np.uint8).reshape(symbols, -1)
        return crc.append(payload, check)

    def slot(self, slot: int) -> Samples:
        """Return the samples of a slot, counted from the stream's start."""
        carrier, place = self.carrier, slot % self.carrier.slots
        grid = self._known[place].copy()
        grid[carrier.data_symbols(place)] = self._points[modulation.values_of(self.blocks(slot), self.order)]
        waves = np.fft.ifft(carrier.to_bins(grid), norm="forward")
        out = np.empty(carrier.slot, np.complex64)
        for wave, start, prefix in zip(waves, carrier.starts, carrier.prefixes, strict=True):
            out[start : start + carrier.fft] = wave
            out[start - prefix : start] = wave[-prefix:]
        return out

    def _grid(self, slot: int) -> Samples:
        """What is the same in each frame: pilots, and synchronisation signals in its first slot."""
        grid = np.zeros((SYMBOLS, self.carrier.subcarriers), np.complex64)
        grid[list(PILOTS)] = sequences.pilots(self.carrier, self.cell)[slot]
        if slot == 0:
            where, which = sequences.middle(self.carrier)
            grid[PSS, where] = sequences.pss(self.cell % 3)[which]
            grid[SSS, where] = sequences.sss(self.cell)[which]
        return grid * self.amplitude
