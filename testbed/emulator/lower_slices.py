"""From a topology's slices to fields of OpenFlow 1.3, and its steering, both ways; beside `lower`."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from testbed.control.messages import Match, Pin, Policy, Slice
from testbed.model import slicing
from testbed.model.steering import PinnedPair, Steering

_IPV4, _IPV6 = 0x0800, 0x86DD
_TAGGED = 0x1000  # OFPVID_PRESENT


def sliced(name: str, it: slicing.Slice) -> Slice:
    """Lower a slice: an OpenFlow match for each kind of packet that it has."""
    return Slice(name=name, matches=tuple(_matches(it)), guaranteed=it.guaranteed, maximum=it.maximum)


def policy_of(it: Steering) -> Policy:
    """Lower what is asked of the paths."""
    pins = tuple(Pin(source=pin.source, destination=pin.destination, links=pin.links) for pin in it.pins)
    return Policy(drained=it.drained, pins=pins)


def steering_of(policy: Policy) -> Steering:
    """Return the steering that lowers to a policy."""
    pins = tuple(PinnedPair(source=pin.source, destination=pin.destination, links=pin.links) for pin in policy.pins)
    return Steering(drained=policy.drained, pins=pins)


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
