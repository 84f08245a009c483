"""Slices, from a topology to fields of OpenFlow and queues of ports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from testbed.control.messages import Match, Slice
from testbed.emulator.messages import WireLink
from testbed.model import slicing

_IPV4, _IPV6 = 0x0800, 0x86DD
_TAGGED = 0x1000  # OFPVID_PRESENT
_PART = 0.98
"""Of a link's rate, at which its queues are emptied: so packets wait where they are told apart, not in the link."""
_LEAST = 0.01


@dataclass(frozen=True, slots=True)
class Queues:
    """Of one port, bit/s. `rate`: of all together. `guaranteed`: queue number to its least, 0 for all other packets."""

    rate: float
    guaranteed: Mapping[int, float]


def sliced(name: str, it: slicing.Slice) -> Slice:
    """Lower a slice: an OpenFlow match for each kind of packet that it has."""
    return Slice(name=name, matches=tuple(_matches(it)), guaranteed=it.guaranteed, maximum=it.maximum)


def _matches(it: slicing.Slice) -> Iterator[Match]:
    tag: Match = (("vlan_vid", _TAGGED | it.vlan),) if it.vlan is not None else ()
    if it.dscp is None and it.prefix is None:
        yield tag
        return
    network = ip_network(it.prefix) if it.prefix is not None else None
    dscp: Match = (("ip_dscp", it.dscp),) if it.dscp is not None else ()
    for version, kind in ((4, _IPV4), (6, _IPV6)):
        whose: Match = (("eth_type", kind), *tag, *dscp)
        if network is None:
            yield whose
        elif network.version == version:
            mask = str(network.network_address), str(network.netmask)
            yield from ((*whose, (f"ipv{version}_{end}", mask)) for end in ("src", "dst"))


def queues(slices: Sequence[Slice], links: Sequence[WireLink]) -> dict[tuple[str, str], Queues]:
    """Return the queues of each port, by node and interface, that leads into a link with a rate."""
    wanted = {number: one.guaranteed for number, one in enumerate(slices, 1) if one.guaranteed is not None}
    found: dict[tuple[str, str], Queues] = {}
    for link in links if wanted else ():
        for end, way in zip(link.ends, (link.forward, link.backward), strict=True):
            if isinstance(way.rate, float) and way.rate > 0:
                rate = _PART * way.rate
                rest = max(_LEAST * rate, rate - sum(wanted.values()))
                found[end.node, end.interface] = Queues(rate, {0: rest, **wanted})
    return found
