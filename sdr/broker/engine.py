"""The engine: one thread that asks every transmit port for samples and gives every receive port the sum it hears.

A transmit port is asked again as soon as its samples are here, before anything is computed, so that radios, wire and
channels work at the same time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from threading import Event as Flag
from typing import Any, Literal, Self

import numpy as np
import zmq

from sdr.broker.air import Air
from sdr.broker.control import Control, answer
from sdr.broker.levels import Level, levels
from sdr.broker.scenario import Scenario, port_name
from sdr.broker.streams import Receive, Station, Transmit, connect
from sdr.channel.base import Channel, Impairment
from sdr.wire import FORMATS, BadFrame, Inlet, Outlet
from testbed.errors import BadInput, Unable
from testbed.telemetry.sample import Sample

BLOCK = 1 << 16
"""Most samples of an answer: OpenAirInterface has room for 300,000, srsRAN Project for 614,400, 4G for 3,072,000."""

_UNDER_WAY = 3
"""Frames asked for at a time: a radio sends the next one while this one is on its way."""
_TICK = 0.05
What = Literal["joined", "paused", "resumed", "ended", "dropped"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that became of a radio.

    Attributes:
        at: Unix seconds. count: samples on the broker's clock. silence: samples that it stood still before.
        reason: of a drop.
    """

    at: float
    radio: str
    what: What
    count: int
    silence: int = 0
    reason: str = ""

    def __str__(self) -> str:
        told = {
            "joined": f"is there, {self.silence} samples after the start"
            if self.silence
            else "is there from the start",
            "paused": "pauses: the others hear silence until it is back",
            "resumed": f"is back after {self.silence} samples of silence",
            "ended": "has ended: the others hear silence until it starts again",
            "dropped": f"is dropped until it starts again: {self.reason}",
        }
        return f"{self.radio} {told[self.what]} (count {self.count})"


@dataclass(frozen=True, slots=True)
class PortReport:
    """What went through one port so far; samples, on the broker's clock. `clipped`: of a receive port."""

    radio: str
    port: str
    live: bool
    count: int
    clipped: int = 0

    def samples(self, now: float) -> Iterator[Sample]:
        """Give it as samples of the store, measured at `now` (Unix seconds)."""
        for metric, value in (("count", self.count), ("clipped", self.clipped)):
            yield Sample(f"radio:{self.port}", metric, float(value), "1", now, now, "broker")


@dataclass(slots=True, eq=False)
class _Source:
    """A transmit port and the wire to it. `touched`: when it was last heard or asked, in monotonic seconds."""

    station: Station
    stream: Transmit
    inlet: Inlet
    touched: float = 0.0


@dataclass(slots=True, eq=False)
class _Sink:
    """A receive port and the wire to it.

    Attributes:
        known: whether its peer has asked since the radio joined. measure: whether its next block is.
    """

    name: str
    station: Station
    stream: Receive
    outlet: Outlet
    touched: float = 0.0
    known: bool = False
    measure: bool = False


