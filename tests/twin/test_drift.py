"""What changed on a rack since it was discovered, where no setting of the twin can follow."""

from dataclasses import replace

import pytest

from testbed.twin.discover import infer
from testbed.twin.drift import drift, unknown
from tests.twin.metro import change, counters, interface, inventory, lsdb, metro, neighbour

TOPOLOGY = infer(metro(), inventory()).topology


def found(facts, device="agg1"):
    return drift(TOPOLOGY, counters(facts[device], 10.0), facts, ["mgmt"])


def with_interfaces(*more, without=""):
    facts = metro()
    kept = tuple(i for i in facts["agg1"].interfaces if i.name != without)
    return facts | {"agg1": replace(facts["agg1"], interfaces=(*kept, *more))}


def test_a_rack_that_is_as_it_was_has_no_drift():
    facts = metro()
    assert [text for device in facts for text in found(facts, device)] == []
    assert unknown(facts, ()) == []


@pytest.mark.parametrize("fields", [{"cost": 77}, {"up": False}, {"carrier": False, "cost": None}, {"speed": 1e8}])
def test_what_the_mirror_follows_by_itself_is_no_drift(fields):
    assert found(change(metro(), "agg1", "eth2", **fields)) == []


def test_new_and_lost_interfaces_are_told():
    facts = with_interfaces(
        interface("eth9", ["10.0.99.1/30"]), interface("eth8"), interface("dummy0", ["10.3.0.1/32"])
    )
    assert found(facts) == ["agg1: interface eth9 is new (10.0.99.1/30)"]
    assert found(with_interfaces(without="eth2")) == ["agg1: interface eth2 is gone"]


def test_other_addresses_and_mtu_are_told():
    assert found(change(metro(), "agg1", "eth2", addresses=("10.0.77.1/30",))) == [
        "agg1: eth2 has 10.0.77.1/30, it had 10.0.14.1/30"
    ]
    assert found(change(metro(), "agg1", "eth2", mtu=9000)) == ["agg1: eth2 has MTU 9000, the twin's link 1500"]


def test_a_cable_that_was_plugged_into_another_device_is_told():
    facts = metro()
    seen = tuple(
        neighbour("eth2", "10.0.14.2", "10.255.0.4") if n.interface == "eth2" else n for n in facts["agg1"].neighbours
    )
    assert found(facts | {"agg1": replace(facts["agg1"], neighbours=seen)}) == [
        "agg1: eth2 leads to agg3; it led to cell1"
    ]
    seen = (neighbour("eth2", "10.0.14.2", "10.255.0.99"),)
    assert found(facts | {"agg1": replace(facts["agg1"], neighbours=seen)}) == [
        "agg1: eth2 leads to router 10.255.0.99, no device of the inventory; it led to cell1"
    ]


def test_a_new_router_in_the_network_is_told_unless_it_was_known_when_the_twin_was_built():
    facts = metro()
    routers = [fact.router_id for fact in facts.values()] + ["10.255.0.99"]
    facts |= {"core1": replace(facts["core1"], lsdb=lsdb(routers))}
    told = unknown(facts, ())
    assert len(told) == 1
    assert "10.255.0.99" in told[0]
    assert unknown(facts, told) == []
