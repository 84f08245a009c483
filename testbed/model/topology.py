"""The declared network: nodes, links, impairments."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface
from typing import Annotated, Literal

from pydantic import Field

from testbed.model.base import Bytes, Interface, Model, Name
from testbed.model.impairment import Impairment

Address = IPv4Interface | IPv6Interface
Protocol = Literal["static", "ospf", "isis", "bgp"]
Daemon = Literal["zebra", "staticd", "ospfd", "bgpd", "isisd"]


class Host(Model):
    """An end system: addresses on its links, one default route."""

    kind: Literal["host"]
    gateway: str | None = None
    loopbacks: tuple[Address, ...] = ()


class Router(Model):
    """An FRR router.

    Attributes:
        protocols: what runs when the configuration is rendered from the topology.
        config: FRR configuration text; replaces rendering. In a file, `config_file` names it instead, beside the topology.
        loopbacks: addresses on `lo`, announced by the rendered protocols.
        asn: autonomous system, needed by `bgp`.
    """

    kind: Literal["router"]
    protocols: tuple[Protocol, ...] = ("ospf",)
    config: str | None = None
    config_file: str | None = None
    loopbacks: tuple[Address, ...] = ()
    asn: int | None = Field(default=None, ge=1, le=4294967295)


class Bridge(Model):
    """An Ethernet bridge; its links' interfaces are its ports."""

    kind: Literal["bridge"]


Node = Annotated[Host | Router | Bridge, Field(discriminator="kind")]


class Endpoint(Model):
    """One end of a link. In YAML also the short form `node:interface`.

    Attributes:
        cost: OSPF or IS-IS metric of this interface where the configuration is rendered.
        mac: set when the end must look like the hardware's.
    """

    node: Name
    interface: Interface
    addresses: tuple[Address, ...] = ()
    cost: int | None = Field(default=None, ge=1, le=65535)


class Link(Model):
    """A wire between two endpoints.

    Attributes:
        forward: from the first endpoint to the second. backward: the other way.
            In YAML, `impairment:` sets both, and `profile:` names a file of netem_profiles to start from.
        mtu: bytes of IP packet. up: False cuts the wire, both ends lose carrier.
        medium: what it is made of, for people and reports (`fibre 42 km`, `microwave 18 GHz`).
    """

    endpoints: tuple[Endpoint, Endpoint]
    forward: Impairment = Impairment()
    backward: Impairment = Impairment()
    mtu: int = Field(default=1500, ge=68, le=65521)
    up: bool = True
    medium: str | None = None


class GuestOptions(Model):
    """What the substrate gives a lab.

    Attributes:
        memory: bytes for one guest. guests: how many kernels the lab is spread over.
    """

    memory: Bytes = 768 * 2**20
    guests: int = Field(default=1, ge=1, le=64)


class Topology(Model):
    """A declared network. `links` is keyed by the link's name (`core1-core2`)."""

    name: Name
    description: str = ""
    nodes: dict[Name, Node]
    links: dict[Name, Link] = {}
    guest: GuestOptions = GuestOptions()
