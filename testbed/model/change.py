"""A proposed action: steps on devices, plus what must hold afterwards."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Strict, Tag, model_validator

from testbed.model.base import (
    Flag,
    Interface,
    Metric,
    Model,
    Name,
    Number,
    Prefix,
    Problem,
    Rate,
    Seconds,
    Share,
    Target,
    Text,
    refuse,
)
from testbed.model.steering import Pair, PinnedPair


class ConfigurationStep(Model):
    """Lines in the device's own language, sent byte for byte."""

    device: Name
    configuration: Text


class InterfaceStep(Model):
    """Typed settings of one interface; what is not named stays. The adapter renders them."""

    device: Name
    interface: Interface
    cost: Metric | None = None
    enabled: Flag | None = None
    description: str | None = None
    mtu: Annotated[int, Strict(), Field(ge=68, le=9216)] | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if self.cost is None and self.enabled is None and self.description is None and self.mtu is None:
            refuse([Problem((), None, "expected at least one setting: cost, enabled, description, mtu")])
        return self


SWITCHES = "switches"
"""All switches of our own controller are one device, by this name: their paths are settled together."""


class SwitchStep(Model):
    """Where our own controller's switches send packets; what is not named stays.

    Attributes:
        drain: links to leave, as far as there is another way. restore: drained links to take again.
        pin: packets that take a path of their own. unpin: packets that take the shortest paths again.
    """

    drain: tuple[Name, ...] = ()
    restore: tuple[Name, ...] = ()
    pin: PinnedPair | None = None
    unpin: Pair | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.drain or self.restore or self.pin or self.unpin):
            refuse([Problem((), None, "expected at least one link or pair to drain, restore, pin or unpin")])
        both = [index for index, link in enumerate(self.restore) if link in self.drain]
        refuse([Problem(("restore", i), self.restore[i], "expected a link that is not drained too") for i in both])
        return self

    @property
    def device(self) -> str:
        """Name of the device that it is for."""
        return SWITCHES


def _kind_of_step(value: Any) -> str:
    """A step with an `interface` and no `configuration` is typed settings; the words of switches are theirs alone."""
    keys = value if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    if "configuration" in keys:
        return "configuration"
    if any(word in keys for word in SwitchStep.model_fields):
        return "switches"
    return "interface" if "interface" in keys else "configuration"


Step = Annotated[
    Annotated[ConfigurationStep, Tag("configuration")]
    | Annotated[InterfaceStep, Tag("interface")]
    | Annotated[SwitchStep, Tag("switches")],
    Discriminator(_kind_of_step),
]


class Reachable(Model):
    """Packets from `source` reach `destination` (or must not, with `reachable: false`)."""

    kind: Literal["reachable"]
    source: Name
    destination: Target
    reachable: Flag = True


class PathIs(Model):
    """The packets' path: devices passed through (`via`), and never (`avoid`), links never used (`avoid_links`)."""

    kind: Literal["path"]
    source: Name
    destination: Target
    via: tuple[Name, ...] = ()
    avoid: tuple[Name, ...] = ()
    avoid_links: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.via or self.avoid or self.avoid_links):
            refuse([Problem((), None, "expected at least one of via, avoid, avoid_links: else no path could fail it")])
        return self


class RoundTrip(Model):
    """RTT at a percentile stays below `below` seconds."""

    kind: Literal["rtt"]
    source: Name
    destination: Target
    percentile: Number = Field(default=95.0, gt=0, lt=100)
    below: Seconds


class Loss(Model):
    """Share of packets lost stays below `below`."""

    kind: Literal["loss"]
    source: Name
    destination: Target
    below: Share


class Throughput(Model):
    """TCP reaches at least `above` bit/s."""

    kind: Literal["throughput"]
    source: Name
    destination: Target
    above: Rate


class Adjacency(Model):
    """A routing neighbour is up (OSPF Full, BGP Established, IS-IS Up), on every session with it."""

    kind: Literal["adjacency"]
    device: Name
    neighbour: Name
    protocol: Literal["ospf", "isis", "bgp"] = "ospf"


class ConvergenceGap(Model):
    """The longest gap in user packets across the change stays below `below` seconds."""

    kind: Literal["convergence"]
    source: Name
    destination: Target
    below: Seconds


class NothingElse(Model):
    """Apart from the prefixes listed, routes, neighbours and who reaches whom stay as they are."""

    kind: Literal["nothing-else-changed"]
    except_prefixes: tuple[Prefix, ...] = ()


Expectation = Annotated[
    Reachable | PathIs | RoundTrip | Loss | Throughput | Adjacency | ConvergenceGap | NothingElse,
    Field(discriminator="kind"),
]


def flow(expectation: Expectation) -> tuple[str, str] | None:
    """Return source and destination, as they are written, of the packets an expectation speaks of; None without any."""
    if isinstance(expectation, Adjacency | NothingElse):
        return None
    return expectation.source, expectation.destination


class Change(Model):
    """A proposed action. `destination` is a device name (its loopback) or an IP address."""

    name: Name
    description: str = ""
    steps: tuple[Step, ...] = Field(min_length=1)
    expect: tuple[Expectation, ...] = Field(min_length=1)
