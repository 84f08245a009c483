"""The channels and front ends of a scenario, and how they become others while samples go through them."""

from __future__ import annotations

from collections.abc import Iterator

from sdr.broker.build import front_end, pair_channels
from sdr.broker.scenario import Direction, Scenario, port_name
from sdr.channel.base import Channel, Impairment
from sdr.channel.change import Changing, Replaceable


class Air:
    """All channels between the radios of a scenario, and what their receivers do.

    Attributes:
        scenario: as it is in force at the end of all that was changed.
        channels: by transmit and receive port. impairments: by receive port.
    """

    def __init__(self, scenario: Scenario) -> None:
        """Build them.

        Raises:
            BadInput: a channel cannot be: its file cannot be read, a Doppler shift is too large for the rate, or radios
                are where their path loss does not hold.
        """
        self.scenario = scenario
        reach, ramp = round(scenario.memory * scenario.rate), max(1, round(scenario.ramp * scenario.rate))
        self.channels = {
            (port_name(one.source, "tx", sent), port_name(one.sink, "rx", heard)): Changing(channel, ramp, reach)
            for one in scenario.directions()
            for (sent, heard), channel in pair_channels(scenario, one).items()
        }
        self.impairments = {
            port_name(name, "rx", index): Replaceable(front_end(scenario, name, index))
            for name, radio in scenario.radios.items()
            for index in range(len(radio.receive))
        }

    def become(self, scenario: Scenario, at: int) -> None:
        """Go over into another scenario of the same radios, ports and rate, from count `at` on; all of it or nothing.

        Raises:
            BadInput: as of the constructor, or a delay is longer than samples are kept.
        """
        channels, impairments = list(self._new_channels(scenario)), list(self._new_front_ends(scenario))
        for changing, channel in channels:
            changing.check(channel)
        for changing, channel in channels:
            changing.become(channel, at)
        for replaceable, done in impairments:
            replaceable.become(done, at)
        self.scenario = scenario

    def _new_channels(self, scenario: Scenario) -> Iterator[tuple[Changing, Channel]]:
        before = {(one.source, one.sink): one for one in self.scenario.directions()}
        for one in scenario.directions():
            if _recipe(self.scenario, before[one.source, one.sink]) == _recipe(scenario, one):
                continue
            for (sent, heard), channel in pair_channels(scenario, one).items():
                yield self.channels[port_name(one.source, "tx", sent), port_name(one.sink, "rx", heard)], channel

    def _new_front_ends(self, scenario: Scenario) -> Iterator[tuple[Replaceable, tuple[Impairment, ...]]]:
        for name, radio in scenario.radios.items():
            before = self.scenario.radios[name]
            if (before.receiver, before.full_scale) == (radio.receiver, radio.full_scale):
                continue
            for index in range(len(radio.receive)):
                yield self.impairments[port_name(name, "rx", index)], front_end(scenario, name, index)


def _recipe(scenario: Scenario, one: Direction) -> tuple[object, ...]:
    """All that a pair's channels follow from."""
    radios = scenario.radios
    source, sink = radios[one.source], radios[one.sink]
    places = [(end.position, end.velocity, end.waypoints) for end in (source, sink)]
    losses = (scenario.carrier, scenario.model, scenario.exponent, scenario.reference, scenario.shadowing)
    return one.pair, source.power, sink.full_scale, places, losses, scenario.seed, scenario.motion
