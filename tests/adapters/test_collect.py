"""What both adapters read from a real router that speaks OSPF, BGP and IS-IS at once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Adapter, Facts, Neighbour
from adapters.registry import find
from adapters.ssh import SshTransport
from tests.adapters.native_devices import pair, target_of, wait_for

MORE = """interface lo
 ip router isis lab
exit
interface eth1
 ip router isis lab
 isis network point-to-point
 isis hello-interval 1
exit
router isis lab
 net 49.0001.0000.0000.000{own}.00
 is-type level-2-only
exit
ip route 192.0.2.{own}/32 blackhole
router ospf
 redistribute static
exit
router bgp 6500{own}
 no bgp ebgp-requires-policy
 neighbor 10.0.1.{other} remote-as 6500{other}
 neighbor 10.0.1.{other} timers connect 1
 address-family ipv4 unicast
  network 198.51.100.{own}/32
 exit-address-family
exit
ip route 198.51.100.{own}/32 eth1
"""


@pytest.fixture(scope="module")
def adapters(needs_native: None) -> Iterator[dict[str, Adapter]]:
    """Sessions of both families with r1, whose neighbour is r2."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, ExitStack() as opened:
        speaking = pair(Path(folder), lambda number: MORE.format(own=number, other=3 - number))
        r1, _ = opened.enter_context(speaking)
        target = target_of(r1, Path(folder))
        sessions = {name: opened.enter_context(closing(SshTransport("r1", target))) for name in ("frr", "linux")}
        found = {name: find(name)(session) for name, session in sessions.items()}
        wait_for(lambda: protocols(found["frr"].collect()) == {"bgp", "isis", "ospf"}, "every neighbour is full", 40.0)
        wait_for(lambda: "198.51.100.2/32" in routes(found["linux"].collect()), "the kernel has BGP's route", 40.0)
        yield found


def protocols(facts: Facts) -> set[str]:
    return {neighbour.protocol for neighbour in facts.neighbours if neighbour.full}


def routes(facts: Facts) -> dict[str, str]:
    return {route.prefix: route.protocol for route in facts.routes}


def test_neighbours_of_every_protocol_are_told(adapters: dict[str, Adapter]) -> None:
    facts = adapters["frr"].collect()
    assert facts.neighbours == (
        Neighbour("bgp", "", "10.0.1.2", "", "Established", True),
        Neighbour("isis", "eth1", "", "r2", "Up", True),
        Neighbour("ospf", "eth1", "10.0.1.2", "10.255.0.2", "Full/-", True),
    )
    assert adapters["frr"].counters().neighbours == facts.neighbours
    assert adapters["linux"].collect().neighbours == ()
    assert facts.router_id == "10.255.0.1"


def test_the_link_state_database_has_both_routers_and_what_they_redistribute(adapters: dict[str, Adapter]) -> None:
    lsdb: Any = adapters["frr"].collect().lsdb
    (area,) = lsdb["routerLinkStates"]["areas"].values()
    assert {lsa["advertisingRouter"] for lsa in area} == {"10.255.0.1", "10.255.0.2"}
    links = [link for lsa in area for link in lsa["routerLinks"].values() if "neighborRouterId" in link]
    assert {(link["neighborRouterId"], link["tos0Metric"]) for link in links} == {
        ("10.255.0.1", 10),
        ("10.255.0.2", 10),
    }
    assert {"192.0.2.1", "192.0.2.2"} <= {lsa["linkStateId"] for lsa in lsdb["asExternalLinkStates"]}
    assert json.dumps(lsdb)
    assert adapters["linux"].collect().lsdb is None


def test_both_read_the_same_interfaces_addresses_and_states(adapters: dict[str, Adapter]) -> None:
    frr, linux = (
        {i.name: (i.up, i.carrier, i.addresses, i.mtu, i.mac) for i in adapters[name].collect().interfaces if i.mac}
        for name in ("frr", "linux")
    )
    assert frr["eth1"] == linux["eth1"]
    assert frr["eth1"][2] == ("10.0.1.1/30",)


def test_both_count_the_same_packets(adapters: dict[str, Adapter]) -> None:
    before = {name: eth1(adapters[name]) for name in adapters}
    adapters["frr"].ping("10.0.1.2", count=50, interval=0.01)
    for name, adapter in adapters.items():
        moved = eth1(adapter)
        assert moved.tx_packets - before[name].tx_packets >= 50
        assert moved.rx_bytes - before[name].rx_bytes >= 50 * 98


def eth1(adapter: Adapter):
    return next(interface for interface in adapter.counters().interfaces if interface.name == "eth1")


def test_both_read_the_routes_of_every_protocol(adapters: dict[str, Adapter]) -> None:
    frr, linux = (routes(adapters[name].collect()) for name in ("frr", "linux"))
    assert (frr["198.51.100.2/32"], linux["198.51.100.2/32"]) == ("bgp", "bgp")
    assert (frr["10.255.0.2/32"], linux["10.255.0.2/32"]) == ("ospf", "ospf")
    assert (frr["192.0.2.2/32"], linux["192.0.2.2/32"]) == ("ospf", "ospf")
    assert frr["10.0.1.0/30"] == "connected"
    assert linux["10.0.1.0/30"] == "kernel"


def test_both_read_configuration_processor_and_memory(adapters: dict[str, Adapter]) -> None:
    for name, expected in (("frr", "neighbor 10.0.1.2 remote-as 65002"), ("linux", "link set dev eth1 mtu 1500")):
        facts = adapters[name].collect()
        assert expected in facts.running_config
        assert facts.running_config == adapters[name].running_config()
        assert facts.memory is not None
        assert 0 < facts.memory < 1
        wait_for(lambda name=name: adapters[name].collect().cpu is not None, "a CPU share")
