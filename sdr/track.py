"""A pair's channel through time as a link's settings: what packets meet, without sending a sample."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sdr.broker.air import Air
from sdr.broker.build import noise_power, stated
from sdr.broker.scenario import Scenario, port_name
from sdr.channel.base import LATENCY
from sdr.radio.link import RanLink
from testbed.errors import BadInput, nearest
from testbed.model.load import load
from testbed.model.traces.track import Setting, Track, track_of

LEVEL = -12.0
"""dBFS; mean power of what radios send, as of the built-in transmitters: OFDM's peaks are some 11 dB above."""
_LONGEST = 1024
"""Samples of impulse response behind the pair's delay: 89 us at 11.52 Msample/s."""
STEP = 0.1
"""Seconds from one setting to the next of a trace."""
_LEAST = 8.0
"""bit/s, the least that a trace can say; out of range everything is lost anyway."""

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moment:
    """One direction at a time.

    Attributes:
        time: seconds. sinr: at which one resource element alone would carry the mean information of all, dB.
        cqi, mcs: TS 38.214; None of `mcs` out of range. delay, loss, rate: that packets meet; seconds, share, bit/s.
    """

    time: float
    sinr: float
    cqi: int
    mcs: int | None
    delay: float
    loss: float
    rate: float


class Follower:
    """Computes SINRs of a scenario's pairs from the impulse responses of its channels."""

    def __init__(self, scenario: Scenario, ran: RanLink) -> None:
        """Build the scenario's channels.

        Raises:
            BadInput: one cannot be (see air.Air), or the carrier is wider than the sample rate.
        """
        width = ran.blocks * 12 * ran.spacing
        if width > scenario.rate:
            raise BadInput(
                f"{ran.blocks} blocks of {ran.spacing / 1e3:g} kHz are {width / 1e6:g} MHz; the scenario's rate is "
                f"{scenario.rate / 1e6:g} MHz: expected fewer blocks"
            )
        self._scenario, self._ran, self._air = scenario, ran, Air(scenario)
        self._share = width / scenario.rate

    def sinr(self, source: str, sink: str, time: float) -> Values:
        """Return the SINR of a pair's subcarriers at a time, from the lowest on; no decibels.

        On the way to a UE all other cells disturb, which send all the time; on the way to a cell nobody does, for its
        scheduler lets one UE send on a resource. Between the first antennas of both.

        Raises:
            BadInput: no such pair.
        """
        scenario = self._scenario
        if source not in scenario.radios:
            raise BadInput(f"no cell or UE called {source!r} in this scenario{nearest(source, scenario.radios)}")
        down = source in scenario.cells
        senders, listeners = (scenario.cells, scenario.ues) if down else (scenario.ues, scenario.cells)
        if sink not in listeners:
            raise BadInput(f"{source} is not heard by {sink!r}; expected one of {', '.join(listeners)}")
        others = [name for name in senders if down and name != source]
        # What is sent lies in `share` of the band, and so does that share of the noise.
        noise = noise_power(scenario.radios[sink], scenario.rate) * self._share
        disturbed = noise + sum((self._heard(other, sink, time) for other in others), np.zeros(1))
        with np.errstate(divide="ignore"):
            return self._heard(source, sink, time) / disturbed

    def moments(self, source: str, sink: str, times: Values) -> list[Moment]:
        """Return what packets of one direction meet at each time; times ascend.

        Raises:
            BadInput: no such pair.
        """
        return [self._moment(float(time), _effective(self.sinr(source, sink, float(time)))) for time in times]

    def _moment(self, time: float, sinr: float) -> Moment:
        cqi, met = self._ran.cqi(sinr), self._ran.impairment(sinr)
        mcs = self._ran.mcs(cqi) if cqi else None
        return Moment(time, sinr, cqi, mcs, delay=met.delay, loss=met.loss, rate=met.rate or _LEAST)

    def _heard(self, source: str, sink: str, time: float) -> Values:
        """Power of a pair's subcarriers over a sample of magnitude 1, as if each had all of what is sent."""
        channel = self._air.channels[port_name(source, "tx"), port_name(sink, "rx")]
        rate = self._scenario.rate
        _, delay = stated(self._scenario, source, sink, time)
        before = int(delay * rate)
        arrived = np.zeros(before + LATENCY + _LONGEST, np.complex64)
        line = np.zeros(channel.reach + len(arrived), np.complex64)
        line[channel.reach] = 1
        channel.add(line, round(time * rate), arrived)
        response = np.fft.fftshift(np.fft.fft(arrived[before:], 2 * _LONGEST))
        carried = np.abs(np.fft.fftshift(np.fft.fftfreq(2 * _LONGEST))) < self._share / 2
        return np.abs(response[carried]) ** 2 * 10 ** (LEVEL / 10)


def fitting(rate: float, spacing: int = 15_000) -> int:
    """Return how many resource blocks a sample rate has room for with a fifth left for filters, 275 at most."""
    return max(1, min(275, int(0.8125 * rate / spacing / 12)))


def track(moments: list[Moment]) -> Track:
    """Make a trace of them, for a link of a lab."""
    return track_of((one.time, Setting(delay=one.delay, loss=one.loss, rate=one.rate)) for one in moments)


def read_radio(file: Path, source: str, sink: str, repeat: bool = False) -> Track:
    """Return the trace of one direction between two radios of a scenario, as `trace: radio:FILE` of a link plays it.

    It lasts until the last of their waypoints; a minute where they move without, or the channel fades; else it is one
    setting. The carrier has as many resource blocks as the rate has room for.

    Args:
        repeat: begin anew at its end.

    Raises:
        BadInput: there is no such file, it is no scenario, or has no such pair.
    """
    try:
        found, seconds = _read(file.absolute(), file.stat().st_mtime_ns, source, sink)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; expected a radio scenario") from None
    return replace(found, lap=seconds + STEP) if repeat and seconds else found


@lru_cache(maxsize=64)
def _read(file: Path, changed: int, source: str, sink: str) -> tuple[Track, float]:
    """Return the track, and its seconds, after whose last change nothing differs.

    Args:
        changed: when the file was, so that it is read again then.
    """
    scenario = load(file, Scenario).beside(file.parent)
    follower = Follower(scenario, RanLink(blocks=fitting(scenario.rate)))
    seconds = _lasts(scenario, source, sink)
    return track(follower.moments(source, sink, np.arange(0, seconds + STEP / 2, STEP))), seconds


def _lasts(scenario: Scenario, source: str, sink: str) -> float:
    """Seconds."""
    radios = [scenario.radios[name] for name in (source, sink) if name in scenario.radios]
    arrived = max((radio.waypoints[-1].at for radio in radios if radio.waypoints), default=0.0)
    pair = scenario.pair(source, sink)
    fades = any(value is not None for value in (pair.profile, pair.k, pair.recorded))
    return arrived or (60.0 if fades or any(radio.moves for radio in radios) else 0.0)


def table(moments: list[Moment]) -> str:
    """Write them as a trace's CSV file: times in seconds, delays in ms, rates in bit/s."""
    lines = ["t_s,delay_ms,loss_share,rate_bit"]
    lines += [f"{one.time:.9g},{one.delay * 1e3:.9g},{one.loss:.9g},{one.rate:.9g}" for one in moments]
    return "\n".join([*lines, ""])


def _effective(sinr: Values) -> float:
    """The SINR at which one subcarrier alone would carry the mean information of all (Shannon), dB."""
    with np.errstate(divide="ignore"):
        bits = np.mean(np.log2(1 + np.minimum(sinr, 1e12)))
        return float(10 * np.log10(np.exp2(bits) - 1))
