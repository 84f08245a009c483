"""Slices as flows: a packet is metered where it comes in, and nowhere else."""

from __future__ import annotations

from msgspec.structs import replace

from testbed.control.messages import Policy, Slice
from testbed.control.paths import forwarding
from testbed.control.rules import PATHS, SLICES, Marking, Rules, rules
from testbed.emulator.lower_slices import sliced
from testbed.model import slicing
from tests.control.test_paths import ring

URGENT = Slice(name="urgent", matches=((("eth_type", 0x800), ("ip_dscp", 46)),), guaranteed=1e6, maximum=2e6)
BULK = Slice(name="bulk", matches=((("eth_type", 0x800),),), maximum=3e6)


def written(*slices: Slice) -> Rules:
    it = replace(ring(3), slices=slices)
    numbers = {name: number for number, name in enumerate(sorted(it.switches))}
    return rules(forwarding(it, Policy())["s1"], numbers, slices)


def first(own: Rules, **packet: int) -> Marking:
    """Return what the first table does with a packet."""
    flows = [(key, it) for key, it in own.flows.items() if key[0] == SLICES and isinstance(it, Marking)]
    fitting = [(key[1], it) for key, it in flows if all(packet.get(name) == value for name, value in key[2])]
    return max(fitting, key=lambda pair: pair[0])[1]


def test_a_packet_is_metered_where_it_comes_in_and_queued_everywhere():
    own = written(URGENT, BULK)
    edge, cable = 99, 1
    assert own.meters == {1: 2e6, 2: 3e6}
    assert first(own, in_port=edge, eth_type=0x800, ip_dscp=46) == Marking(meter=1, queue=1)
    assert first(own, in_port=cable, eth_type=0x800, ip_dscp=46) == Marking(queue=1)
    assert first(own, in_port=edge, eth_type=0x800, ip_dscp=0) == Marking(meter=2)
    assert first(own, in_port=edge, eth_type=0x806) == Marking()


def test_without_slices_every_packet_goes_straight_to_its_path():
    own = written()
    assert own.meters == {}
    assert [key for key in own.flows if key[0] != PATHS] == [(SLICES, 0, ())]


def test_a_prefix_is_matched_at_both_ends_and_a_dscp_in_both_versions_of_ip():
    prefix = sliced("a", slicing.Slice(prefix="10.1.0.0/16", vlan=7, maximum=1e6))
    tag, mask = ("vlan_vid", 0x1007), ("10.1.0.0", "255.255.0.0")
    assert prefix.matches == tuple((("eth_type", 0x800), tag, (f"ipv4_{end}", mask)) for end in ("src", "dst"))
    dscp = sliced("b", slicing.Slice(dscp=46, maximum=1e6))
    assert dscp.matches == tuple((("eth_type", kind), ("ip_dscp", 46)) for kind in (0x800, 0x86DD))
