"""From what a person wrote to what computes: the channels of a pair, the impairments of a receive port."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import cos, radians, sin

from sdr.broker.front import FrontEnd
from sdr.broker.geometry import Way, way
from sdr.broker.pair import Pair
from sdr.broker.scenario import Direction, Radio, Scenario
from sdr.channel import recorded
from sdr.channel.antennas import pairs
from sdr.channel.base import Channel, Impairment
from sdr.channel.change import Moving
from sdr.channel.fading import profile, rician
from sdr.channel.impairments import Clipping, Imbalance, Jammer, Noise, Offset, PhaseNoise, thermal
from sdr.channel.paths import Gain, Shifted, Still, Taps, decibel
from testbed.errors import BadInput
from testbed.model.propagation import LIGHT

Antennas = dict[tuple[int, int], Channel]
"""By the number of the transmit and of the receive antenna."""


@dataclass(frozen=True, slots=True)
class _Common:
    """What all paths of a pair have in common: amplitude, delay (s), largest Doppler shift (Hz)."""

    gain: float
    delay: float
    doppler: float


def pair_channels(scenario: Scenario, one: Direction) -> Antennas:
    """Build a pair's channels between all antennas that hear each other.

    Raises:
        BadInput: one of them cannot be.
    """
    source, sink = scenario.radios[one.source], scenario.radios[one.sink]
    try:
        if not (source.moves or sink.moves):
            return _at(scenario, one, 0.0)
        return _moving(scenario, one)
    except BadInput as error:
        raise BadInput(f"channel from {one.source} to {one.sink}: {error}") from None


def _moving(scenario: Scenario, one: Direction) -> Antennas:
    step = max(1, round(scenario.motion * scenario.rate))
    first, reach = _everywhere(scenario, one)
    known: dict[int, Antennas] = {}

    def at(count: int, antennas: tuple[int, int]) -> Channel:
        for old in [old for old in known if old < count - step]:
            del known[old]
        if count not in known:
            known[count] = _at(scenario, one, count / scenario.rate)
        found = known[count][antennas]
        return found if found.reach <= reach else Gain(0.0)  # flown beyond what is kept of the past

    return {antennas: Moving(lambda count, antennas=antennas: at(count, antennas), step, reach) for antennas in first}


def _everywhere(scenario: Scenario, one: Direction) -> tuple[Antennas, int]:
    """Return a moving pair's channels at the start, and the reach of all its channels.

    Between waypoints distances are greatest at one of the two: who passes all of them passes everywhere.

    Raises:
        BadInput: somewhere on the way a path loss does not hold.
    """
    ends = (scenario.radios[one.source], scenario.radios[one.sink])
    times = sorted({0.0, *(point.at for end in ends for point in end.waypoints)})
    built = [_at(scenario, one, time) for time in times]
    longest = max(channel.reach for channels in built for channel in channels.values())
    return built[0], max(round(scenario.memory * scenario.rate), longest)


def _at(scenario: Scenario, one: Direction, time: float) -> Antennas:
    """Build a pair's channels as they are at a time in seconds."""
    pair, carrier = one.pair, scenario.carrier or 0.0
    between = way(scenario, *scenario.ends(one.source, one.sink), time, pair.sight)
    gain, delay = stated(scenario, one.source, one.sink, time)
    doppler = between.relative * carrier / LIGHT if pair.doppler is None else pair.doppler
    common = _Common(decibel(gain), delay, doppler)
    return {
        antennas: _shifted(scenario, pair, between, time, channel)
        for antennas, channel in _paths(scenario, one, common).items()
    }


def stated(scenario: Scenario, source: str, sink: str, time: float = 0.0) -> tuple[float, float]:
    """Return what all paths of a pair have in common at a time: gain (dB, sample to sample) and delay (seconds)."""
    pair, radios = scenario.pair(source, sink), scenario.radios
    between = way(scenario, *scenario.ends(source, sink), time, pair.sight)
    gain = radios[source].power - radios[sink].full_scale + pair.gain - pair.blockage - between.loss
    return gain, pair.delay + between.delay


def _shifted(scenario: Scenario, pair: Pair, between: Way, time: float, channel: Channel) -> Channel:
    """Shift all paths by the pair's shift and, where they do not fade by themselves, by that of the radial speed."""
    radial = phase = 0.0
    if pair.profile is None and pair.k is None:
        radial = -between.speed * (scenario.carrier or 0.0) / LIGHT
        # The phase is that of the way at this time, so that it goes on from one place to the next.
        phase = (between.phase - radial * time) % 1.0
    shift = pair.shift + radial
    return Shifted(channel, shift / scenario.rate, phase) if shift or phase else channel


