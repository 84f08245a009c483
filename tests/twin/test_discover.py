from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.base import Neighbour
from testbed.errors import DeviceError
from testbed.model.impairment import GilbertElliott, Impairment
from testbed.model.load import loads
from testbed.model.topology import Bridge, Endpoint, Link, Router, Topology
from testbed.twin.discover import discover, infer, medium, to_yaml, without_management
from tests.twin.metro import DEVICES, WIRES, change, interface, inventory, lsdb, metro, neighbour


class Saying:
    """An adapter that only has facts, or only an error."""

    def __init__(self, facts=None, error=None):
        self.facts, self.error = facts, error

    def collect(self):
        if self.error:
            raise self.error
        return self.facts


def saying(facts=None, error=None) -> Any:
    return Saying(facts, error)


def kinds(discovery):
    return sorted(note.kind for note in discovery.notes)


def test_the_topology_has_the_devices_links_costs_and_addresses_they_told():
    topology = discover({name: saying(facts) for name, facts in metro().items()}, inventory())
    assert list(topology.nodes) == ["core1", "core2", "agg1", "agg3", "cell1"]
    assert set(topology.links) == {"core1-core2", "core1-agg1", "core2-agg3", "agg1-cell1", "agg3-cell1"}
    link = topology.links["agg3-cell1"]
    assert [(e.node, e.interface, e.cost, str(e.addresses[0])) for e in link.endpoints] == [
        ("agg3", "eth2", 30, "10.0.15.1/30"),
        ("cell1", "eth2", 30, "10.0.15.2/30"),
    ]
    assert link.medium == "microwave 18 GHz"
    assert link.up
    router = topology.nodes["core1"]
    assert isinstance(router, Router)
    assert [str(a) for a in router.loopbacks] == ["10.255.0.1/32"]
    assert router.protocols == ("ospf",)


def test_an_undisturbed_rack_leaves_no_doubt():
    assert infer(metro(), inventory()).notes == ()


def test_a_device_that_does_not_answer_is_named_and_nothing_is_drawn():
    adapters = {name: saying(facts) for name, facts in metro().items()}
    adapters["agg1"] = saying(error=DeviceError("agg1: timed out"))
    with pytest.raises(DeviceError, match="agg1: timed out"):
        discover(adapters, inventory())


def test_the_management_network_is_left_out_and_the_rest_of_the_configuration_is_byte_for_byte():
    topology = infer(metro(), inventory()).topology
    router = topology.nodes["core1"]
    assert isinstance(router, Router)
    assert router.config == metro()["core1"].running_config.replace(
        "interface mgmt\n description out of band\nexit\n", ""
    )
    assert "mgmt" not in to_yaml(topology)


def test_management_by_any_name_is_known_by_being_shared_and_silent():
    facts = metro()
    for name in DEVICES:
        facts = change(facts, name, "mgmt", name="oob0")
        text = facts[name].running_config.replace("interface mgmt", "interface oob0")
        facts[name] = replace(facts[name], running_config=text)
    discovery = infer(facts, inventory())
    assert discovery.notes == ()
    assert len(discovery.topology.links) == len(WIRES)


def test_lines_that_concern_management_go_and_all_others_stay():
    kept = "ip route 10.9.0.0/16 10.0.11.2\nrouter ospf\n network 10.0.11.0/30 area 0\nexit\n"
    gone = "ip route 0.0.0.0/0 10.0.2.2\nip route 10.8.0.0/16 mgmt\ninterface mgmt\n ip address 10.0.2.101/24\nexit\n"
    assert without_management(gone + kept, ["mgmt"], ["10.0.2.0/24"]) == kept


@given(st.text("abc !\n", max_size=200))
def test_configurations_without_management_are_untouched(text):
    assert without_management(text, ["mgmt"], []) == text


def test_a_link_that_is_down_is_discovered_as_down():
    facts = change(metro(), "cell1", "eth1", carrier=False)
    assert not infer(facts, inventory()).topology.links["agg1-cell1"].up


def test_an_end_whose_other_end_is_unknown_leads_to_a_bridge_of_its_own():
    facts = {name: fact for name, fact in metro().items() if name != "cell1"}
    discovery = infer(facts, inventory())
    assert "stub-agg1-eth2" in discovery.topology.links
    assert isinstance(discovery.topology.nodes["stub-agg1-eth2"], Bridge)
    # Two stubs, and the router behind them that the others still know.
    assert kinds(discovery) == ["missing", "stub", "stub"]


def test_a_bare_port_is_told_and_left_out():
    facts = metro()
    facts["core1"] = replace(facts["core1"], interfaces=(*facts["core1"].interfaces, interface("eth9")))
    discovery = infer(facts, inventory())
    assert [(n.kind, n.where) for n in discovery.notes] == [("stub", "core1:eth9")]
    assert len(discovery.topology.links) == len(WIRES)


def test_a_neighbour_that_is_not_who_the_subnet_says_is_a_conflict():
    facts = metro()
    wrong = tuple(
        replace(n, address="10.0.99.9", router_id="10.255.0.3") if n.interface == "eth1" else n
        for n in facts["cell1"].neighbours
    )
    facts["cell1"] = replace(facts["cell1"], neighbours=wrong)
    discovery = infer(facts, inventory())
    assert [(n.kind, n.where) for n in discovery.notes] == [("conflict", "agg1:eth2 - cell1:eth1")]


