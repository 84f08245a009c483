"""What must hold inside a 5G core, wherever its functions are; every problem is told at its own place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from testbed.errors import nearest
from testbed.model.base import Problem
from testbed.model.qos import TABLE

if TYPE_CHECKING:
    from testbed.model.core import Core, CoreSlice, Gnb, Subscribers, Upf

Network = IPv4Network | IPv6Network
Place = tuple[str | int, ...]

IMSI_DIGITS = 15
CELL_BITS = 36
"""Bits of an NR cell identity: the gNB's identifier, and the rest for its cells (TS 38.413, clause 9.3.1.7)."""
LONGEST_V6 = 64
"""A UE gets a /64 of its own (TS 23.501, clause 5.8.2.2.3)."""
_OPERATORS = range(128, 255)
"""5QIs that an operator may give a meaning of its own (TS 24.501, clause 9.11.4.12)."""


def core(it: Core) -> Iterator[Problem]:
    """Give everything wrong inside a core."""
    yield from _once(("plmns",), it.plmns, "PLMN")
    yield from _told_apart(it)
    for name, one in it.slices.items():
        yield from _inside(("slices", name), _slice(it, name, one))
    yield from _differ("slices", {name: one.s_nssai for name, one in it.slices.items()}, "sst", "S-NSSAI")
    yield from _dnns(it)
    yield from _amfs(it)
    yield from _smfs(it)
    yield from _upfs(it)
    yield from _gnbs(it)
    for name, one in it.subscribers.items():
        yield from _inside(("subscribers", name), _subscribers(it, one))
    yield from _ranges(it)
    yield from _room(it)
    for parts in (("amfs",), ("smfs", "upfs")):
        yield from same_address({(p, n): one.address for p in parts for n, one in getattr(it, p).items()})


def same_address(given: Mapping[tuple[str, str], str | None]) -> Iterator[Problem]:
    """Give the functions that would listen where another one does.

    Args:
        given: part of the core and name, to the address; None where it is not known.
    """
    seen: dict[str, str] = {}
    for (part, name), address in given.items():
        if address is None:
            continue
        if address in seen:
            port = "38412 (NGAP)" if part == "amfs" else "8805 (PFCP)"
            expected = f"expected an address that {seen[address]} does not have: each listens on port {port}"
            yield Problem((part, name, "address"), address, expected)
        seen.setdefault(address, name)


def _inside(where: Place, found: Iterable[Problem]) -> Iterator[Problem]:
    for one in found:
        yield Problem((*where, *one.where), one.value, one.expected)


def _once(where: Place, given: Collection[Any], what: str) -> Iterator[Problem]:
    seen: set[Any] = set()
    for index, value in enumerate(given):
        if value in seen:
            yield Problem((*where, index), value, f"expected each {what} once")
        seen.add(value)


def _differ(part: str, values: Mapping[str, Any], key: str, what: str) -> Iterator[Problem]:
    seen: dict[Any, str] = {}
    for name, value in values.items():
        if value in seen:
            shown = " ".join(str(one) for one in value if one is not None) if isinstance(value, tuple) else value
            yield Problem((part, name, key), shown, f"expected another {what} than that of {seen[value]}")
        seen.setdefault(value, name)


def _known(where: Place, given: Iterable[str] | None, known: Collection[str], what: str) -> Iterator[Problem]:
    """Names of a list that mean something, each once."""
    names = tuple(given or ())
    for index, name in enumerate(names):
        if name not in known:
            yield Problem((*where, index), name, f"expected a {what} of this core{nearest(name, known)}")
    yield from _once(where, names, what)


def _told_apart(it: Core) -> Iterator[Problem]:
    for index, plmn in enumerate(it.plmns):
        other = next((one for one in it.plmns if one != plmn and plmn.startswith(one)), None)
        if other is not None:
            expected = f"expected a PLMN that does not begin like {other}: no IMSI would tell which of them it is of"
            yield Problem(("plmns", index), plmn, expected)


