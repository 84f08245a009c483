"""A scenario as a person writes it: cells, UEs, the addresses of their ports, and the channel of every pair."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from sdr.stacks import checks
from sdr.stacks.model import Stacks
from sdr.wire.ports import Style
from testbed.errors import nearest
from testbed.model.base import Decibel, Flag, Frequency, Model, Name, Problem, Seconds, refuse

_TCP = re.compile(r"tcp://([A-Za-z0-9_.*-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_IPC = re.compile(r"ipc://\S{1,107}")  # the kernel's limit of a path of a UNIX socket


Addresses = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1, description="of the radio's antennas in order, as a list; one alone as text"),
]
Place = tuple[str | int, ...]


class Radio(Model):
    """One cell or UE.

    Attributes:
        transmit: where the broker reaches each of the radio's transmit ports: they bind, the broker connects.
        receive: where the broker listens for each of its receive ports: they connect.
        rate: samples/s; the scenario's where none is written.
        style: whether samples go on request (REQ and REP) or are published (srsRAN 4G's PUB and SUB).
        format: of the samples on the wire.
    """

    transmit: Addresses
    receive: Addresses
    rate: Frequency | None = None
    style: Style = "request"
    format: Literal["fc32", "sc16"] = "fc32"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(list(_port_problems(self)))
        return self

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


class Pair(Model):
    """What happens between a transmitter and a receiver.

    Attributes:
        gain: of power.
    """

    gain: Decibel = 0.0


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
        stacks: the programs that the radios are, where this product is to set them up.
    """

    rate: Frequency
    cells: dict[Name, Radio] = Field(min_length=1)
    ues: dict[Name, Radio] = Field(min_length=1)
    channels: dict[Name, dict[Name, Pair]] = Field(default_factory=dict)
    other: Pair = Pair()
    patience: Seconds = 1.0
    gather: Seconds = 1.0
    ahead: Seconds = 0.02
    realtime: Flag = False
    stacks: Stacks | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse([*_name_problems(self), *_rate_problems(self), *_address_problems(self), *_channel_problems(self)])
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
                yield Direction(cell, ue, self._pair(cell, ue))
                yield Direction(ue, cell, self._pair(ue, cell))

    def _pair(self, source: str, sink: str) -> Pair:
        written = self.channels.get(source, {}).get(sink)
        return written or self.channels.get(sink, {}).get(source) or self.other


def _radios(it: Scenario) -> Iterator[tuple[Place, str, Radio]]:
    for kind in ("cells", "ues"):
        for name, radio in getattr(it, kind).items():
            yield (kind, name), name, radio


def _name_problems(it: Scenario) -> Iterator[Problem]:
    for name in it.cells.keys() & it.ues.keys():
        yield Problem(("ues", name), name, f"expected another name: a cell is called {name} already")
    if it.patience <= 0:
        yield Problem(("patience",), it.patience, "expected a time above zero, such as 1s")
    if it.ahead * it.rate < 1:
        yield Problem(("ahead",), it.ahead, "expected the time of one sample at least, such as 20ms")


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
