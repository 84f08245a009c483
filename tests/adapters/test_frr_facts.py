"""FRR's own words, as 8.4.4 prints them."""

from __future__ import annotations

import json

from adapters import frr_facts
from adapters.base import Neighbour

ISIS = """{"areas":[{"area":"x","circuits":[
  {"circuit":0,"adj":"r2","interface":"eth1","level":2,"state":"Up","expires-in":"9s","snpa":"2020.2020.2020"},
  {"circuit":1}]}]}"""

BGP = """{"ipv4Unicast":{"routerId":"10.0.0.1","as":65000,"peers":{
  "10.0.0.2":{"remoteAs":1,"state":"Established","peerState":"OK"},
  "10.0.0.9":{"remoteAs":1,"state":"Idle","peerState":"Policy"}}}}"""

ROUTES = """{"10.9.0.0/16":[
  {"prefix":"10.9.0.0/16","protocol":"ospf","selected":true,"metric":20,"nexthops":[
    {"ip":"10.0.2.2","interfaceName":"eth2","active":true},
    {"ip":"10.0.1.2","interfaceName":"eth1","active":true},
    {"ip":"10.0.3.2","interfaceName":"eth3"}]},
  {"prefix":"10.9.0.0/16","protocol":"static","metric":0,"nexthops":[]}]}"""


def test_isis_neighbours_are_those_with_an_adjacency() -> None:
    answers = {frr_facts.ISIS: json.loads(ISIS)}
    assert frr_facts.neighbours(answers) == (Neighbour("isis", "eth1", "", "r2", "Up", True),)


def test_bgp_neighbours_are_full_when_established() -> None:
    found = frr_facts.neighbours({frr_facts.BGP: json.loads(BGP)})
    assert [(neighbour.address, neighbour.full) for neighbour in found] == [("10.0.0.2", True), ("10.0.0.9", False)]


def test_a_bgp_session_is_one_neighbour_whatever_it_carries_and_may_be_bound_to_an_interface() -> None:
    peers = {"peers": {"eth1": {"state": "Established"}, "fd00::2": {"state": "Idle"}}}
    found = frr_facts.neighbours({frr_facts.BGP: {"ipv4Unicast": peers, "ipv6Unicast": peers}})
    assert found == (
        Neighbour("bgp", "", "fd00::2", "", "Idle", False),
        Neighbour("bgp", "eth1", "", "", "Established", True),
    )


def test_routes_are_the_selected_ones_with_their_active_next_hops_sorted() -> None:
    (route,) = frr_facts.routes({frr_facts.ROUTES[0]: json.loads(ROUTES), frr_facts.ROUTES[1]: None})
    assert (route.prefix, route.protocol, route.metric) == ("10.9.0.0/16", "ospf", 20)
    assert route.next_hops == ("10.0.1.2%eth1", "10.0.2.2%eth2")


def test_only_configured_protocols_are_asked_for() -> None:
    running = frr_facts.protocols("hostname r1\nrouter ospf\n ospf router-id 1.1.1.1\nrouter isis x\n net 49.1\n")
    assert running == {"ospf", "isis"}
    assert frr_facts.questions(running, detail=False) == (
        frr_facts.INTERFACES,
        frr_facts.OSPF_INTERFACES,
        frr_facts.OSPF_NEIGHBOURS,
        frr_facts.ISIS,
    )
    assert frr_facts.neighbours(dict.fromkeys(frr_facts.questions(running, detail=True))) == ()


def test_an_interface_that_is_switched_off_has_no_carrier() -> None:
    said = {"eth1": {"administrativeStatus": "down", "linkDetection": True, "mtu": 1500}}
    (found,) = frr_facts.interfaces({frr_facts.INTERFACES: said}, {})
    assert (found.up, found.carrier) == (False, False)
