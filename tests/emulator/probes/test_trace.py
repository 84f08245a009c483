from __future__ import annotations

import time

import pytest

from testbed.emulator.messages import Trace
from testbed.emulator.probes import trace
from testbed.errors import BadInput


@pytest.mark.parametrize(("destination", "gateway"), [("10.0.2.2", "10.0.1.2"), ("fd00:2::2", "fd00:1::2")])
def test_the_path_is_found_hop_by_hop_with_the_nodes_names(context, destination, gateway):
    result = trace.handle(Trace(source="a", destination=destination), context)
    assert result.reached
    assert [(hop.ttl, hop.address, hop.node) for hop in result.hops] == [(1, gateway, "r"), (2, destination, "b")]
    assert all(hop.rtt is not None and 0 < hop.rtt < 0.05 for hop in result.hops)


def test_an_address_that_nobody_owns_has_no_node(context, lab):
    del lab.owners["10.0.1.2"]
    result = trace.handle(Trace(source="a", destination="10.0.2.2"), context)
    assert [hop.node for hop in result.hops] == [None, "b"]


def test_a_path_that_breaks_off_is_not_reached(context):
    result = trace.handle(Trace(source="a", destination="10.0.9.9"), context)
    assert not result.reached
    assert [hop.node for hop in result.hops] == ["r"]


def test_a_silent_hop_is_left_open_and_the_rest_still_found(context, lab):
    lab.write("r", "ipv4/icmp_ratemask", str(1 << 11))
    lab.write("r", "ipv4/icmp_ratelimit", "1000000")
    silent = trace.handle(Trace(source="a", destination="10.0.2.2", timeout=0.3), context)
    for _ in range(8):  # the kernel lets six through before it is silent
        if silent.hops[0].address is None:
            break
        silent = trace.handle(Trace(source="a", destination="10.0.2.2", timeout=0.3), context)
    assert silent.reached
    assert [(hop.address, hop.node) for hop in silent.hops] == [(None, None), ("10.0.2.2", "b")]


def test_no_route_at_the_source_says_so(context, events):
    result = trace.handle(Trace(source="a", destination="10.9.9.9"), context)
    assert (result.hops, result.reached) == ((), False)
    assert "Network is unreachable" in events[0].text


def test_a_dead_destination_ends_within_its_time(context, lab):
    lab.write("r", "ipv4/ip_forward", "0")
    started = time.monotonic()
    result = trace.handle(Trace(source="a", destination="10.0.2.2", timeout=0.3), context)
    assert not result.reached
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("hops", [0, 65, -1])
def test_a_senseless_number_of_hops_is_refused(context, hops):
    with pytest.raises(BadInput, match="max_hops"):
        trace.handle(Trace(source="a", destination="10.0.2.2", max_hops=hops), context)
