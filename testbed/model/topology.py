"""The declared network: nodes, links, impairments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, Strict, model_validator

from testbed.model import checks
from testbed.model.base import (
    Address,
    Bytes,
    Controller,
    Flag,
    HostAddress,
    Interface,
    Metric,
    Model,
    Name,
    Number,
    Problem,
    Text,
    Vlan,
    refuse,
)
from testbed.model.core import Core
from testbed.model.impairment import Impairment
from testbed.model.slicing import Slice
from testbed.model.steering import Steering
from testbed.model.traffic import Traffic

Protocol = Literal["static", "ospf", "isis", "bgp"]
Daemon = Literal["zebra", "staticd", "ospfd", "bgpd", "isisd"]


Datapath = Literal["auto", "kernel", "userspace"]
OpenFlow = Literal["OpenFlow10", "OpenFlow13", "OpenFlow14", "OpenFlow15"]

Position = tuple[Number, Number]
"""Longitude and latitude in degrees, or x and y on a plane; for drawings. North is up."""
Amount = Annotated[float, Strict(), Field(ge=0)]


EndSystem = Literal["core", "upf", "gnb", "ue", "host"]
"""What runs in an end system: the 5G core's control plane, a user plane function, a base station, the UEs' interfaces,
or nothing of these."""


class Host(Model):
    """An end system: addresses on its links, one default route.

    Attributes:
        kind: `host`, or what it is to the 5G core (`core`, `upf`, `gnb`, `ue`); it comes up as a host either way.
        exec: commands that run in it once it is built, in order, before the network is waited for; one that fails
            fails the lab. Words are split as a shell does, and nothing else of a shell is done.
    """

    kind: EndSystem
    gateway: HostAddress | None = None
    loopbacks: tuple[Address, ...] = ()
    exec: tuple[Text, ...] = ()
    position: Position | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(checks.commands(self.exec))
        return self


class Router(Model):
    """An FRR router.

    Attributes:
        protocols: what runs when the configuration is rendered from the topology.
        config: FRR configuration text; replaces rendering. In a file, `config_file` names it instead.
        loopbacks: addresses on `lo`, announced by the rendered protocols.
        asn: autonomous system, needed by `bgp`.
        daemons: what runs beside `config`; when None, the daemons whose protocols `config` configures.
        exec: as of a host.
    """

    kind: Literal["router"]
    protocols: tuple[Protocol, ...] = ("ospf",)
    config: str | None = None
    loopbacks: tuple[Address, ...] = ()
    asn: Annotated[int, Strict(), Field(ge=1, le=4294967295)] | None = None
    daemons: tuple[Daemon, ...] | None = None
    exec: tuple[Text, ...] = ()
    position: Position | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse([*checks.router(self), *checks.commands(self.exec)])
        return self


class Bridge(Model):
    """An Ethernet bridge of the kernel; its links' interfaces are its ports.

    Attributes:
        stp: speak the spanning tree protocol (IEEE 802.1D), so that bridges may form rings.
        vlan_filtering: keep VLANs apart (IEEE 802.1Q); a port is in VLAN 1 where its endpoint says nothing else.
    """

    kind: Literal["bridge"]
    stp: Flag = False
    vlan_filtering: Flag = False
    position: Position | None = None


class Switch(Model):
    """An Open vSwitch; its links' interfaces are its ports, numbered from 1 in the order of the links.

    Attributes:
        datapath: who moves the packets: the kernel, or ovs-vswitchd itself; `auto` takes the kernel where it can.
        controller: `testbed` is our own, `none` leaves a learning switch, anything else is where an OpenFlow
            controller listens, as the machine sees it that the lab runs on.
        fail_mode: what it does without its controller: nothing new (`secure`), or learn by itself (`standalone`).
            None means `secure` with a controller and `standalone` without one.
        openflow: version spoken with the controller. dpid: datapath id; None makes it of the name.
        stp: as of a bridge; a switch that learns by itself may then be part of a ring.
    """

    kind: Literal["switch"]
    datapath: Datapath = "auto"
    controller: Controller = "testbed"
    fail_mode: Literal["secure", "standalone"] | None = None
    openflow: OpenFlow = "OpenFlow13"
    dpid: Annotated[int, Strict(), Field(ge=1, le=2**63 - 1)] | None = None
    stp: Flag = False
    position: Position | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(checks.switch(self))
        return self

    @property
    def learns(self) -> bool:
        """Whether it forwards by itself, as a bridge does."""
        return self.controller == "none"


SEGMENTS = (Bridge, Switch)
"""Kinds of nodes that pass frames on: their ports have no addresses, nothing runs in them."""
END_SYSTEMS: tuple[str, ...] = get_args(EndSystem)
"""Kinds of nodes that are hosts to the emulator."""

Node = Annotated[Host | Router | Bridge | Switch, Field(discriminator="kind")]


class Endpoint(Model):
    """One end of a link. In YAML also the short form `node:interface`.

    Attributes:
        cost: OSPF or IS-IS metric of this interface where the configuration is rendered.
        vlan: of a port of a bridge or switch: the VLAN of its untagged frames. trunk: VLANs it carries tagged.
    """

    node: Name
    interface: Interface
    addresses: tuple[Address, ...] = ()
    cost: Metric | None = None
    vlan: Vlan | None = None
    trunk: tuple[Vlan, ...] = ()


class LinkTrace(Model):
    """What plays on a link from the moment that its lab is up; in YAML also one text for both directions.

    Attributes:
        forward, backward: as `testbed trace play` takes it: `csv:FILE`, `mahimahi:FILE`, or a generator's call.
        repeat: begin anew at the end.
    """

    forward: str | None = None
    backward: str | None = None
    repeat: Flag = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not list(self.ways()):
            refuse([Problem((), None, "expected a trace forward or backward")])
        return self

    def ways(self) -> Iterator[tuple[Literal[0, 1], str]]:
        """Give each direction that has a trace: 0 forward, 1 backward."""
        if self.forward is not None:
            yield 0, self.forward
        if self.backward is not None:
            yield 1, self.backward


class Link(Model):
    """A wire between two endpoints.

    Attributes:
        forward: from the first endpoint to the second. backward: the other way.
            In YAML, `impairment:` sets both, and `profile:` names a file of netem_profiles to start from.
        mtu: bytes of IP packet. up: False cuts the wire, both ends lose carrier.
        trace: settings through time, over `forward` and `backward`.
        medium: what it is made of, for people and reports (`fibre 42 km`, `microwave 18 GHz`).
    """

    endpoints: tuple[Endpoint, Endpoint]
    forward: Impairment = Impairment()
    backward: Impairment = Impairment()
    mtu: Annotated[int, Strict(), Field(ge=68, le=65521)] = 1500
    up: Flag = True
    trace: LinkTrace | None = None
    medium: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(checks.link(self))
        return self


class GuestOptions(Model):
    """What the substrate gives a lab.

    Attributes:
        memory: bytes for one guest. guests: how many kernels the lab is spread over.
    """

    memory: Bytes = 768 * 2**20
    guests: Annotated[int, Strict(), Field(ge=1, le=64)] = 1


class Topology(Model):
    """A declared network. `links` is keyed by the link's name (`core1-core2`).

    Attributes:
        demands: how much goes from each node to each other, in the unit of whoever measured it; for load.
        load: what flows from the moment that its lab is up.
        slices: by name, in the order in which packets are told apart; for switches of our own controller.
        steering: what their packets do beside taking shortest paths.
        core: the 5G core whose functions and base stations are on the nodes.
    """

    name: Name
    description: str = ""
    nodes: dict[Name, Node] = Field(min_length=1)
    links: dict[Name, Link] = Field(default_factory=dict)
    demands: dict[Name, dict[Name, Amount]] = Field(default_factory=dict)
    load: Traffic | None = None
    slices: dict[Name, Slice] = Field(default_factory=dict)
    steering: Steering = Steering()
    core: Core | None = None
    guest: GuestOptions = GuestOptions()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(checks.topology(self))
        return self
