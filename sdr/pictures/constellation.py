"""The constellation that the built-in receiver finds, and its error over frequency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sdr.channel.base import Channel, Samples
from sdr.channel.impairments import Noise
from sdr.pictures import style
from sdr.radio import modulation
from sdr.radio.carrier import Carrier
from sdr.radio.measurement import Measurement, bler
from sdr.radio.receiver import Receiver
from sdr.radio.search import window
from sdr.radio.transmitter import Transmitter
from testbed.errors import NotReady

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODULATIONS = {"qpsk": 2, "16qam": 4, "64qam": 6, "256qam": 8}
"""Bits of a point by name."""
POINTS = 20_000
"""Most points drawn; the figures are those of all."""
_PATIENCE = 5
"""Windows of the search without a signal after which there is none."""


@dataclass(frozen=True)
class Constellation:
    """What some slots brought.

    Attributes:
        carrier: its numerology. order: bits of a point. cell: physical cell identity found.
        points: equalised data, `POINTS` at most, evenly picked. slots: measured.
        evm: root mean square over the slots, a fraction. over_frequency: the same by used subcarrier.
        rsrp: dBFS of a resource element. snr: dB. offset: of the carrier, Hz. bler: share of blocks that failed.
    """

    carrier: Carrier
    order: int
    cell: int
    slots: int
    points: Samples
    evm: float
    over_frequency: NDArray[np.float64]
    rsrp: float
    snr: float
    offset: float
    bler: float

    @property
    def name(self) -> str:
        """The modulation's."""
        return next(name for name, order in MODULATIONS.items() if order == self.order).upper()

    def summary(self) -> dict[str, Any]:
        """Return the figures, in SI units."""
        keys = ("order", "cell", "slots", "evm", "rsrp", "snr", "offset", "bler")
        return {"rate": self.carrier.rate, "spacing": self.carrier.spacing, **{k: getattr(self, k) for k in keys}}

    def plain(self) -> dict[str, Any]:
        """Return the numbers drawn, for JSON; points as pairs of I and Q to 0.0001."""
        pairs = self.points.view(np.float32).reshape(-1, 2).astype(float)
        return {
            **self.summary(),
            "points": pairs.round(4).tolist(),
            "frequencies": self.carrier.frequencies.tolist(),
            "evm_over_frequency": self.over_frequency.round(6).tolist(),
        }


def measure(pieces: Iterator[Samples], carrier: Carrier, order: int, slots: int) -> Constellation:
    """Let a receiver listen until it has measured as many slots.

    Args:
        pieces: the samples, cut anyhow. order: bits of a point.

    Raises:
        NotReady: no signal is found, or the samples end before one whole slot. BadInput: samples that are none.
    """
    receiver = Receiver(carrier, order)
    found: list[Measurement] = []
    read = 0
    for piece in pieces:
        read += len(piece)
        found += receiver.feed(piece)
        if len(found) >= slots or (not found and read > _PATIENCE * window(carrier)):
            break
    if not found:
        raise NotReady(
            f"no signal of the built-in transmitter in {read} samples (at {carrier.rate / 1e6:g} Msample/s and "
            f"{carrier.spacing / 1e3:g} kHz; a search needs {window(carrier)} samples): rate, spacing, or noise?"
        )
    return _gather(found[:slots], order)


def _gather(found: Sequence[Measurement], order: int) -> Constellation:
    points = np.concatenate([one.points for one in found])
    wrong = points - modulation.constellation(order)[modulation.decide(points, order)]
    error = np.mean(np.abs(wrong) ** 2, axis=0)
    drawn = np.ascontiguousarray(points.ravel()[:: ceil(points.size / POINTS)])
    means = {key: float(np.mean([getattr(one, key) for one in found])) for key in ("rsrp", "snr", "offset")}
    last = found[-1]
    return Constellation(
        carrier=last.carrier, order=order, cell=last.cell, slots=len(found), points=drawn,
        evm=float(np.sqrt(error.mean())), over_frequency=np.sqrt(error), bler=bler(found), **means,
    )  # fmt: skip


def over_the_air(transmitter: Transmitter, channel: Channel, snr: float, seed: Sequence[int]) -> Iterator[Samples]:
    """Give without end what a transmitter's frames are behind a channel, in white noise.

    Args:
        snr: of a resource element, dB, over a channel of gain 1. seed: of the noise.
    """
    carrier = transmitter.carrier
    power = float(transmitter.amplitude) ** 2 * carrier.fft / 10 ** (snr / 10)
    noise = Noise(power, seed)
    line = np.zeros(channel.reach, np.complex64)
    start = 0
    while True:
        line = np.concatenate((line[len(line) - channel.reach :], transmitter.read(carrier.frame)))
        out = np.zeros(carrier.frame, np.complex64)
        channel.add(line, start, out)
        noise.apply(out, start)
        start += len(out)
        yield out


# --- the picture -----------------------------------------------------------------------------------------------------


def draw(it: Constellation, title: str) -> Figure:
    """Draw the points on those that can be sent, and the error vector magnitude over frequency."""
    picture = style.figure(10, 5.4, title)
    points, error = picture.subplots(1, 2, width_ratios=(1.15, 1))
    _points(points, it)
    error.plot(it.carrier.frequencies / 1e6, 100 * it.over_frequency, color=style.FIRST, linewidth=1.2)
    error.axhline(100 * it.evm, color=style.SECOND, linestyle="--", linewidth=1.2)
    error.set(xlim=it.carrier.frequencies[[0, -1]] / 1e6, ylim=(0, 110 * max(it.over_frequency.max(), 1e-3)))
    style.label(
        error,
        "frequency from the carrier, MHz",
        "EVM, %",
        f"Error vector magnitude over {it.slots} slots: {100 * it.evm:.3g} %",
    )
    return picture


def _points(axes: Axes, it: Constellation) -> None:
    sent = modulation.constellation(it.order)
    axes.plot(it.points.real, it.points.imag, ".", color=style.FIRST, markersize=1.6, alpha=0.35, rasterized=True)
    axes.plot(sent.real, sent.imag, "+", color=style.SECOND, markersize=7, markeredgewidth=1.2)
    reach = max(1.35 * float(np.abs(sent.real).max()), float(np.quantile(np.abs(it.points.view(np.float32)), 0.999)))
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    title = f"{it.name}: SNR {it.snr:.1f} dB, {100 * it.bler:.3g} % of blocks fail"
    style.label(axes, "in phase (mean power: 1)", "quadrature", title)
