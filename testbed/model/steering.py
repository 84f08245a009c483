"""Where switches of our own controller send packets, beside the shortest paths."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from testbed.model.base import Model, Name, Problem, refuse


class Pair(Model):
    """Packets from one node to another."""

    source: Name
    destination: Name


class PinnedPair(Pair):
    """Packets from one node to another, and the links between switches that they are to take, in order."""

    links: tuple[Name, ...] = Field(min_length=1)


class Steering(Model):
    """What packets on the switches of our own controller do beside taking shortest paths.

    Attributes:
        drained: links that are left as far as there is another way; they stay up.
        pins: packets that take a path of their own; one for each pair.
    """

    drained: tuple[Name, ...] = ()
    pins: tuple[PinnedPair, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        refuse([
            Problem(("drained", index), link, "expected each link once")
            for index, link in enumerate(self.drained)
            if link in self.drained[:index]
        ])  # fmt: skip
        pairs = [(pin.source, pin.destination) for pin in self.pins]
        refuse([
            Problem(("pins", index), " to ".join(pair), "expected one pin for each source and destination")
            for index, pair in enumerate(pairs)
            if pair in pairs[:index]
        ])  # fmt: skip
        return self
