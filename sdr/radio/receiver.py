"""The receiver: finds a transmitter in any stream of samples and measures each slot."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sdr.radio import crc, modulation, sequences
from sdr.radio.carrier import PILOTS, SYMBOLS, Carrier, Samples
from sdr.radio.measurement import Measurement
from sdr.radio.search import search, window
from testbed.errors import BadInput

_TUNED = 1e-3
"""Carrier offset left uncorrected, in subcarriers: what it leaks between subcarriers is 55 dB below them."""
_COHERENT = 0.25
"""Least likeness of a slot's two pilot symbols; below (some -5 dB of SNR) the signal counts as lost."""


class Receiver:
    """Takes samples in pieces of any length; nothing of what it finds depends on how they were cut.

    Args:
        carrier: rate and subcarrier spacing; cell, time, frequency and level it finds by itself.
        order: bits of a data point, as the transmitter's.
        smoothing: subcarriers over which the channel is averaged before data are equalised (TS 38.104 annex B.6
            has 19). 1 where echoes are longer than a twentieth of a symbol.

    Raises:
        BadInput: an order that is not known, or a smoothing that is no odd number of subcarriers.
    """

    def __init__(self, carrier: Carrier, order: int = 2, smoothing: int = 19) -> None:
        if smoothing < 1 or smoothing % 2 == 0 or smoothing > carrier.subcarriers:
            raise BadInput(f"smoothing is {smoothing}; expected an odd number of subcarriers, from 1 to 19 or so")
        self.carrier, self.order, self.smoothing = carrier, order, smoothing
        self._points = modulation.constellation(order)
        self._early = max(2, carrier.prefix // 8)
        self._uncut = self._ramp(self._early)
        self._spare = carrier.prefix  # kept before the next slot, which may turn out to start earlier
        self._between = int(carrier.starts[PILOTS[1]] - carrier.starts[PILOTS[0]])
        self._held = np.zeros(0, np.complex64)
        self._first = 0  # the count of the first sample held
        self._frame: int | None = None  # the count at which some frame starts, once found
        self._cell = 0
        self._offset = 0.0
        self._rotation = np.zeros(0, np.complex64)

    @property
    def found(self) -> bool:
        """Whether it follows a signal now."""
        return self._frame is not None

    def feed(self, samples: Samples) -> list[Measurement]:
        """Take the next samples; return the slots that became whole.

        Raises:
            BadInput: samples of another type, or not finite; they are not taken.
        """
        if samples.dtype != np.complex64 or samples.ndim != 1:
            raise BadInput(f"got samples of {samples.dtype} in {samples.ndim} dimensions; expected complex64 in one")
        if not np.isfinite(samples.view(np.float32).sum()) and not np.isfinite(samples).all():
            where = int(np.argmin(np.isfinite(samples)))
            raise BadInput(f"sample {self._first + len(self._held) + where} is {samples[where]}; expected a finite one")
        self._held = np.concatenate((self._held, samples))
        done: list[Measurement] = []
        while self._step(done):
            pass
        return done

    def _step(self, done: list[Measurement]) -> bool:
        """Search, or measure one slot; False when more samples are needed."""
        if self._frame is None:
            return self._search()
        start = self._frame + -((self._frame - self._first) // self.carrier.slot) * self.carrier.slot
        end = start + self.carrier.slot - self._first
        if end > len(self._held):
            return False
        measured = self._slot(start, (start - self._frame) // self.carrier.slot % self.carrier.slots)
        if measured is None:
            self._frame = None
            self._drop(end)
        else:
            done.append(measured)
            self._drop(end - self._spare)
        return True

    def _drop(self, samples: int) -> None:
        self._held = self._held[samples:]
        self._first += samples

    def _search(self) -> bool:
        size = window(self.carrier)
        if len(self._held) < size:
            return False
        found = search(self._held[:size], self.carrier)
        if found is None:
            self._drop(self.carrier.frame)
            return True
        self._frame, self._cell = self._first + found.start, found.cell
        self._tune(found.offset)
        return True

    def _tune(self, offset: float) -> None:
        turns = -offset / self.carrier.rate * np.arange(self.carrier.slot)
        self._rotation = np.exp(2j * np.pi * turns).astype(np.complex64)
        self._offset = offset

    def _slot(self, start: int, slot: int) -> Measurement | None:
        """Measure a slot; None where it has no such signal."""
        begin = start - self._first
        samples = self._held[begin : begin + self.carrier.slot]
        known = sequences.pilots(self.carrier, self._cell)[slot]
        bins = self._bins(samples)
        if _likeness(seen := bins[list(PILOTS)] * known.conj()) < _COHERENT:
            return None
        if abs(left := self._left(seen)) > _TUNED * self.carrier.spacing:
            self._tune(self._offset + left)
            bins = self._bins(samples)
            seen = bins[list(PILOTS)] * known.conj()
        return self._measure(start, slot, bins, seen)

    def _bins(self, samples: Samples) -> Samples:
        """The slot's symbols by used subcarrier, tuned; each is cut out `_early` samples before the first path's."""
        size = self.carrier.fft
        waves = np.empty((SYMBOLS, size), np.complex64)
        for wave, start in zip(waves, self.carrier.starts - self._early, strict=True):
            np.multiply(samples[start : start + size], self._rotation[start : start + size], out=wave)
        return self.carrier.from_bins(np.fft.fft(waves, norm="forward"))

    def _left(self, seen: Samples) -> float:
        """Return the carrier offset that is left, Hz; beyond 5 % of a subcarrier it cannot be told."""
        return float(np.angle(np.vdot(seen[0], seen[1]))) / (2 * math.pi * self._between / self.carrier.rate)

    def _measure(self, start: int, slot: int, bins: Samples, seen: Samples) -> Measurement:
        carrier, left = self.carrier, self._left(seen)
        late = _slope(seen) * carrier.fft
        phase = np.angle(np.vdot(seen[0], seen[1]))
        ramp = self._ramp(late)
        flat = seen * ramp
        flat[1] *= np.exp(np.complex64(-1j * phase))
        noise = max(float(_power(np.diff(flat[1] - flat[0]))) / 4, 1e-30)
        signal = max(float(_power(flat)) - noise, 1e-30)
        evm, failed, points = self._data(carrier.data_symbols(slot), bins, flat, ramp.conj(), phase)
        delay = (
            start - slot * carrier.slot + late - self._early + carrier.frame / 2
        ) % carrier.frame - carrier.frame / 2
        self._follow(late - self._early)
        return Measurement(
            carrier=carrier, count=start, slot=slot, cell=self._cell,
            rsrp=10 * math.log10(signal), snr=10 * math.log10(signal / noise),
            delay=delay / carrier.rate, offset=self._offset + left, evm=evm, blocks=len(points), failed=failed,
            response=flat.mean(axis=0) * ramp.conj() * self._uncut, points=points,
        )  # fmt: skip

    def _data(
        self, symbols: NDArray[np.intp], bins: Samples, flat: Samples, back: Samples, phase: float
    ) -> tuple[float, int, Samples]:
        """Equalise by what lies between the slot's two looks at the channel; return EVM, failed blocks, points."""
        weight = ((self.carrier.starts[symbols] - self.carrier.starts[PILOTS[0]]) / self._between)[:, None]
        mixing = np.hstack((1 - weight, weight)) * np.exp(1j * phase * weight)
        channel = mixing.astype(np.complex64) @ (_smooth(flat, self.smoothing) * back)
        points = bins[symbols] / channel
        values = modulation.decide(points, self.order)
        evm = math.sqrt(_power(points - self._points[values]))
        failed = int(np.count_nonzero(~crc.holds(modulation.bytes_of(values, self.order))))
        return evm, failed, points

    def _ramp(self, samples: float) -> Samples:
        """What moves a response earlier by a number of samples."""
        turns = self.carrier.frequencies * (samples / self.carrier.rate)
        return np.exp(2j * math.pi * turns).astype(np.complex64)

    def _follow(self, late: float) -> None:
        """Keep the cut on the signal as it comes later or earlier."""
        if self._frame is not None and abs(late) > 1:
            self._frame += round(max(-self._spare / 2, min(self._spare / 2, late)))


def _power(samples: Samples) -> float:
    return float(np.vdot(samples, samples).real) / samples.size


def _likeness(seen: Samples) -> float:
    return float(abs(np.vdot(seen[0], seen[1])) / max(np.linalg.norm(seen[0]) * np.linalg.norm(seen[1]), 1e-30))


def _slope(seen: Samples) -> float:
    """Return how many turns the phase falls from one subcarrier to the next.

    Far subcarriers give it exactly and leave whole turns open, near ones do not: from lag to lag, each four times
    as far, to two thirds of the band, where the error is least for one lag (Kay 1989).
    """
    slope, lag, last = 0.0, 1, 2 * seen.shape[1] // 3
    while True:
        turn = np.angle(np.vdot(seen[:, :-lag], seen[:, lag:]) * np.exp(2j * math.pi * slope * lag))
        slope -= float(turn) / (2 * math.pi * lag)
        if lag == last:
            return slope
        lag = min(4 * lag, last)


def _smooth(rows: Samples, width: int) -> Samples:
    """Moving average along each row; at the ends over the neighbours there are, as many on either side."""
    n = rows.shape[1]
    sums = np.concatenate((np.zeros((len(rows), 1)), np.cumsum(rows, axis=1, dtype=np.complex128)), axis=1)
    places = np.arange(n)
    reach = np.minimum(width // 2, np.minimum(places, n - 1 - places))
    return ((sums[:, places + reach + 1] - sums[:, places - reach]) / (2 * reach + 1)).astype(np.complex64)