def test_a_subnet_without_neighbours_is_a_link_unconfirmed():
    facts = metro()
    for name, other in (("agg1", "eth2"), ("cell1", "eth1")):
        left = tuple(n for n in facts[name].neighbours if n.interface != other)
        facts[name] = replace(facts[name], neighbours=left)
    discovery = infer(facts, inventory())
    assert kinds(discovery) == ["unconfirmed"]
    assert "agg1-cell1" in discovery.topology.links


def test_an_address_used_twice_is_a_conflict_and_still_a_topology():
    facts = change(metro(), "core2", "lo", addresses=("127.0.0.1/8", "10.255.0.1/32"))
    discovery = infer(facts, inventory())
    assert kinds(discovery) == ["conflict"]
    assert "10.255.0.1" in discovery.notes[0].text


def test_different_mtus_are_told_and_the_smaller_one_taken():
    discovery = infer(change(metro(), "agg1", "eth2", mtu=9000), inventory())
    assert kinds(discovery) == ["conflict"]
    assert discovery.topology.links["agg1-cell1"].mtu == 1500


def test_a_router_that_only_the_link_state_database_knows_is_missing():
    facts = metro()
    facts["core1"] = replace(facts["core1"], lsdb=lsdb(["10.255.0.1", "10.255.0.77"]))
    assert [(n.kind, n.where) for n in infer(facts, inventory()).notes] == [("missing", "core1")]


def test_neighbours_that_tell_no_router_id_are_nobody_missing():
    facts = metro()
    more = (
        Neighbour("bgp", "", "10.0.11.2", "", "Established", True),
        Neighbour("isis", "eth1", "", "core2", "Up", True),
    )
    facts["core1"] = replace(facts["core1"], neighbours=(*facts["core1"].neighbours, *more))
    assert infer(facts, inventory()).notes == infer(metro(), inventory()).notes


def test_unnumbered_links_are_found_by_their_neighbours():
    facts = metro()
    for name, port in (("agg1", "eth2"), ("cell1", "eth1")):
        facts = change(facts, name, port, addresses=())
    assert "agg1-cell1" in infer(facts, inventory()).topology.links


def test_several_routers_on_one_subnet_with_neighbours_are_a_bridge():
    facts = metro()
    for number, name in enumerate(("core1", "core2", "agg1")):
        port = interface("eth8", [f"10.0.50.{number + 1}/24"], 5)
        seen = neighbour("eth8", f"10.0.50.{number % 3 + 2}", "10.255.0.1")
        fact = facts[name]
        facts[name] = replace(fact, interfaces=(*fact.interfaces, port), neighbours=(*fact.neighbours, seen))
    topology = infer(facts, inventory()).topology
    assert isinstance(topology.nodes["lan-10-0-50-0"], Bridge)
    assert sum("lan-10-0-50-0" in name for name in topology.links) == 3


def test_parallel_links_get_names_of_their_own():
    facts = metro()
    for name, other, end in (("core1", "core2", 1), ("core2", "core1", 2)):
        port = interface("eth7", [f"10.0.60.{end}/30"], 10)
        seen = neighbour("eth7", f"10.0.60.{3 - end}", facts[other].router_id)
        fact = facts[name]
        facts[name] = replace(fact, interfaces=(*fact.interfaces, port), neighbours=(*fact.neighbours, seen))
    discovery = infer(facts, inventory())
    assert {"core1-core2", "core1-core2-2"} <= set(discovery.topology.links)
    assert discovery.notes == ()


def test_descriptions_that_differ_are_both_kept():
    assert medium(interface("a", description="fibre"), interface("b", description="to core")) == "fibre | to core"
    assert medium(interface("a"), interface("b")) is None
    here, there = (
        interface("a", description="to agg1, fibre 15 km"),
        interface("b", description="to cell1, fibre 15 km"),
    )
    assert medium(here, there) == "fibre 15 km"


def test_the_file_reads_back_to_the_same_topology_with_its_doubts_as_comments():
    facts = {name: fact for name, fact in metro().items() if name != "cell1"}
    discovery = infer(facts, inventory())
    text = to_yaml(discovery.topology, discovery.notes)
    assert loads(text, Topology) == discovery.topology
    assert "# stub: agg1:eth2" in text


shares = st.floats(0, 1)
impairments = st.builds(
    lambda delay, part, loss, rate: Impairment(delay=delay, jitter=delay * part, loss=loss, rate=rate),
    st.floats(0, 2), shares, shares, st.none() | st.floats(8, 1e13),
) | st.builds(lambda p, r: Impairment(burst=GilbertElliott(p=p, r=r)), shares, shares)  # fmt: skip
configs = st.none() | st.text("abc:#'\" !-\n", max_size=60)


@given(impairments, impairments, configs, st.none() | st.text("abc #:'\n", min_size=1, max_size=20), st.booleans())
def test_any_topology_survives_its_file(forward, backward, config, medium_text, up):
    ends = (Endpoint(node="a", interface="eth1", cost=7), Endpoint(node="b", interface="eth1"))
    link = Link(endpoints=ends, forward=forward, backward=backward, up=up, medium=medium_text)
    node = Router(kind="router", config=config)
    topology = Topology(name="t", nodes={"a": node, "b": Bridge(kind="bridge")}, links={"a-b": link})
    assert loads(to_yaml(topology), Topology) == topology
