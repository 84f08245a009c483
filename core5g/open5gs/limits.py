"""What of a core Open5GS cannot do, each at its place in the topology; read in the sources of 2.7.7 and 2.8.0."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from testbed.model.base import Problem
from testbed.model.core import Core, Smf

MOST_PLMNS = 12  # OGS_MAX_NUM_OF_PLMN
MOST_TACS = 16  # OGS_MAX_NUM_OF_TAI
MOST_SLICES = 8  # OGS_MAX_NUM_OF_SLICE, of an SMF's info
MOST_DNNS = 15  # OGS_MAX_NUM_OF_DNN is 16, and the sixteenth ends the SMF (assertion in src/smf/context.c)
MOST_SUBNETS = 16  # OGS_MAX_NUM_OF_SUBNET
MOST_DNS = 2  # MAX_NUM_OF_DNS, of each family


def problems(it: Core) -> Iterator[Problem]:
    """Give everything that Open5GS cannot do, by its place in the topology."""
    for one in _problems(it):
        yield Problem(("core", *one.where), one.value, one.expected)


def _problems(it: Core) -> Iterator[Problem]:
    if len(it.plmns) > MOST_PLMNS:
        yield Problem(("plmns",), len(it.plmns), f"expected at most {MOST_PLMNS} PLMNs for Open5GS")
    yield from _one_node(it)
    for name, amf in it.amfs.items():
        if len(amf.tacs) > MOST_TACS:
            yield Problem(("amfs", name, "tacs"), len(amf.tacs), f"expected at most {MOST_TACS} for Open5GS")
    for name, smf in it.smfs.items():
        for one in _smf(it, smf):
            yield Problem(("smfs", name, *one.where), one.value, one.expected)
        yield from _told(it, it.dnns_of(smf))
    yield from _shared(it)
    for name, upf in it.upfs.items():
        if upf.tacs:
            expected = "expected the tracking areas at an SMF of this UPF's own: Open5GS's SMF takes a UPF whose dnn " \
                "or tracking area fits, not both"  # fmt: skip
            yield Problem(("upfs", name, "tacs"), list(upf.tacs), expected)
        if sum(len(it.subnets_of(upf, dnn)) for dnn in upf.dnns) > MOST_SUBNETS:
            yield Problem(("upfs", name, "dnns"), None, f"expected at most {MOST_SUBNETS} subnets for Open5GS")


def _one_node(it: Core) -> Iterator[Problem]:
    """They speak to each other over loopback."""
    first = next(iter(it.amfs.values())).node
    for part in ("amfs", "smfs"):
        for name, one in getattr(it, part).items():
            if one.node != first:
                expected = (
                    f"expected {first}: for Open5GS all AMFs and SMFs are on one node, beside the other functions"
                )
                yield Problem((part, name, "node"), one.node, expected)


def _smf(it: Core, one: Smf) -> Iterator[Problem]:
    dnns = it.dnns_of(one)
    slices = [name for name in it.slices_of(one) if set(it.slices[name].dnns) & set(dnns)]
    subnets = [subnet for upf in one.upfs for dnn in it.upfs[upf].dnns if dnn in dnns
               for subnet in it.subnets_of(it.upfs[upf], dnn)]  # fmt: skip
    if not slices:
        yield Problem((), None, "expected an SMF with a slice whose data network it serves")
    for count, most, what in (
        (len(slices), MOST_SLICES, "slices"), (len(dnns), MOST_DNNS, "data networks"),
        (len(subnets), MOST_SUBNETS, "subnets"), (len(one.tacs or ()), MOST_TACS, "tracking areas"),
    ):  # fmt: skip
        if count > most:
            yield Problem((), None, f"expected at most {most} {what} of an SMF for Open5GS; there are {count}")
    yield from _its_upfs(it, one)


def _its_upfs(it: Core, one: Smf) -> Iterator[Problem]:
    """The SMF gives any address of a data network, whichever UPF the session is at."""
    seen: dict[str, str] = {}
    for index, name in enumerate(one.upfs):
        dnns = [dnn for dnn in it.dnns_of(one) if dnn in it.upfs[name].dnns]
        if not dnns:
            yield Problem(("upfs", index), name, "expected a UPF that leads to a data network of this SMF")
        for dnn in dnns:
            if dnn in seen:
                expected = (
                    f"expected an SMF of its own for {name}: {seen[dnn]} leads to {dnn} too, and Open5GS's SMF does "
                    "not choose addresses by UPF"
                )
                yield Problem(("upfs", index), name, expected)
            seen.setdefault(dnn, name)


def _told(it: Core, dnns: tuple[str, ...]) -> Iterator[Problem]:
    """An SMF tells all its UEs the same."""
    for dnn in dnns:
        one, first = it.dnns[dnn], it.dnns[dnns[0]]
        if not one.dns:
            expected = "expected `dns` beside it: Open5GS's SMF does not start without a server"
            yield Problem(("dnns", dnn, "subnets"), None, expected)
        for key in ("dns", "mtu"):
            if getattr(one, key) != getattr(first, key):
                expected = f"expected the `{key}` of {dnns[0]}: Open5GS has one for all data networks of an SMF"
                yield Problem(("dnns", dnn, key), None, expected)
        for version in (4, 6):
            if sum(ip_address(server).version == version for server in one.dns) > MOST_DNS:
                expected = f"expected at most {MOST_DNS} IPv{version} servers for Open5GS"
                yield Problem(("dnns", dnn, "dns"), len(one.dns), expected)


def _shared(it: Core) -> Iterator[Problem]:
    seen: dict[tuple[str, str], str] = {}
    for name, one in it.smfs.items():
        for index, upf in enumerate(one.upfs):
            for dnn in (dnn for dnn in it.dnns_of(one) if dnn in it.upfs[upf].dnns):
                first = seen.setdefault((upf, dnn), name)
                if first != name:
                    expected = (
                        f"expected a UPF that {first} does not use for {dnn}: both SMFs would give the same addresses"
                    )
                    yield Problem(("smfs", name, "upfs", index), upf, expected)
