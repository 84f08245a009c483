"""The search for a signal of unknown cell, time and frequency."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from sdr.radio import sequences
from sdr.radio.carrier import PSS, SSS, Carrier, Samples

_NARROW = 256
"""Bins that hold the synchronisation signals and some room: the search runs at this rate, not the carrier's."""
_SHIFTS = (0.0, -0.5, 0.5, -1.0, 1.0)
"""Carrier offsets tried, in subcarriers; between them the correlation loses 1 dB at most."""
_PSS_LEAST = 0.2
"""Least share of the energy that the PSS explains. In noise alone a place passes with exp(-0.2 · 127), 1e-11."""
_SSS_LEAST = 0.3
"""Least correlation of the SSS with a cell's."""


@dataclass(frozen=True)
class Found:
    """A signal.

    Attributes:
        cell: physical cell identity.
        start: of the frame, samples from the window's first; up to half a narrow sample wrong.
        offset: carrier offset, Hz, good enough to tell apart what pilots leave open.
    """

    cell: int
    start: int
    offset: float


def window(carrier: Carrier) -> int:
    """Return how many samples a search needs: a frame and, that its first slot's signals be whole, a slot."""
    return carrier.frame + carrier.slot


def search(samples: Samples, carrier: Carrier) -> Found | None:
    """Find a frame in a window of samples, or None."""
    if not samples.any():
        return None
    narrow = min(_NARROW, carrier.fft)
    length = len(samples) * narrow // carrier.fft
    spectrum = np.fft.fft(samples)
    energy = _energy(_band(spectrum, 0, length), narrow)
    energy = np.maximum(energy, energy.max() * 1e-9)[: carrier.frame * narrow // carrier.fft]
    best, sector, place, shift = 0.0, 0, 0, 0.0
    for tried in _SHIFTS:
        band = _band(spectrum, round(tried * len(samples) / carrier.fft), length)
        for candidate in range(3):
            fits = np.abs(np.fft.ifft(band * _replica(carrier, narrow, length, candidate))[: len(energy)]) ** 2 / energy
            top = int(fits.argmax())
            if fits[top] > best:
                best, sector, place, shift = float(fits[top]), candidate, top, tried
    if best < _PSS_LEAST:
        return None
    at = place * carrier.fft // narrow
    return _identify(samples[at:], carrier, sector, at, shift * carrier.spacing)


def _band(spectrum: NDArray[np.complexfloating], shift: int, length: int) -> NDArray[np.complexfloating]:
    """The middle of a spectrum, moved: the same time at a lower rate."""
    return np.take(spectrum, np.fft.ifftshift(np.arange(length) - length // 2) + shift, mode="wrap")


def _energy(band: NDArray[np.complexfloating], narrow: int) -> NDArray[np.float64]:
    """Energy in the synchronisation signals' band from each place on, for a symbol."""
    bins = np.abs(np.fft.fftfreq(len(band), 1 / narrow))
    power = np.abs(np.fft.ifft(np.where(bins < sequences.LENGTH / 2 + 1, band, 0))) ** 2
    total = np.concatenate(([0.0], np.cumsum(power, dtype=np.float64), np.zeros(narrow)))
    total[len(power) + 1 :] = total[len(power)]
    return total[narrow : len(power) + narrow] - total[: len(power)]


@cache
def _replica(carrier: Carrier, narrow: int, length: int, sector: int) -> Samples:
    """What the spectrum is multiplied with, so that the correlation's power is a share of `_energy`."""
    where, which = sequences.middle(carrier)
    bins = np.arange(carrier.subcarriers)[where] - carrier.subcarriers // 2
    spectrum = np.zeros(narrow, np.complex64)
    spectrum[bins] = sequences.pss(sector)[which]
    wave = np.fft.ifft(spectrum)
    return np.conj(np.fft.fft(wave / np.linalg.norm(wave), length)).astype(np.complex64)


def _identify(samples: Samples, carrier: Carrier, sector: int, at: int, offset: float) -> Found | None:
    """Take the cell from the SSS, and the offset from the phases of both signals; `samples` start with the PSS."""
    later = int(carrier.starts[SSS] - carrier.starts[PSS])
    times = np.arange(later + carrier.fft) / carrier.rate
    offset += _within(samples, carrier, sector, times, offset)
    tuned = (samples[: len(times)] * np.exp(-2j * np.pi * offset * times)).astype(np.complex64)
    where, which = sequences.middle(carrier)
    first, second = (carrier.from_bins(np.fft.fft(tuned[start : start + carrier.fft]))[where] for start in (0, later))
    product = second * np.conj(first * sequences.pss(sector)[which])
    cells = range(sector, sequences.CELLS, 3)
    sums = np.array([sequences.sss(cell)[which] for cell in cells]) @ product
    top = int(np.abs(sums).argmax())
    if abs(sums[top]) < _SSS_LEAST * np.linalg.norm(first) * np.linalg.norm(second):
        return None
    offset += float(np.angle(sums[top])) / (2 * np.pi * later / carrier.rate)
    start = at - int(carrier.starts[PSS])
    return Found(cells[top], start, offset)


def _within(samples: Samples, carrier: Carrier, sector: int, times: NDArray[np.float64], offset: float) -> float:
    """What is left of the offset, by how the phase turns from the first half of the PSS to the second, Hz."""
    where, which = sequences.middle(carrier)
    grid = np.zeros((1, carrier.subcarriers), np.complex64)
    grid[0, where] = sequences.pss(sector)[which]
    wave = np.fft.ifft(carrier.to_bins(grid)[0])
    n = carrier.fft
    product = samples[:n] * np.exp(-2j * np.pi * offset * times[:n]) * np.conj(wave)
    turn = np.angle(product[n // 2 :].sum() * np.conj(product[: n // 2].sum()))
    return float(turn) / np.pi * carrier.spacing