def _slice(it: Core, name: str, one: CoreSlice) -> Iterator[Problem]:
    yield from _known(("dnns",), one.dnns, it.dnns, "dnn")
    for index, dnn in enumerate(one.dnns):
        smfs = [smf for smf in it.smfs.values() if dnn in it.dnns_of(smf)]
        if smfs and not any(name in it.slices_of(smf) for smf in smfs):
            yield Problem(("dnns", index), dnn, "expected a data network that an SMF of this slice serves")
    row = TABLE.get(one.five_qi)
    if row is None and one.five_qi not in _OPERATORS:
        expected = (
            f"expected a 5QI of TS 23.501, table 5.7.4-1 ({', '.join(map(str, TABLE))}) or an operator's, 128 to 254"
        )
        yield Problem(("five_qi",), one.five_qi, expected)
    elif row is not None and row.guaranteed and one.gbr is None:
        yield Problem(("five_qi",), one.five_qi, f"expected `gbr` beside a 5QI that is {row.resource}")
    elif row is not None and not row.guaranteed and one.gbr is not None:
        yield Problem(("gbr",), None, f"expected no `gbr` beside 5QI {one.five_qi}, which is {row.resource}")


def _dnns(it: Core) -> Iterator[Problem]:
    seen: list[tuple[str, Network]] = []
    for name, one in it.dnns.items():
        for index, text in enumerate(one.subnets):
            place, subnet = ("dnns", name, "subnets", index), ip_network(text)
            if subnet.version == 6 and subnet.prefixlen > LONGEST_V6:
                yield Problem(
                    place, text, f"expected a prefix of /{LONGEST_V6} or shorter: each UE gets a /{LONGEST_V6}"
                )
            if (other := _overlapped(subnet, seen)) is not None:
                yield Problem(place, text, f"expected a subnet that does not overlap {other}")
            seen.append((f"{text} of {name}", subnet))
        if not any(name in upf.dnns for upf in it.upfs.values()):
            yield Problem(("dnns", name), None, "expected a UPF that leads to this data network; none has it in `dnns`")
        elif not any(name in it.dnns_of(smf) for smf in it.smfs.values()):
            yield Problem(("dnns", name), None, "expected an SMF that serves this data network; none does")
    yield from _differ("dnns", {name: it.dnn_name(name) for name in it.dnns}, "name", "name")


def _overlapped(subnet: Network, others: Iterable[tuple[str, Network]]) -> str | None:
    return next((what for what, other in others if other.version == subnet.version and other.overlaps(subnet)), None)


def _amfs(it: Core) -> Iterator[Problem]:
    for name, one in it.amfs.items():
        yield from _known(("amfs", name, "slices"), one.slices, it.slices, "slice")
        yield from _once(("amfs", name, "tacs"), one.tacs, "tracking area code")
    identities = {name: (one.region, one.set, one.pointer) for name, one in it.amfs.items()}
    yield from _differ("amfs", identities, "pointer", "region, set and pointer")


def _smfs(it: Core) -> Iterator[Problem]:
    tacs = _tacs(it)
    for name, one in it.smfs.items():
        for key, known, what in (("slices", it.slices, "slice"), ("dnns", it.dnns, "dnn"), ("upfs", it.upfs, "upf")):
            yield from _known(("smfs", name, key), getattr(one, key), known, what)
        yield from _on_an_amf(("smfs", name, "tacs"), one.tacs or (), tacs)
        led = {dnn for upf in one.upfs if upf in it.upfs for dnn in it.upfs[upf].dnns}
        for index, dnn in enumerate(one.dnns or ()):
            if dnn in it.dnns and dnn not in led:
                expected = f"expected a data network that one of its UPFs ({', '.join(one.upfs)}) leads to"
                yield Problem(("smfs", name, "dnns", index), dnn, expected)


def _tacs(it: Core) -> set[int]:
    return {tac for amf in it.amfs.values() for tac in amf.tacs}


def _on_an_amf(where: Place, given: Iterable[int], tacs: Collection[int]) -> Iterator[Problem]:
    for index, tac in enumerate(given):
        if tac not in tacs:
            yield Problem((*where, index), tac, _no_amf(tacs))


def _no_amf(tacs: Collection[int]) -> str:
    return f"expected a tracking area that an AMF has ({', '.join(map(str, sorted(tacs)))})"


def _upfs(it: Core) -> Iterator[Problem]:
    reached = {upf for smf in it.smfs.values() for upf in smf.upfs}
    given: dict[str, list[tuple[str, Network]]] = defaultdict(list)
    for name, one in it.upfs.items():
        if name not in reached:
            yield Problem(("upfs", name), None, "expected an SMF that controls this UPF; none has it in `upfs`")
        yield from _on_an_amf(("upfs", name, "tacs"), one.tacs, _tacs(it))
        for dnn in one.dnns:
            if dnn not in it.dnns:
                expected = f"expected a dnn of this core{nearest(dnn, it.dnns)}"
                yield Problem(("upfs", name, "dnns", dnn), None, expected)
                continue
            yield from _inside(("upfs", name, "dnns", dnn), _parts(it, one, dnn, given[dnn]))
            given[dnn] += [(f"{text}, which {name} gives", ip_network(text)) for text in it.subnets_of(one, dnn)]


