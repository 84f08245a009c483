"""The 5G core of a topology: slices, data networks, functions and where they are, base stations, subscribers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from testbed.model import core_checks
from testbed.model.base import Flag, HostAddress, Model, Name, Prefix, Rate, refuse
from testbed.model.identity import Apn, Imsi, Plmn, Sst, Tac
from testbed.model.qos import DSCP
from testbed.model.rack import SecretReference
from testbed.model.slicing import Differentiator
from testbed.model.traffic import Dscp

Some = Field(min_length=1)
Count = Annotated[int, Strict(), Field(ge=1, le=10_000_000)]


def _reference(value: Any) -> Any:
    """A topology is kept, shown and sent: what is in it in place of a reference is not even told."""
    if isinstance(value, dict | SecretReference):
        return value
    expected = "expected where the secret is, {file: PATH} or {env: NAME}, never itself (what is there is not shown)"
    raise PydanticCustomError("secret", expected)


Secret = Annotated[SecretReference, BeforeValidator(_reference)]


class Arp(Model):
    """Allocation and retention priority (TS 23.501, clause 5.7.2.2).

    Attributes:
        priority: 1 is admitted first and dropped last. may_preempt: may take others' resources.
        preemptable: others may take its resources.
    """

    priority: Annotated[int, Strict(), Field(ge=1, le=15)] = 8
    may_preempt: Flag = False
    preemptable: Flag = True


class Rates(Model):
    """Bit rates to the UE (`down`) and from it (`up`)."""

    down: Rate
    up: Rate


class CoreSlice(Model):
    """A network slice, and what a subscriber's session in it gets.

    Attributes:
        sst, sd: S-NSSAI (TS 23.003, clause 28.4.2).
        dnns: data networks that sessions go to; the first is the default.
        five_qi: quality of the default flow, or of the guaranteed one (TS 23.501, table 5.7.4-1).
        arp: admission. ambr: maximum of a session's flows without guarantee.
        gbr: guaranteed to each subscriber's flow, of a 5QI that guarantees.
        dscp: of its packets in the transport network; without it that of the 5QI.
    """

    sst: Sst
    sd: Differentiator | None = None
    dnns: Annotated[tuple[Name, ...], Some]
    five_qi: Annotated[int, Strict(), Field(ge=1, le=255)] = 9
    arp: Arp = Arp()
    ambr: Rates = Rates(down=1e9, up=1e9)
    gbr: Rates | None = None
    dscp: Dscp | None = None

    @property
    def s_nssai(self) -> tuple[int, str | None]:
        """What tells it from others."""
        return self.sst, self.sd

    @property
    def marking(self) -> int:
        """DSCP of its packets."""
        return DSCP.get(self.five_qi, 0) if self.dscp is None else self.dscp


class Dnn(Model):
    """A data network.

    Attributes:
        name: that UEs ask for; without it the key. subnets: of the UEs' addresses. dns: servers that UEs are told.
        mtu: that UEs are told.
    """

    name: Apn | None = None
    subnets: Annotated[tuple[Prefix, ...], Some]
    dns: tuple[HostAddress, ...] = ()
    mtu: Annotated[int, Strict(), Field(ge=576, le=9000)] = 1400


class Amf(Model):
    """An access and mobility management function.

    Attributes:
        node: of kind `core`. address: of N2, one of the node's; without it the only one.
        region, set, pointer: its identifier (TS 23.003, clause 2.10.1). tacs: tracking areas.
        slices: all of the core's where not given. capacity: UEs at most.
    """

    node: Name
    address: HostAddress | None = None
    region: Annotated[int, Strict(), Field(ge=0, le=255)] = 2
    set: Annotated[int, Strict(), Field(ge=0, le=1023)] = 1
    pointer: Annotated[int, Strict(), Field(ge=0, le=63)] = 0
    tacs: Annotated[tuple[Tac, ...], Some]
    slices: Annotated[tuple[Name, ...], Some] | None = None
    capacity: Count = 1024


class Smf(Model):
    """A session management function.

    Attributes:
        node: of kind `core`. address: of N4, one of the node's; without it the only one. upfs: that it controls.
        slices, tacs: that it serves; all where not given. dnns: likewise; those that its UPFs lead to where not given.
        capacity: UEs at most.
    """

    node: Name
    address: HostAddress | None = None
    upfs: Annotated[tuple[Name, ...], Some]
    slices: Annotated[tuple[Name, ...], Some] | None = None
    dnns: Annotated[tuple[Name, ...], Some] | None = None
    tacs: Annotated[tuple[Tac, ...], Some] | None = None
    capacity: Count = 1024


class Upf(Model):
    """A user plane function.

    Attributes:
        node: of kind `upf`. address: of N3 and N4, one of the node's; without it the only one.
        dnns: that it leads to, and the part of their subnets that it gives; all of them where the list is empty.
        tacs: tracking areas that it serves before others. capacity: UEs at most.
    """

    node: Name
    address: HostAddress | None = None
    dnns: Annotated[dict[Name, tuple[Prefix, ...]], Some]
    tacs: tuple[Tac, ...] = ()
    capacity: Count = 1024


class Gnb(Model):
    """A base station.

    Attributes:
        node: of kind `gnb`. address: of N2 and N3, one of the node's; without it the only one.
        id, id_length: gNB identifier and its bits (TS 38.413, clause 9.3.1.6). cells: how many.
        tac: tracking area of its cells. slices: all of the core's where not given.
    """

    node: Name
    address: HostAddress | None = None
    id: Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
    id_length: Annotated[int, Strict(), Field(ge=22, le=32)] = 32
    cells: Annotated[int, Strict(), Field(ge=1, le=512)] = 1
    tac: Tac
    slices: Annotated[tuple[Name, ...], Some] | None = None


class Subscribers(Model):
    """A range of subscribers, with consecutive IMSIs.

    Attributes:
        first: IMSI of the first. count: how many. slices: that they may use; the first is the default.
        derive: secret that K and OPc of each are worked out of, with its IMSI.
        k, opc: instead, the same ones for all: 32 hexadecimal digits each.
        node: of kind `ue`, where their interfaces are; without it these subscribers have no UE here.
        gnb: that their UEs are under.
    """

    first: Imsi
    count: Annotated[int, Strict(), Field(ge=1, le=1_000_000)] = 1
    slices: Annotated[tuple[Name, ...], Some]
    derive: Secret | None = None
    k: Secret | None = None
    opc: Secret | None = None
    node: Name | None = None
    gnb: Name | None = None

    def imsis(self) -> Iterator[str]:
        """Give the IMSIs in order."""
        return (f"{number:015d}" for number in range(int(self.first), int(self.first) + self.count))


class Core(Model):
    """A 5G core. Everything is by name; names of slices, data networks and functions are the topology's own.

    Attributes:
        plmns: that it serves; the first is the home network.
    """

    plmns: Annotated[tuple[Plmn, ...], Some]
    slices: Annotated[dict[Name, CoreSlice], Some]
    dnns: Annotated[dict[Name, Dnn], Some]
    amfs: Annotated[dict[Name, Amf], Some]
    smfs: Annotated[dict[Name, Smf], Some]
    upfs: Annotated[dict[Name, Upf], Some]
    gnbs: dict[Name, Gnb] = Field(default_factory=dict)
    subscribers: dict[Name, Subscribers] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(list(core_checks.core(self)))
        return self

    def dnn_name(self, key: str) -> str:
        """Return what UEs call a data network."""
        return self.dnns[key].name or key

    def slices_of(self, one: Amf | Smf | Gnb) -> tuple[str, ...]:
        """Return the names of the slices that a function or base station has."""
        return tuple(self.slices) if one.slices is None else one.slices

    def dnns_of(self, one: Smf) -> tuple[str, ...]:
        """Return the names of the data networks that an SMF serves."""
        if one.dnns is not None:
            return one.dnns
        led = {dnn for name in one.upfs if name in self.upfs for dnn in self.upfs[name].dnns}
        return tuple(dnn for dnn in self.dnns if dnn in led)

    def subnets_of(self, one: Upf, dnn: str) -> tuple[str, ...]:
        """Return the UEs' subnets that a UPF gives in a data network."""
        return one.dnns[dnn] or self.dnns[dnn].subnets
