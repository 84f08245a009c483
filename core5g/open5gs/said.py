"""What Open5GS's files can say of a core: this much is read back from them, under names that follow from it."""

from __future__ import annotations

from core5g.open5gs.names import dnn_keys, slice_name
from testbed.model.core import Amf, Core, CoreSlice, Dnn, Smf, Upf
from testbed.model.core_places import address_of
from testbed.model.topology import Topology

NODE = "core"
"""The node of AMFs and SMFs, which the files do not name; a UPF's is called as the UPF."""


def said(topology: Topology) -> Core:
    """Return a topology's core as its files say it: no subscribers, base stations, qualities or names of slices.

    Slices are named by their S-NSSAI, data networks by what UEs call them; what is left to a default is written out.
    """
    it = topology.core
    assert it is not None
    keys = dnn_keys([it.dnn_name(name) for name in it.dnns])
    dnn = {name: keys[it.dnn_name(name)] for name in it.dnns}
    known = {name: slice_name(*one.s_nssai) for name, one in it.slices.items()}

    def address(part: str, name: str) -> str:
        return address_of(topology, part, name)

    def served(one: Smf) -> tuple[str, ...]:
        dnns = set(it.dnns_of(one))
        return tuple(sorted(known[name] for name in it.slices_of(one) if set(it.slices[name].dnns) & dnns))

    def dnns_of(one: CoreSlice) -> tuple[str, ...]:
        return tuple(sorted(dnn[name] for name in one.dnns))

    return Core(
        plmns=it.plmns,
        slices={
            known[name]: CoreSlice(sst=one.sst, sd=one.sd, dnns=dnns_of(one)) for name, one in it.slices.items()
        },
        dnns={dnn[name]: _dnn(it, name, dnn[name]) for name in it.dnns},
        amfs={
            name: Amf(
                node=NODE, address=address("amfs", name), region=one.region, set=one.set, pointer=one.pointer,
                tacs=tuple(sorted(one.tacs)), slices=tuple(sorted(known[s] for s in it.slices_of(one))),
                capacity=one.capacity,
            )
            for name, one in it.amfs.items()
        },
        smfs={
            name: Smf(
                node=NODE, address=address("smfs", name), upfs=tuple(sorted(one.upfs)), slices=served(one),
                dnns=tuple(sorted(dnn[d] for d in it.dnns_of(one))),
                tacs=tuple(sorted(set(one.tacs))) if one.tacs else None, capacity=one.capacity,
            )
            for name, one in it.smfs.items()
        },
        upfs={
            name: Upf(
                node=name, address=address("upfs", name), capacity=one.capacity,
                dnns={dnn[d]: tuple(sorted(it.subnets_of(one, d))) for d in one.dnns},
            )
            for name, one in it.upfs.items()
        },
    )  # fmt: skip


def _dnn(it: Core, name: str, key: str) -> Dnn:
    one, called = it.dnns[name], it.dnn_name(name)
    subnets = {subnet for upf in it.upfs.values() if name in upf.dnns for subnet in it.subnets_of(upf, name)}
    return Dnn(name=None if called == key else called, subnets=tuple(sorted(subnets)), dns=one.dns, mtu=one.mtu)