def _parts(it: Core, one: Upf, dnn: str, given: list[tuple[str, Network]]) -> Iterator[Problem]:
    """Part of the data network's subnets, and nobody else's part."""
    whole = [ip_network(text) for text in it.dnns[dnn].subnets]
    seen: list[tuple[str, Network]] = list(given)
    for index, text in enumerate(it.subnets_of(one, dnn)):
        subnet, place = ip_network(text), (index,) if one.dnns[dnn] else ()
        if not any(_within(subnet, other) for other in whole):
            expected = f"expected a subnet inside those of {dnn} ({', '.join(it.dnns[dnn].subnets)})"
            yield Problem(place, text, expected)
        elif (other := _overlapped(subnet, seen)) is not None:
            expected = f"expected a part of {dnn}'s subnets that does not overlap {other}"
            yield Problem(place, text, expected)
        seen.append((text, subnet))


def _within(subnet: Network, other: Network) -> bool:
    if isinstance(subnet, IPv4Network):
        return isinstance(other, IPv4Network) and subnet.subnet_of(other)
    return isinstance(other, IPv6Network) and subnet.subnet_of(other)


def _gnbs(it: Core) -> Iterator[Problem]:
    for name, one in it.gnbs.items():
        yield from _inside(("gnbs", name), _gnb(it, one))
    yield from _differ("gnbs", {name: one.id << (32 - one.id_length) for name, one in it.gnbs.items()}, "id", "id")


def _gnb(it: Core, one: Gnb) -> Iterator[Problem]:
    if one.id >= 2**one.id_length:
        yield Problem(("id",), one.id, f"expected an id of {one.id_length} bits (`id_length`)")
    if one.cells > 2 ** (CELL_BITS - one.id_length):
        most = 2 ** (CELL_BITS - one.id_length)
        yield Problem(
            ("cells",), one.cells, f"expected at most {most}: {CELL_BITS - one.id_length} bits are left for them"
        )
    yield from _known(("slices",), one.slices, it.slices, "slice")
    if one.tac not in _tacs(it):
        yield Problem(("tac",), one.tac, _no_amf(_tacs(it)))
        return
    served = {slice_ for amf in it.amfs.values() if one.tac in amf.tacs for slice_ in it.slices_of(amf)}
    for index, name in enumerate(one.slices or ()):
        if name in it.slices and name not in served:
            expected = f"expected a slice that an AMF has in tracking area {one.tac} ({', '.join(sorted(served))})"
            yield Problem(("slices", index), name, expected)


def _subscribers(it: Core, one: Subscribers) -> Iterator[Problem]:
    yield from _known(("slices",), one.slices, it.slices, "slice")
    yield from _keys(one)
    plmn = home_of(it, one.first)
    if plmn is None:
        yield Problem(("first",), one.first, f"expected an IMSI that begins with a PLMN ({', '.join(it.plmns)})")
    else:
        digits = IMSI_DIGITS - len(plmn)
        if int(one.first[len(plmn) :]) + one.count > 10**digits:
            expected = f"expected a range that ends within {digits} digits after the PLMN {plmn}"
            yield Problem(("count",), one.count, expected)
    if one.gnb is not None and one.gnb not in it.gnbs:
        yield Problem(("gnb",), one.gnb, f"expected a gnb of this core{nearest(one.gnb, it.gnbs)}")
    elif one.node is not None and one.gnb is None:
        yield Problem(("node",), one.node, "expected `gnb` beside the node of these UEs: the one that they are under")
    for index, name in enumerate(one.slices):
        if name in it.slices and (expected := _unreachable(it, one, name)):
            yield Problem(("slices", index), name, expected)


def home_of(it: Core, imsi: str) -> str | None:
    """Return the PLMN that an IMSI is of, None where it is of none of the core's."""
    return next((plmn for plmn in it.plmns if imsi.startswith(plmn)), None)


def _keys(one: Subscribers) -> Iterator[Problem]:
    pair = (one.k is not None, one.opc is not None)
    if one.derive is None and not any(pair):
        yield Problem((), None, "expected keys of these subscribers: `derive`, or `k` and `opc`")
    elif one.derive is not None and any(pair):
        yield Problem(("derive",), None, "expected either `derive`, or `k` and `opc`")
    elif any(pair) and not all(pair):
        lacking = "opc" if one.opc is None else "k"
        yield Problem((), None, f"expected `{lacking}` too: `k` and `opc` go together")


