"""What lies between a transmitter and a receiver, in plain numpy and of known truth."""

from __future__ import annotations

import numpy as np

from sdr.radio.carrier import Carrier, Samples

NARROW = Carrier(1_920_000, 15_000)
MIDDLE = Carrier(7_680_000, 30_000)
WIDE = Carrier(11_520_000, 15_000)


def late(samples: Samples, by: float) -> Samples:
    """Delay by a number of samples, a fraction too, by a phase ramp; what leaves at the end comes in in front."""
    turns = np.fft.fftfreq(len(samples)) * by
    return np.fft.ifft(np.fft.fft(samples.astype(complex)) * np.exp(-2j * np.pi * turns)).astype(np.complex64)


def turned(samples: Samples, carrier: Carrier, offset: float) -> Samples:
    """Move the carrier by `offset` Hz."""
    turns = offset / carrier.rate * np.arange(len(samples))
    return (samples * np.exp(2j * np.pi * turns)).astype(np.complex64)


def noisy(samples: Samples, carrier: Carrier, element: float, snr: float, seed: int = 1) -> Samples:
    """Add white noise `snr` dB below resource elements of power `element`."""
    random = np.random.default_rng(seed)
    noise = random.standard_normal((len(samples), 2), np.float32).view(np.complex64)[:, 0]
    deviation = np.sqrt(element * carrier.fft * 10 ** (-snr / 10) / 2)
    return (samples + noise * deviation).astype(np.complex64)
