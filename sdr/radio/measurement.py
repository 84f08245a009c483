"""What the receiver measures in one slot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sdr.radio.carrier import Carrier, Samples


@dataclass(frozen=True)
class Measurement:
    """One slot as received.

    Attributes:
        carrier: its numerology.
        count: of the receiver's samples at which the slot starts, the earliest path's to a sample or so.
        slot: the slot's place in its frame.
        cell: physical cell identity found.
        rsrp: mean power of a resource element with pilots, dBFS, without the noise in it (TS 38.215 5.1.1).
        snr: mean signal over noise power in a resource element, dB.
        delay: how much later than at the receiver's count 0 the transmitter's frames start, seconds. Frames are
            alike, so it is known up to a frame and given from minus to plus half of one.
        offset: the received carrier's frequency less the receiver's, Hz.
        evm: error vector magnitude of the equalised data, a fraction of the mean amplitude (TS 38.104 annex B).
            The nearest point is taken for the one sent: too small where many blocks fail.
        blocks, failed: data blocks in the slot, and how many have a wrong check.
        response: the channel by subcarrier (`carrier.frequencies`), relative to the transmitter's full scale of one
            resource element, and to the start of the slot at `count`.
        points: the equalised data.
    """

    carrier: Carrier
    count: int
    slot: int
    cell: int
    rsrp: float
    snr: float
    delay: float
    offset: float
    evm: float
    blocks: int
    failed: int
    response: Samples = field(repr=False, compare=False)
    points: Samples = field(repr=False, compare=False)

    def impulse_response(self) -> tuple[NDArray[np.float64], Samples]:
        """Return times from `count` in seconds, ascending, and the channel's response there.

        One path of gain g has a peak of |g|. A Hann window keeps the sides low: a path is 4 bins wide at its feet.
        """
        carrier, n = self.carrier, self.carrier.subcarriers
        window = np.hanning(n).astype(np.float32)
        bins = carrier.to_bins((self.response * window / window.sum())[None])[0]
        taps = np.fft.fftshift(np.fft.ifft(bins, norm="forward"))
        return (np.arange(carrier.fft) - carrier.fft // 2) / carrier.rate, taps.astype(np.complex64)


def bler(measurements: Iterable[Measurement]) -> float:
    """Return the share of blocks with a wrong check; NaN without blocks."""
    counts = [(each.failed, each.blocks) for each in measurements]
    blocks = sum(of for _, of in counts)
    return sum(failed for failed, _ in counts) / blocks if blocks else float("nan")