def _unreachable(it: Core, one: Subscribers, name: str) -> str:
    """Why these subscribers' sessions in a slice cannot be; empty where they can."""
    gnb = it.gnbs.get(one.gnb or "")
    if one.gnb is not None and gnb is None:
        return ""
    if gnb is not None and name not in it.slices_of(gnb):
        return f"expected a slice that {one.gnb} has ({', '.join(it.slices_of(gnb))})"
    amfs = [amf for amf in it.amfs.values() if gnb is None or gnb.tac in amf.tacs]
    if not any(name in it.slices_of(amf) for amf in amfs):
        return f"expected a slice that an AMF has{f' in tracking area {gnb.tac}' if gnb else ''}"
    smfs = [smf for smf in it.smfs.values() if gnb is None or smf.tacs is None or gnb.tac in smf.tacs]
    there = f" in tracking area {gnb.tac}" if gnb else ""
    for dnn in it.slices[name].dnns:
        if dnn in it.dnns and not any(name in it.slices_of(smf) and dnn in it.dnns_of(smf) for smf in smfs):
            return f"expected a slice whose data network {dnn} an SMF serves{there}"
    return ""


def _ranges(it: Core) -> Iterator[Problem]:
    spans = sorted((int(one.first), int(one.first) + one.count, name) for name, one in it.subscribers.items())
    end, before = -1, ""
    for first, after, name in spans:
        if first < end:
            expected = f"expected IMSIs that are not in {before}, which goes up to {end - 1:015d}"
            yield Problem(("subscribers", name, "first"), it.subscribers[name].first, expected)
        if after > end:
            end, before = after, name


def _room(it: Core) -> Iterator[Problem]:
    """Whether all subscribers fit at once: in AMFs and SMFs, in UPFs, in the data networks' addresses."""
    yield from _amf_room(it)
    for dnn in it.dnns:
        wanting = {
            name: one.count
            for name, one in it.subscribers.items()
            if any(dnn in it.slices[s].dnns for s in one.slices if s in it.slices)
        }
        if not wanting:
            continue
        upfs = [upf for upf in it.upfs.values() if dnn in upf.dnns]
        smfs = [smf for smf in it.smfs.values() if dnn in it.dnns_of(smf)]
        limits = [
            (_addresses(it, upfs, dnn), f"addresses of data network {dnn}"),
            (sum(upf.capacity for upf in upfs), f"UEs that the UPFs of {dnn} have room for (`capacity`)"),
            (sum(smf.capacity for smf in smfs), f"UEs that the SMFs of {dnn} have room for (`capacity`)"),
        ]
        for most, what in limits:
            if (upfs and smfs) and sum(wanting.values()) > most:
                yield _too_many(wanting, most, what)


def _amf_room(it: Core) -> Iterator[Problem]:
    everyone = {name: one.count for name, one in it.subscribers.items()}
    most = sum(amf.capacity for amf in it.amfs.values())
    if sum(everyone.values()) > most:
        yield _too_many(everyone, most, "UEs that the AMFs have room for (`capacity`)")
        return
    for tac in sorted({gnb.tac for gnb in it.gnbs.values()} & _tacs(it)):
        gnbs = {name for name, gnb in it.gnbs.items() if gnb.tac == tac}
        there = {name: one.count for name, one in it.subscribers.items() if one.gnb in gnbs}
        most = sum(amf.capacity for amf in it.amfs.values() if tac in amf.tacs)
        if sum(there.values()) > most:
            yield _too_many(there, most, f"UEs that the AMFs of tracking area {tac} have room for (`capacity`)")


def _too_many(wanting: Mapping[str, int], most: int, what: str) -> Problem:
    last, total = list(wanting)[-1], sum(wanting.values())
    expected = f"expected at most {most} subscribers in all, the {what}; there are {total} ({', '.join(wanting)})"
    return Problem(("subscribers", last, "count"), wanting[last], expected)


def _addresses(it: Core, upfs: Iterable[Upf], dnn: str) -> int:
    """How many UEs get an address; with both families each UE needs one of each."""
    room = {4: 0, 6: 0}
    for subnet in {text for upf in upfs if dnn in it.dnns for text in it.subnets_of(upf, dnn)}:
        network = ip_network(subnet)
        # The network's own, the broadcast address and the gateway's are nobody's.
        room[network.version] += (
            max(network.num_addresses - 3, 0) if network.version == 4 else 2 ** max(LONGEST_V6 - network.prefixlen, 0)
        )
    return min((count for count in room.values() if count), default=0)