def _paths(scenario: Scenario, one: Direction, common: _Common) -> Antennas:
    pair, rate = one.pair, scenario.rate
    cell, ue = scenario.ends(one.source, one.sink)
    seed = scenario.seed_of(cell, ue)  # one for both directions: what fades one way fades the other way
    sent, heard = len(scenario.radios[one.source].transmit), len(scenario.radios[one.sink].receive)
    downlink = one.source == cell
    if pair.profile is None or (sent, heard) == (1, 1):
        numbers = same_numbers(sent, heard)
        return {(a, b): _path(pair, rate, [*seed, *((a, b) if downlink else (b, a))], common) for a, b in numbers}
    shape = (sent, heard) if downlink else (heard, sent)
    fading = pairs(
        pair.profile, rate, seed, shape, pair.correlation,
        doppler=common.doppler, spread=pair.spread, gain=common.gain, delay=common.delay,
    )  # fmt: skip
    return {(a, b): fading[a][b] if downlink else fading[b][a] for a in range(sent) for b in range(heard)}


def _path(pair: Pair, rate: float, seed: list[int], common: _Common) -> Channel:
    gain, delay, doppler = common.gain, common.delay, common.doppler
    if pair.profile is not None:
        return profile(pair.profile, rate, seed, doppler=doppler, spread=pair.spread, gain=gain, delay=delay)
    if pair.k is not None:
        return Taps([delay * rate], rician(10 ** (pair.k / 10), doppler / rate, seed, gain**2))
    if pair.recorded is not None:
        return recorded.read(pair.recorded, rate, gain, delay)
    if pair.taps is not None:
        gains = [gain * 10 ** (tap.gain / 20) * _turned(tap.phase) for tap in pair.taps]
        return Taps([(delay + tap.delay) * rate for tap in pair.taps], Still(tuple(gains)))
    samples = round(delay * rate, 6)
    return Gain(gain, int(samples)) if samples == int(samples) else Taps([samples], Still((gain,)))


def _turned(degrees: float) -> complex:
    return complex(cos(radians(degrees)), sin(radians(degrees)))


def same_numbers(sent: int, heard: int) -> Iterator[tuple[int, int]]:
    """Give the antennas that hear each other where no profile says so: those of one number.

    Where one side has fewer, they count round again.
    """
    fewer = min(sent, heard)
    return ((one, other) for one in range(sent) for other in range(heard) if one % fewer == other % fewer)


def front_end(scenario: Scenario, name: str, index: int) -> tuple[Impairment, ...]:
    radio = scenario.radios[name]
    try:
        return tuple(_impairments(radio.receiver, radio, scenario.rate, [*scenario.seed_of(name), index]))
    except BadInput as error:
        raise BadInput(f"receiver of {name}: {error}") from None


def _impairments(front: FrontEnd, radio: Radio, rate: float, seed: list[int]) -> Iterator[Impairment]:
    if (jammer := front.jammer) is not None:
        tone = None if jammer.tone is None else jammer.tone / rate
        period, on = (max(1, round((value or 0) * rate)) for value in (jammer.period, jammer.on))
        yield Jammer(_ratio(jammer.power), [*seed, 1], tone=tone, period=period, on=on)
    if front.noise is not None:
        yield Noise(noise_power(radio, rate), [*seed, 2])
    if front.offset:
        yield Offset(-front.offset / rate)
    if front.phase_noise is not None:
        yield PhaseNoise([(point.offset, point.density) for point in front.phase_noise], rate, [*seed, 3])
    if front.imbalance is not None:
        yield Imbalance(front.imbalance.gain, radians(front.imbalance.angle))
    if front.clip is not None:
        yield Clipping(front.clip)


def noise_power(radio: Radio, rate: float) -> float:
    """Return the power of a radio's noise over that of a sample of magnitude 1."""
    noise = radio.receiver.noise
    if noise is None:
        return 0.0
    if noise.figure is not None:
        return thermal(rate, noise.figure, radio.full_scale)
    return _ratio(noise.level) if noise.level is not None else _ratio(noise.signal - (noise.snr or 0.0))


def _ratio(db: float) -> float:
    return 10 ** (db / 10)
