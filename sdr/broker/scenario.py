"""A scenario as a person writes it: cells, UEs, the addresses of their ports, and the channel of every pair."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self
from zlib import crc32

from pydantic import BeforeValidator, Field, model_validator

from sdr.broker.front import FrontEnd
from sdr.broker.pair import Pair
from sdr.stacks import checks
from sdr.stacks.model import Stacks
from sdr.wire.ports import Style
from testbed.errors import nearest
from testbed.model.base import (
    Dbm,
    Decibel,
    Flag,
    Frequency,
    Integer,
    Model,
    Name,
    Number,
    Problem,
    Seconds,
    refuse,
)

_TCP = re.compile(r"tcp://([A-Za-z0-9_.*-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_IPC = re.compile(r"ipc://\S{1,107}")  # the kernel's limit of a path of a UNIX socket


Addresses = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1, description="of the radio's antennas in order, as a list; one alone as text"),
]
Place = tuple[str | int, ...]
_MOST_MEMORY = 1 << 26
"""Samples: half a gigabyte for each transmit port."""


Position = tuple[Number, Number, Number]


class Waypoint(Model):
    """Where a radio is at a time.

    Attributes:
        at: since the broker's count 0. position: as of a radio.
    """

    at: Seconds
    position: Position


class Radio(Model):
    """One cell or UE.

    Attributes:
        transmit: where the broker reaches each of the radio's transmit ports: they bind, the broker connects.
        receive: where the broker listens for each of its receive ports: they connect.
        rate: samples/s; the scenario's where none is written.
        style: whether samples go on request (REQ and REP) or are published (srsRAN 4G's PUB and SUB).
        format: of the samples on the wire.
        position: of its antennas, metres to the east, to the north and above the ground; they decide gains and delays.
        velocity: metres a second, the same ways: the radio moves on from its position, without end.
        waypoints: where it is when, in straight lines between them; before the first and behind the last it stands.
        power: what a sample of magnitude 1 is sent with. full_scale: what makes one where it is received.
        receiver: what its receive ports do to the sum of all that arrives.
    """

    transmit: Addresses
    receive: Addresses
    rate: Frequency | None = None
    style: Style = "request"
    format: Literal["fc32", "sc16"] = "fc32"
    position: Position | None = None
    velocity: Position | None = None
    waypoints: tuple[Waypoint, ...] = ()
    power: Dbm = 0.0
    full_scale: Dbm = 0.0
    receiver: FrontEnd = FrontEnd()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse([*_port_problems(self), *_motion_problems(self)])
        return self

    @property
    def placed(self) -> bool:
        """Whether it is somewhere."""
        return self.position is not None or bool(self.waypoints)

    @property
    def moves(self) -> bool:
        """Whether it is not always at the same place."""
        return len(self.waypoints) > 1 or any(self.velocity or ())

    def addresses(self) -> Iterator[tuple[Place, str]]:
        """Give every address, and where in the radio it stands."""
        for way, values in (("transmit", self.transmit), ("receive", self.receive)):
            for index, value in enumerate(values):
                yield ((way, index) if len(values) > 1 else (way,)), value


def _port_problems(it: Radio) -> Iterator[Problem]:
    for place, address in it.addresses():
        found = _TCP.fullmatch(address)
        if not (found and 1 <= int(found[2]) <= 65535) and not _IPC.fullmatch(address):
            yield Problem(place, address, "expected tcp://HOST:PORT or ipc://PATH, such as tcp://127.0.0.1:2000")
    if len(it.transmit) != len(it.receive):
        yield Problem(("receive",), list(it.receive), f"expected as many as transmit has, {len(it.transmit)}")


def _motion_problems(it: Radio) -> Iterator[Problem]:
    if it.waypoints and (it.position or it.velocity):
        yield Problem(("waypoints",), [], "expected no position and no velocity beside waypoints, which say both")
    if it.velocity and not it.position:
        yield Problem(("velocity",), list(it.velocity), "expected a position beside it, where the radio is at first")
    for index, (before, after) in enumerate(pairwise(it.waypoints), start=1):
        if after.at <= before.at:
            yield Problem(
                ("waypoints", index, "at"), after.at, f"expected a time after the one before, {before.at:g} s"
            )


@dataclass(frozen=True, slots=True)
class Direction:
    """One pair, and the way that samples take."""

    source: str
    sink: str
    pair: Pair


class Scenario(Model):
    """Cells, UEs and the channels between them.

    Attributes:
        rate: samples/s of every port.
        cells, ues: by name. Every cell hears every UE and every UE every cell; cells do not hear each other, nor UEs.
        channels: by transmitter, then receiver. A pair that is written one way only is the same the other way.
        other: the channel of pairs that are not written.
        patience: how long others wait for a radio that pauses before it is taken to be silent.
        gather: how long the first radio waits for the others at the start.
        ahead: how far a transmitter may run ahead of its slowest receiver.
        realtime: whether samples are held back to `rate`; else they go as fast as the slowest radio.
        seed: of all that looks random: the same seed repeats a scenario bit for bit.
        carrier: frequency of the carrier, for path losses and Doppler shifts.
        model: the path loss between radios that have positions: free-space, log-distance, or a scenario of TR 38.901.
        exponent, reference: of log-distance, and its loss at 1 m (that of free space where none is written).
        shadowing: whether it is added where the model has it.
        memory: the longest delay that a change while samples go may ask for.
        ramp: how long a change takes to come into force.
        motion: how often the channels of radios that move are computed; in between they go over into each other.
        stacks: the programs that the radios are, where this product is to set them up.
    """

    rate: Frequency
    cells: dict[Name, Radio] = Field(min_length=1)
    ues: dict[Name, Radio] = Field(min_length=1)
    channels: dict[Name, dict[Name, Pair]] = Field(default_factory=dict)
    other: Pair = Pair()
    patience: Seconds = 5.0
    gather: Seconds = 1.0
    ahead: Seconds = 0.02
    realtime: Flag = False
    seed: Annotated[Integer, Field(ge=0)] = 0
    carrier: Frequency | None = None
    model: Literal["free-space", "log-distance", "UMa", "UMi", "RMa", "InH-mixed", "InH-open"] = "free-space"
    exponent: Annotated[Number, Field(gt=0, le=10)] = 2.0
    reference: Decibel | None = None
    shadowing: Flag = True
    memory: Seconds = 1e-3
    ramp: Seconds = 1e-4
    motion: Seconds = 1e-2
    stacks: Stacks | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        found = (_name_problems, _time_problems, _rate_problems, _address_problems, _channel_problems, _place_problems)
        refuse([problem for problems in found for problem in problems(self)])
        refuse(list(checks.problems(self)))
        return self

    @property
    def radios(self) -> dict[str, Radio]:
        """Cells and UEs by name."""
        return {**self.cells, **self.ues}

    def directions(self) -> Iterator[Direction]:
        """Give every pair, in both directions."""
        for cell in self.cells:
            for ue in self.ues:
                yield Direction(cell, ue, self.pair(cell, ue))
                yield Direction(ue, cell, self.pair(ue, cell))

    def seed_of(self, *names: str) -> list[int]:
        """Return the seed of something that has these names: the same, whatever else the scenario holds."""
        return [self.seed, *(crc32(name.encode()) for name in names)]

    def beside(self, folder: Path) -> Self:
        """Return the same with relative paths of recorded channels taken from a folder: that of the scenario's file."""

        def found(pair: Pair) -> Pair:
            return pair if pair.recorded is None else pair.model_copy(update={"recorded": folder / pair.recorded})

        channels = {one: {other: found(pair) for other, pair in sinks.items()} for one, sinks in self.channels.items()}
        return self.model_copy(update={"channels": channels, "other": found(self.other)})

    def ends(self, source: str, sink: str) -> tuple[str, str]:
        """Return which of the two is the cell, and which the UE."""
        return (source, sink) if source in self.cells else (sink, source)

    def pair(self, source: str, sink: str) -> Pair:
        """Return what lies between two radios, one of them a cell and one a UE."""
        written = self.channels.get(source, {}).get(sink)
        return written or self.channels.get(sink, {}).get(source) or self.other


def _radios(it: Scenario) -> Iterator[tuple[Place, str, Radio]]:
    for kind in ("cells", "ues"):
        for name, radio in getattr(it, kind).items():
            yield (kind, name), name, radio


def _name_problems(it: Scenario) -> Iterator[Problem]:
    for name in it.cells.keys() & it.ues.keys():
        yield Problem(("ues", name), name, f"expected another name: a cell is called {name} already")


def _time_problems(it: Scenario) -> Iterator[Problem]:
    if it.patience <= 0:
        yield Problem(("patience",), it.patience, "expected a time above zero, such as 1s")
    for key, example in (("ahead", "20ms"), ("ramp", "100us"), ("motion", "10ms")):
        if (value := getattr(it, key)) * it.rate < 1:
            yield Problem((key,), value, f"expected the time of one sample at least, such as {example}")
    if it.memory * it.rate > _MOST_MEMORY:
        yield Problem(("memory",), it.memory, f"expected {_MOST_MEMORY / it.rate:.3g} s at most at this rate")


def _place_problems(it: Scenario) -> Iterator[Problem]:
    """Where positions decide, the rest that a path loss needs has to be there."""
    if it.reference is not None and it.model != "log-distance":
        yield Problem(("reference",), it.reference, "expected model: log-distance beside it")
    for place, name, radio in _radios(it):
        if radio.placed and it.carrier is None:
            where = "waypoints" if radio.waypoints else "position"
            yield Problem((*place, where), name, "expected the scenario's carrier too, such as carrier: 3.5GHz")
            return
        if radio.velocity and radio.velocity[2] and it.model not in ("free-space", "log-distance"):
            yield Problem((*place, "velocity", 2), radio.velocity[2], f"expected 0: {it.model} is for fixed heights")


def _rate_problems(it: Scenario) -> Iterator[Problem]:
    for place, name, radio in _radios(it):
        if radio.rate not in (None, it.rate):
            wanted = f"{name} has {radio.rate / 1e6:g} MHz: expected {it.rate / 1e6:g} MHz, the scenario's rate"
            yield Problem((*place, "rate"), radio.rate, wanted)


def _address_problems(it: Scenario) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for place, name, radio in _radios(it):
        for inside, address in radio.addresses():
            for taken, user in seen.items():
                if _same(taken, address):
                    yield Problem((*place, *inside), address, f"expected another address: {user} has {taken}")
            seen.setdefault(address, f"{name}'s {inside[0]}")


def _same(one: str, other: str) -> bool:
    """Whether two ports would meet: `*` and 0.0.0.0 are every address."""
    if one == other:
        return True
    first, second = _TCP.fullmatch(one), _TCP.fullmatch(other)
    if not first or not second or first[2] != second[2]:
        return False
    hosts = {_HOSTS.get(found[1], found[1]) for found in (first, second)}
    return len(hosts) == 1 or "*" in hosts


_HOSTS: Mapping[str, str] = {"0.0.0.0": "*", "[::]": "*", "localhost": "127.0.0.1"}


def _channel_problems(it: Scenario) -> Iterator[Problem]:
    radios = it.radios
    for source, sinks in it.channels.items():
        if source not in radios:
            yield Problem(
                ("channels", source), source, f"expected a cell or UE of this scenario{nearest(source, radios)}"
            )
            continue
        others, what = (it.ues, "UE") if source in it.cells else (it.cells, "cell")
        for sink in sinks.keys() - others.keys():
            place = ("channels", source, sink)
            yield Problem(place, sink, f"expected a {what} of this scenario{nearest(sink, others)}")


def port_name(radio: str, way: Literal["tx", "rx"], index: int = 0) -> str:
    """Return the name of a port, such as `gnb tx0`."""
    return f"{radio} {way}{index}"
