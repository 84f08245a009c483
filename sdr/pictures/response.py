"""Impulse response and frequency response of a channel through time, found by sending samples through it.

Any channel can be asked so, whatever it is made of, and the picture shows what samples meet: its filters too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sdr.channel.base import LATENCY, Channel, Samples
from sdr.channel.delays import BAND
from sdr.pictures import style
from testbed.errors import BadInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOMENTS = 192
"""Moments that a picture through time has."""
RANGE = 40.0
"""dB below the strongest that a picture reaches down to."""
_QUIET = 1e-3
"""Share of the strongest amplitude below which nothing more is looked for: what filters leave beside their delay."""
_FINER = 4
"""Points of the impulse response for each sample, so that its curve is smooth."""
_LOOKS = 17
"""Moments at which it is found out when something arrives."""
_CURVE = 256
"""Frequencies shown."""
_KAISER = 6.0
"""Of the window: what it leaves beside a path is 44 dB below it, out of the picture."""
_AROUND = 4
"""Samples shown before the first path and behind the last."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Response:
    """A channel as a probe finds it.

    Attributes:
        rate: samples per second.
        times: of the probes, seconds; one alone where nothing changes in `duration`, seconds.
        delays: seconds. impulse: gain by time and delay, dB. The band's middle 80 %, windowed: one path of gain g has a
            peak of g, and is 5 samples wide at its feet.
        frequencies: Hz from the carrier, the middle 80 % of the band. gain: by time and frequency, dB.
    """

    rate: float
    duration: float
    times: Values
    delays: Values
    impulse: Values
    frequencies: Values
    gain: Values

    @property
    def mean_impulse(self) -> Values:
        """Mean power over time by delay, dB."""
        return _mean(self.impulse, 0)

    @property
    def mean_gain(self) -> Values:
        """Mean power over time by frequency, dB."""
        return _mean(self.gain, 0)

    def summary(self) -> dict[str, float]:
        """Return what one would ask first: gains in dB, a delay in seconds."""
        return {
            "mean_gain": float(_mean(self.gain.ravel(), 0)),
            "least_gain": float(self.gain.min()),
            "greatest_gain": float(self.gain.max()),
            "strongest_delay": float(self.delays[np.argmax(self.mean_impulse)]),
        }

    def plain(self) -> dict[str, Any]:
        """Return the numbers drawn, for JSON; levels to 0.001 dB."""
        axes = {name: getattr(self, name).tolist() for name in ("times", "delays", "frequencies")}
        levels = {name: getattr(self, name).round(3).tolist() for name in ("impulse", "gain")}
        return {"rate": self.rate, "duration": self.duration, **self.summary(), **axes, **levels}


def respond(channel: Channel, rate: float, duration: float) -> Response:
    """Probe a channel through time.

    Args:
        rate: samples per second. duration: seconds from count 0 on.

    Raises:
        BadInput: the duration is no time, or nothing arrives over the channel.
    """
    if not 0 < duration < np.inf:
        raise BadInput(f"duration is {duration} s; expected more than 0")
    counts = np.linspace(0, max(1, round(duration * rate)), MOMENTS).astype(np.int64)
    first, size = _where(channel, counts[np.linspace(0, MOMENTS - 1, _LOOKS).astype(int)])
    found = np.array([taps[first : first + size].copy() for taps in _probe(channel, counts)])
    frequencies, gains = _spectrum(found, rate)
    shown = np.linspace(0, len(frequencies) - 1, min(_CURVE, len(frequencies))).astype(int)
    delays, impulse = _impulse(gains, frequencies[1] - frequencies[0], size / rate)
    delays += (first - LATENCY) / rate
    times, levels = counts / rate, _decibel(gains[:, shown])
    if float(np.ptp(levels, axis=0).max()) < 0.01:  # nothing changes but phases
        times, levels, impulse = times[:1], levels[:1], impulse[:1]
    return Response(rate, duration, times, delays, impulse, frequencies[shown], levels)


def _probe(channel: Channel, counts: NDArray[np.int64]) -> Iterator[Samples]:
    """Send one sample of magnitude 1 at each count, and give what arrives from that count on; read it at once."""
    line = np.zeros(2 * channel.reach + 1, np.complex64)
    line[channel.reach] = 1
    out = np.empty(channel.reach + 1, np.complex64)
    for count in counts:
        out[:] = 0
        channel.add(line, int(count), out)
        yield out


def _where(channel: Channel, counts: NDArray[np.int64]) -> tuple[int, int]:
    """Return the first sample in which something arrives and the number of samples up to the last, some more around."""
    peaks = np.zeros(channel.reach + 1, np.float32)
    for taps in _probe(channel, counts):
        np.maximum(peaks, np.abs(taps), out=peaks)
    if not peaks.any():
        raise BadInput("nothing arrives over this channel: there is no response to draw")
    heard = np.flatnonzero(peaks > _QUIET * peaks.max())
    first = max(0, int(heard[0]) - LATENCY)
    return first, int(heard[-1]) + 2 * LATENCY - first


