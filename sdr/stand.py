"""Built-in radios at all ports of a scenario: where no stack is installed, and the instrument of demos and tests."""

from __future__ import annotations

import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from math import nan
from statistics import median
from typing import Self

import numpy as np
import zmq

from sdr.broker.scenario import Radio, Scenario
from sdr.channel.base import LATENCY, Samples
from sdr.meanwhile import meanwhile
from sdr.radio.carrier import Carrier
from sdr.radio.measurement import Measurement, bler
from sdr.radio.peer import ReceivePort, TransmitPort
from sdr.radio.receiver import Receiver
from sdr.radio.transmitter import Transmitter
from testbed.errors import BadInput, NotReady

_TURN = 0.2
"""Seconds after which a port that waits for samples looks whether it shall end."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one receiver heard in a number of slots; medians, but for the block error rate.

    Attributes:
        radio: who listens. source: whom it hears; None where it finds nobody. slots: that it measured.
        gain: of power, over what was sent, dB. snr: dB.
        delay: seconds, without what all channels have; of radios that were there from the start.
        offset: of the carrier, Hz. evm, bler: fractions of 1.
    """

    radio: str
    source: str | None = None
    slots: int = 0
    gain: float = nan
    snr: float = nan
    delay: float = nan
    offset: float = nan
    evm: float = nan
    bler: float = nan


class _Silence:
    """What other antennas than the first send."""

    def read(self, n: int) -> Samples:
        return np.zeros(n, np.complex64)


class _Ear:
    """Keeps what a receiver measures, and counts samples; without a receiver, for other antennas, it only counts."""

    def __init__(self, receiver: Receiver | None, news: threading.Condition) -> None:
        self._receiver, self._news = receiver, news
        self.count = 0
        self.slots: list[Measurement] = []

    def feed(self, samples: Samples) -> list[Measurement]:
        found = self._receiver.feed(samples) if self._receiver else []
        with self._news:
            self.count += len(samples)
            self.slots += found
            self._news.notify_all()
        return found


class Stand:
    """A radio at every place of a scenario that sends all the time and measures all that it hears; a context manager.

    Each sends at its first antenna and listens at its first. They are told apart by their cell identity, and take the
    strongest that they hear.
    """

    def __init__(self, scenario: Scenario, *, spacing: int = 15_000, order: int = 2) -> None:
        """Take a scenario's radios; nothing listens before the stand is entered.

        Args:
            spacing: between subcarriers, Hz. order: bits of a data point.

        Raises:
            BadInput: they do not know the scenario's rate, or a radio's style or format.
        """
        self.carrier = Carrier(round(scenario.rate), spacing)
        self._radios, self._order = scenario.radios, order
        for name, radio in self._radios.items():
            if (radio.style, radio.format) != ("request", "fc32"):
                raise BadInput(
                    f"{name}: built-in radios have style request and format fc32, not {radio.style}, {radio.format}"
                )
        self._identities = {name: 3 * index + 1 for index, name in enumerate(self._radios)}
        self._news = threading.Condition()
        self._ears: dict[str, _Ear] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Listen and send.

        Raises:
            AddressInUse: somebody listens on a transmit port's address.
        """
        with ExitStack() as stack:
            context = stack.enter_context(zmq.Context())
            for name, radio in self._radios.items():
                self._ears[name] = self._join(stack, context, name, radio)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def hear(self, slots: int, timeout: float, after: int = 0) -> list[Heard]:
        """Let so many slots pass from now on, and say what every receiver heard in them.

        Args:
            timeout: seconds. after: the count of samples at which they begin at the soonest.

        Raises:
            NotReady: samples do not come that fast.
        """
        length = self.carrier.frame // self.carrier.slots
        with self._news:
            # The slot under way is over by then.
            starts = {name: max(ear.count, after) + length for name, ear in self._ears.items()}
            ends = {name: start + slots * length for name, start in starts.items()}
            for ear in self._ears.values():
                ear.slots.clear()
            if not self._news.wait_for(lambda: not self._behind(ends), timeout):
                raise NotReady(
                    f"{', '.join(self._behind(ends))}: no {slots} slots within {timeout:g} s; is the broker up?"
                )
            return [
                self._told(name, [one for one in ear.slots if starts[name] <= one.count < ends[name]])
                for name, ear in self._ears.items()
            ]

    def _behind(self, counts: dict[str, int]) -> list[str]:
        """Who has not come to its count with a slot to spare, in which the last one becomes whole."""
        spare = self.carrier.frame // self.carrier.slots
        return [name for name, count in counts.items() if self._ears[name].count < count + spare]

    def _join(self, stack: ExitStack, context: zmq.Context, name: str, radio: Radio) -> _Ear:
        sender = Transmitter(self.carrier, self._identities[name], self._order, seed=self._identities[name])
        for index, address in enumerate(radio.transmit):
            stack.enter_context(TransmitPort(context, address, _Silence() if index else sender))
        ears = [
            _Ear(None if index else Receiver(self.carrier, self._order), self._news)
            for index in range(len(radio.receive))
        ]
        for address, ear in zip(radio.receive, ears, strict=True):
            port = stack.enter_context(ReceivePort(context, address, ear))
            stack.enter_context(meanwhile(partial(_listen, port)))
        return ears[0]

    def _told(self, name: str, found: list[Measurement]) -> Heard:
        if not found:
            return Heard(name)
        names = {identity: radio for radio, identity in self._identities.items()}
        values = {key: median(getattr(one, key) for one in found) for key in ("rsrp", "snr", "delay", "offset", "evm")}
        return Heard(
            name, names.get(found[-1].cell), len(found), gain=values["rsrp"] - self._sent(), snr=values["snr"],
            delay=values["delay"] - LATENCY / self.carrier.rate, offset=values["offset"], evm=values["evm"],
            bler=bler(found),
        )  # fmt: skip

    def _sent(self) -> float:
        """RSRP of what a transmitter sends, dBFS."""
        return (
            Receiver(self.carrier, self._order)
            .feed(Transmitter(self.carrier, 0, self._order).read(3 * self.carrier.frame))[-1]
            .rsrp
        )


def _listen(port: ReceivePort, stop: threading.Event) -> None:
    """Take all that comes."""
    while not stop.is_set():
        with suppress(NotReady):
            port.take(_TURN)
