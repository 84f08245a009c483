"""A proposed action: steps on devices, plus what must hold afterwards."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from testbed.model.base import Interface, Model, Name, Rate, Seconds, Share


class ConfigurationStep(Model):
    """Lines in the device's own language, sent byte for byte."""

    device: Name
    configuration: str


class InterfaceStep(Model):
    """Typed settings of one interface; what is not named stays. The adapter renders them."""

    device: Name
    interface: Interface
    cost: int | None = Field(default=None, ge=1, le=65535)
    enabled: bool | None = None
    description: str | None = None
    mtu: int | None = Field(default=None, ge=68, le=9216)


Step = ConfigurationStep | InterfaceStep


class Reachable(Model):
    """Packets from `source` reach `destination` (or must not, with `reachable: false`)."""

    kind: Literal["reachable"]
    source: Name
    destination: str
    reachable: bool = True


class PathIs(Model):
    """The packets' path: devices passed through (`via`), and never (`avoid`), links never used (`avoid_links`)."""

    kind: Literal["path"]
    source: Name
    destination: str
    via: tuple[Name, ...] = ()
    avoid: tuple[Name, ...] = ()
    avoid_links: tuple[Name, ...] = ()


class RoundTrip(Model):
    """RTT at a percentile stays below `below` seconds."""

    kind: Literal["rtt"]
    source: Name
    destination: str
    percentile: float = Field(default=95.0, gt=0, lt=100)
    below: Seconds


class Loss(Model):
    """Share of packets lost stays below `below`."""

    kind: Literal["loss"]
    source: Name
    destination: str
    below: Share


class Throughput(Model):
    """TCP reaches at least `above` bit/s."""

    kind: Literal["throughput"]
    source: Name
    destination: str
    above: Rate


class Adjacency(Model):
    """A routing neighbour is up (OSPF full, BGP established)."""

    kind: Literal["adjacency"]
    device: Name
    neighbour: Name
    protocol: Literal["ospf", "isis", "bgp"] = "ospf"


class ConvergenceGap(Model):
    """The longest gap in user packets across the change stays below `below` seconds."""

    kind: Literal["convergence"]
    source: Name
    destination: str
    below: Seconds


class NothingElse(Model):
    """Apart from the prefixes listed, no device's route to any prefix changes its next hops."""

    kind: Literal["nothing-else-changed"]
    except_prefixes: tuple[str, ...] = ()


Expectation = Annotated[
    Reachable | PathIs | RoundTrip | Loss | Throughput | Adjacency | ConvergenceGap | NothingElse,
    Field(discriminator="kind"),
]


class Change(Model):
    """A proposed action. `destination` is a device name (its loopback) or an IP address."""

    name: Name
    description: str = ""
    steps: tuple[Step, ...] = Field(min_length=1)
    expect: tuple[Expectation, ...] = Field(min_length=1)
