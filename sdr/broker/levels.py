"""What every receiver hears of every transmitter: measured on one block now and then, beside the stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite, log10

from sdr.broker.build import noise_power, stated
from sdr.broker.scenario import Scenario
from sdr.broker.streams import Receive
from testbed.telemetry.sample import Sample


@dataclass(frozen=True, slots=True)
class Level:
    """A pair of ports, over one block.

    Attributes:
        source, sink: ports. count: of the block's first sample.
        power: as it arrives, over a sample of magnitude 1, dB; minus infinity of silence.
        snr: over the receiver's noise, dB. sinr: over the noise and all others, dB.
        delay: seconds, without those of single paths and without what all channels have.
    """

    source: str
    sink: str
    count: int
    power: float
    snr: float
    sinr: float
    delay: float

    def samples(self, now: float) -> Iterator[Sample]:
        """Give it as samples measured at `now` (Unix seconds); silence has a delay alone."""
        for metric, unit in (("power", "dB"), ("snr", "dB"), ("sinr", "dB"), ("delay", "s")):
            if isfinite(value := getattr(self, metric)):
                yield Sample(f"radio:{self.source}:{self.sink}", metric, value, unit, now, now, "broker")


def levels(scenario: Scenario, sink: str, stream: Receive, names: dict[int, str], length: int) -> list[Level]:
    """Measure the block of `length` samples that a receive port gets next.

    Args:
        sink: the port's name. names: of transmit ports, by their stream's `id`.
    """
    to = sink.rsplit(" ", 1)[0]
    noise, powers = noise_power(scenario.radios[to], scenario.rate), stream.powers(length)
    found: list[Level] = []
    for (transmit, _), power in zip(stream.paths, powers, strict=True):
        source = names[id(transmit)]
        _, delay = stated(scenario, source.rsplit(" ", 1)[0], to, stream.count / scenario.rate)
        others = noise + sum(powers) - power
        found.append(Level(source, sink, stream.count, _db(power, 1.0), _db(power, noise), _db(power, others), delay))
    return found


def _db(power: float, over: float) -> float:
    if power <= 0:
        return -inf
    return 10 * log10(power / over) if over > 0 else inf