class Broker:
    """Stands between the radios of a scenario.

    Use it as a context manager: it listens and connects at once, and samples go while `run` runs.
    """

    def __init__(
        self,
        scenario: Scenario,
        tell: Callable[[Event], None] = lambda event: None,
        channels: Mapping[tuple[str, str], Channel] | None = None,
        impairments: Mapping[str, Impairment] | None = None,
        *,
        control: str | None = None,
        measured: Callable[[Sequence[Level | PortReport]], None] = lambda found: None,
        every: float = 1.0,
    ) -> None:
        """Args:
            tell: is told what becomes of radios. channels: by transmit and receive port (`port_name`), instead of the
                scenario's. impairments: by receive port.
            control: where it takes questions (see `control`). measured: is told what a receive port hears of every
                transmitter and what has gone through it, each `every` seconds.

        Raises:
            BadInput: a channel cannot be (see air.Air).
            AddressInUse: somebody listens on a receive port's address. Unable: an address cannot be used.
        """
        self._scenario, self._tell = scenario, tell
        self._air = Air(scenario)
        self._measured, self._every, self._measure_at = measured, every, 0.0
        self._last_change = 0
        self._levels: dict[str, list[Level]] = {}
        self._ahead = max(1, round(scenario.ahead * scenario.rate))
        # One thread carries more than this one can compute; a second one is woken anew for every message.
        self._context = zmq.Context(io_threads=1)
        self._poller = zmq.Poller()
        self._handlers: dict[Any, Callable[[], None]] = {}
        self._sources: list[_Source] = []
        self._sinks: list[_Sink] = []
        self._dropped: set[Station] = set()
        self._first = self._opened = 0.0
        self._scratch = np.empty(BLOCK, np.complex64)
        named = {name: _port_names(name, len(radio.transmit)) for name, radio in scenario.radios.items()}
        self.stations = connect(named, channels or self._air.channels, impairments or self._air.impairments)
        self._away = set(self.stations.values())
        self._control: Control | None = None
        try:
            self._open_ports()
            if control is not None:
                self._control = Control(self._context, control, partial(answer, self))
                self._handle(self._control.socket, self._control.serve)
        except Unable:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, stop: Flag) -> None:
        """Pass samples on until `stop` is set, which takes a twentieth of a second to be seen."""
        due = time.monotonic()
        while not stop.is_set():
            for socket, _ in self._poller.poll(self._patience_of_poll()):
                self._handlers[socket]()
            self._pass_on()
            self._ask_all()
            if (now := time.monotonic()) >= due:
                due = now + _TICK
                self._tick(now)

    def report(self) -> list[PortReport]:
        """Return what went through every port so far."""
        return [
            PortReport(name, port, station.live, *self._passed(port, stream))
            for name, station in self.stations.items()
            for port, stream in zip(
                [one for names in _port_names(name, len(station.transmits)) for one in names],
                (*station.transmits, *station.receives),
                strict=True,
            )
        ]

    def _passed(self, port: str, stream: Receive | Transmit) -> tuple[int, int]:
        if isinstance(stream, Transmit):
            return stream.line.count, 0
        return stream.count, self._air.impairments[port].clipped

    def close(self) -> None:
        """Leave all radios and addresses."""
        for source in self._sources:
            source.inlet.close()
        for sink in self._sinks:
            sink.outlet.close()
        if self._control is not None:
            self._control.close()
        self._context.term()

    # --- control -----------------------------------------------------------------------------------------------------

    @property
    def scenario(self) -> Scenario:
        """As it is in force, or will be at the end of all that was changed."""
        return self._air.scenario

    @property
    def levels(self) -> list[Level]:
        """What every receive port heard of every transmitter when it was measured last."""
        return [level for found in self._levels.values() for level in found]

    def become(self, scenario: Scenario, at: int | None = None) -> int:
        """Go over into another scenario of the same radios (see air.Air); for the thread that runs the broker.

        Args:
            at: the count from which it is in force; at once where none is given.

        Returns:
            That count.

        Raises:
            BadInput: that count is over or before an earlier change, or the scenario cannot be.
        """
        soonest = max(self._last_change, *(sink.stream.count for sink in self._sinks))
        if at is not None and at < soonest:
            raise BadInput(f"at is {at}; expected {soonest} or more, which samples and changes have come to already")
        self._air.become(scenario, when := soonest if at is None else at)
        self._last_change = when
        return when

    # --- ports -------------------------------------------------------------------------------------------------------

    def _open_ports(self) -> None:
        for name, radio in self._scenario.radios.items():
            station, form = self.stations[name], FORMATS[radio.format]
            for index, (address, stream) in enumerate(zip(radio.receive, station.receives, strict=True)):
                try:
                    outlet = Outlet(self._context, address, radio.style, form)
                except Unable as error:
                    raise type(error)(f"{name}: {error}") from None
                self._sinks.append(_Sink(port_name(name, "rx", index), station, stream, outlet))
            for address, transmit in zip(radio.transmit, station.transmits, strict=True):
                inlet = Inlet(self._context, address, radio.style, form, _UNDER_WAY)
                self._sources.append(_Source(station, transmit, inlet))
        # In this order one poll's findings are handled: a radio's end before the requests of its next life.
        for source in self._sources:
            self._handle(source.inlet.monitor, lambda source=source: self._changed(source))
        for sink in self._sinks:
            self._handle(sink.outlet.socket, lambda sink=sink: self._requested(sink))
        for source in self._sources:
            self._handle(source.inlet.socket, lambda source=source: self._arrived(source))
            if source.inlet.publishes:
                self._poller.unregister(source.inlet.socket)  # what is not asked for waits in the socket

    def _handle(self, socket: zmq.Socket, handler: Callable[[], None]) -> None:
        self._handlers[socket] = handler
        self._poller.register(socket, zmq.POLLIN)

    def _changed(self, source: _Source) -> None:
        found = source.inlet.changes()
        if False in found:
            self._arrived(source)  # what it had sent before it went counts
            self._ended(source.station)

    def _arrived(self, source: _Source) -> None:
        try:
            samples = source.inlet.take()
        except BadFrame as wrong:
            self._drop(source.station, str(wrong))
            return
        if samples is None or not self._heard(source.station):
            return
        if source.inlet.publishes and source.inlet.socket in self._poller:
            self._poller.unregister(source.inlet.socket)
        self._ask(source, coming=len(samples))
        source.stream.line.append(samples)
        source.touched = time.monotonic()

    def _requested(self, sink: _Sink) -> None:
        new = sink.outlet.hear()
        if new is None:
            return
        wanted = sink.outlet.wanted
        if (new and sink.known) or not wanted:
            self._ended(sink.station)
            sink.outlet.wanted = wanted
        if not wanted or sink.station in self._dropped:
            return
        if not sink.known:
            sink.known, sink.touched = True, time.monotonic()
        if not sink.station.fresh:
            self._heard(sink.station)

    def _ask_all(self) -> None:
        for source in self._sources:
            if source.inlet.idle and source.station not in self._dropped:
                self._ask(source)

    def _ask(self, source: _Source, coming: int = 0) -> None:
        """Ask for samples unless they would run too far ahead.

        Args:
            coming: samples that are here and not in its line yet.
        """
        inlet, line = source.inlet, source.stream.line
        slowest = source.stream.slowest() if self._opened else 0
        line.forget(slowest)
        count = line.count + coming
        if count - slowest < self._ahead and count < self._limit() + self._ahead:
            inlet.ask()
            source.touched = time.monotonic()
            if inlet.publishes:
                self._poller.register(inlet.socket, zmq.POLLIN)

    def _pass_on(self) -> None:
        if not self._opened:
            return
        self._fill()
        limit = self._limit()
        for sink in self._sinks:
            stream = sink.stream
            if not (sink.outlet.wanted and stream.live):
                continue
            stop = min(stream.available(), stream.count + BLOCK, limit)
            if stop > stream.count:
                self._give(sink, stop)

    def _give(self, sink: _Sink, stop: int) -> None:
        samples = self._scratch[: stop - sink.stream.count]
        if sink.measure:
            self._measure(sink, len(samples))
        sink.stream.form(samples)
        if sink.outlet.give(samples):
            sink.stream.count = stop
            sink.touched = time.monotonic()
        elif not sink.outlet.wanted:
            self._ended(sink.station)

    def _measure(self, sink: _Sink, length: int) -> None:
        names = {
            id(stream): port_name(name, "tx", index)
            for name, station in self.stations.items()
            for index, stream in enumerate(station.transmits)
        }
        found = levels(self.scenario, sink.name, sink.stream, names, length)
        self._levels[sink.name], sink.measure = found, False
        count, clipped = self._passed(sink.name, sink.stream)
        self._measured([*found, PortReport(sink.station.name, sink.name, True, count, clipped)])

    def _fill(self) -> None:
        """Silence of those who are away goes as far as the furthest of those who are there has sent."""
        if not self._away:
            return
        furthest = max((source.stream.line.count for source in self._sources if source.station.live), default=0)
        for station in self._away:
            station.stand_still(furthest)

    # --- radios come and go ------------------------------------------------------------------------------------------

    def _heard(self, station: Station) -> bool:
        """Take a radio for present; False for one that was dropped."""
        if station in self._dropped:
            return False
        if not station.live:
            fresh = station.fresh
            station.join()
            self._away.discard(station)
            now = time.monotonic()
            self._touch((one for one in (*self._sources, *self._sinks) if one.station is station), now)
            self._first = self._first or now
            self._say(station, "joined" if fresh else "resumed", station.silence)
        return True

    def _ended(self, station: Station) -> None:
        """Its connection is gone: what comes next comes from a radio that starts anew."""
        told = not station.fresh or station in self._dropped
        self._dropped.discard(station)
        self._leave(station, fresh=True)
        if told:
            self._say(station, "ended")

    def _drop(self, station: Station, reason: str) -> None:
        self._leave(station, fresh=True)
        self._dropped.add(station)
        self._say(station, "dropped", reason=reason)

    def _leave(self, station: Station, fresh: bool) -> None:
        station.leave(fresh)
        self._away.add(station)
        if fresh:
            for sink in self._sinks_of(station):
                sink.known = sink.outlet.wanted = False

    def _sinks_of(self, station: Station) -> Iterator[_Sink]:
        return (sink for sink in self._sinks if sink.station is station)

    def _say(self, station: Station, what: What, silence: int = 0, reason: str = "") -> None:
        count = max(one.line.count for one in station.transmits)
        self._tell(Event(time.time(), station.name, what, count, silence, reason))

    # --- time --------------------------------------------------------------------------------------------------------

    def _limit(self) -> int:
        """The count that nobody may pass now."""
        if not self._scenario.realtime or not self._opened:
            return 1 << 62
        # By whole milliseconds: every answer has its price, whatever its length.
        return int(int((time.monotonic() - self._opened) * 1000) / 1000 * self._scenario.rate)

    def _patience_of_poll(self) -> int:
        """Milliseconds: short where it is time, not a socket, that lets samples go on."""
        return 1 if self._scenario.realtime and self._opened else ceil(_TICK * 1000)

    def _tick(self, now: float) -> None:
        self._let_in(now)
        if self._opened and now >= self._measure_at:
            self._measure_at = now + self._every
            for sink in self._sinks:
                sink.measure = True
        if not self._opened:
            late = self._first and now - self._first > self._scenario.gather
            if late or all(one.live or one in self._dropped for one in self.stations.values()):
                self._opened = now
                self._touch((*self._sources, *self._sinks), now)
            return
        waited = self._waited_for()
        if waited and now - waited[0][2] > self._scenario.patience:
            self._pause(waited[0][3], now)

    def _pause(self, station: Station, now: float) -> None:
        self._leave(station, fresh=False)
        self._say(station, "paused")
        # Who hears it has waited as long as the others, and can answer only now.
        hears = {one.station for one in self._sinks if any(one.stream in sent.readers for sent in station.transmits)}
        self._touch((one for one in (*self._sources, *self._sinks) if one.station in hears), now)

    def _let_in(self, now: float) -> None:
        """Take in radios that have asked for long and sent nothing yet.

        srsRAN's ask as soon as they are opened, send first, and take seconds before they do: nobody should wait for
        them meanwhile. Others send only when they have heard something.
        """
        for sink in self._sinks:
            late = now - sink.touched > self._scenario.patience
            if sink.station.fresh and sink.known and sink.outlet.wanted and late:
                self._heard(sink.station)

    @staticmethod
    def _touch(ports: Iterable[_Source | _Sink], now: float) -> None:
        """Let patience with these ports begin anew."""
        for port in ports:
            port.touched = now

    def _waited_for(self) -> list[tuple[int, bool, float, Station]]:
        """Who holds others up, the one to blame first.

        That is the one furthest behind: the rest may wait for it themselves. Of two that are as far behind, it is
        the one that does not wait for samples.
        """
        found: list[tuple[int, bool, float, Station]] = []
        for sink in self._sinks:
            if not sink.stream.live:
                continue
            waits, count = sink.outlet.wanted, sink.stream.count
            for source in self._sources:
                if not source.station.live or sink.stream not in source.stream.readers:
                    continue
                line = source.stream.line
                if waits and line.count <= count:
                    asks = any(one.outlet.wanted for one in self._sinks_of(source.station))
                    found.append((line.count, asks, source.touched, source.station))
                elif not waits and line.count - count >= self._ahead:
                    found.append((count, False, sink.touched, sink.station))
        return sorted(found, key=lambda one: one[:3])


def _port_names(radio: str, number: int) -> tuple[list[str], list[str]]:
    return [port_name(radio, "tx", index) for index in range(number)], [
        port_name(radio, "rx", index) for index in range(number)
    ]