def _spectrum(taps: Samples, rate: float) -> tuple[Values, NDArray[np.complex128]]:
    """Return the frequencies (ascending) of the middle 80 % of the band, and the gains there."""
    size = max(512, 2 ** int(np.ceil(np.log2(2 * taps.shape[1]))))
    frequencies = (np.arange(size) - size // 2) * np.float64(rate / size)
    inside = np.abs(frequencies) <= BAND * rate
    return frequencies[inside], np.fft.fftshift(np.fft.fft(taps, size), axes=1)[:, inside]


def _impulse(gains: NDArray[np.complex128], step: float, span: float) -> tuple[Values, Values]:
    """Return delays of 0 to `span` seconds at which paths are, and the windowed band's response (dB); `step`: Hz."""
    window = np.kaiser(gains.shape[1], _KAISER)
    size = _FINER * 2 ** int(np.ceil(np.log2(gains.shape[1])))
    padded = np.zeros((len(gains), size), np.complex128)
    padded[:, : len(window)] = gains * (window / window.sum())
    delays = np.arange(size) / (size * step)
    levels = _decibel(np.fft.ifft(padded, axis=1, norm="forward")[:, delays <= span])
    most = levels.max(axis=0)
    paths = np.flatnonzero(most > most.max() - RANGE)
    shown = slice(max(0, paths[0] - _FINER * _AROUND), paths[-1] + _FINER * _AROUND + 1)
    return delays[: len(most)][shown], levels[:, shown]


def _decibel(values: NDArray[np.complexfloating]) -> Values:
    return 20 * np.log10(np.maximum(np.abs(values), 1e-20))


def _mean(levels: Values, axis: int) -> Values:
    return 10 * np.log10(np.mean(10 ** (levels / 10), axis=axis))


# --- the picture -----------------------------------------------------------------------------------------------------


def draw(it: Response, title: str) -> Figure:
    """Draw both responses: through time beside their means, or, where nothing changes, alone."""
    if len(it.times) == 1:
        return _still(it, title)
    picture = style.figure(10, 6.6, title)
    panels = picture.subplots(2, 2, sharex="col", sharey="row", width_ratios=(3, 1))
    top = 5 * np.ceil(max(it.impulse.max(), it.gain.max()) / 5)
    rows = (
        ("delay", *_scaled(it.delays, _TIMES), it.impulse),
        ("frequency", *_scaled(it.frequencies, _HERTZ), it.gain),
    )
    image = None
    for (through, mean), (name, values, unit, levels) in zip(panels, rows, strict=True):
        image = _through_time(through, it.times, values, levels, top)
        mean.plot(_mean(levels, 0), values, color=style.FIRST)
        title = {"delay": "Impulse response", "frequency": "Frequency response"}[name]
        style.label(through, "", f"{name}, {unit}", title)
        mean.set_title("Mean over time")
    panels[1, 0].set_xlabel(f"time, {_scaled(it.times, _TIMES)[1]}")
    panels[1, 1].set_xlabel("gain, dB")
    panels[1, 1].set_xlim(top - RANGE, top)
    if image is not None:
        picture.colorbar(image, ax=panels, label="gain, dB", extend="min", fraction=0.04, pad=0.02)
    return picture


def _through_time(axes: Axes, times: Values, values: Values, levels: Values, top: float) -> Any:
    style.plain(axes)
    across = _scaled(times, _TIMES)[0]
    extent = (across[0], across[-1], values[0], values[-1])
    shown = {"origin": "lower", "aspect": "auto", "extent": extent, "vmin": top - RANGE, "vmax": top}
    return axes.imshow(levels.T, cmap=style.LEVELS, **shown)


def _still(it: Response, title: str) -> Figure:
    picture = style.figure(8, 6, title)
    panels = picture.subplots(2, 1)
    rows = (
        ("Impulse response", "delay", *_scaled(it.delays, _TIMES), it.impulse[0]),
        ("Frequency response", "frequency", *_scaled(it.frequencies, _HERTZ), it.gain[0]),
    )
    for axes, (name, across, values, unit, levels) in zip(panels, rows, strict=True):
        axes.plot(values, levels, color=style.FIRST)
        top = 5 * np.ceil((levels.max() + 0.5) / 5)
        axes.set(xlim=(values[0], values[-1]), ylim=(max(top - RANGE, 5 * np.floor(levels.min() / 5 - 0.2)), top))
        style.label(axes, f"{across}, {unit}", "gain, dB", f"{name}: nothing changes in {it.duration:g} s")
    return picture


_TIMES = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}
_HERTZ = {"GHz": 1e9, "MHz": 1e6, "kHz": 1e3, "Hz": 1.0}


def _scaled(values: Values, units: dict[str, float]) -> tuple[Values, str]:
    """Return values in the largest unit that leaves the greatest 2 or more, and that unit."""
    greatest = float(np.abs(values).max())
    unit = next((name for name, size in units.items() if greatest >= 2 * size), list(units)[-1])
    return values / units[unit], unit
