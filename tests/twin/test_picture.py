from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Route
from testbed.emulator.messages import LinkPatch, LinkState, LinkStates
from testbed.twin.discover import infer
from testbed.twin.echo import Batch
from testbed.twin.load import CAP_PPS, differs, flows
from testbed.twin.measure import Reading
from testbed.twin.picture import Picture
from testbed.twin.watch import Findings, compare_interfaces, compare_links, compare_routes, far_pairs
from tests.twin.metro import change, counters, interface, inventory, metro


def fresh():
    return Picture(infer(metro(), inventory()).topology)


def reading(facts, device, moment=10.0, echoes=None):
    return Reading(device, moment, moment + 0.2, counters(facts[device], moment + 0.1), None, echoes or {})


def polled(picture, facts, moment=10.0, rtt=4e-3):
    """All devices polled once, each link heard from its first end."""
    for device in facts:
        own = {n: Batch((rtt,) * 5, 0, moment) for n, v in picture.links.items() if v.link.endpoints[0].node == device}
        picture.absorb(reading(facts, device, moment, own))
    return picture


def settle(picture):
    decision = picture.decide()
    picture.confirm(decision)
    return decision


def test_what_is_measured_is_set_both_ways_in_one_batch_and_then_left_alone():
    picture = polled(fresh(), metro())
    changes = settle(picture).changes()
    assert {(c.link, c.end) for c in changes} == {(name, end) for name in picture.links for end in (0, 1)}
    assert all(c.patch is not None and c.patch.delay == pytest.approx(2e-3) for c in changes)
    polled(picture, metro(), 11.0, rtt=4.02e-3)
    assert settle(picture).changes() == ()


def test_only_the_link_that_changed_is_sent():
    picture = polled(fresh(), metro())
    settle(picture)
    picture.absorb(reading(metro(), "agg1", 11.0, {"agg1-cell1": Batch((30e-3,) * 5, 0, 11.0)}))
    decision = settle(picture)
    assert list(decision.settings) == ["agg1-cell1"]
    assert decision.settings["agg1-cell1"].delay == pytest.approx(15e-3)


def test_a_link_without_carrier_is_cut_at_once_and_mended_with_its_old_delay():
    picture = polled(fresh(), metro())
    settle(picture)
    cut = change(metro(), "cell1", "eth1", carrier=False, cost=None)
    picture.absorb(reading(cut, "cell1", 11.0))
    assert dict(settle(picture).switched) == {"agg1-cell1": False}
    assert not picture.current().links["agg1-cell1"].up
    picture.absorb(reading(metro(), "cell1", 12.0))
    decision = settle(picture)
    assert dict(decision.switched) == {"agg1-cell1": True}
    assert picture.current().links["agg1-cell1"].forward.delay == pytest.approx(2e-3)


def test_packets_lost_while_a_link_was_cut_are_no_loss_of_the_mended_one():
    picture = polled(fresh(), metro())
    settle(picture)
    cut = change(metro(), "agg1", "eth2", carrier=False)
    dead = {"agg1-cell1": Batch((), 5, 11.0)}
    picture.absorb(reading(cut, "agg1", 11.0, dead))
    picture.absorb(reading(metro(), "agg1", 12.0, dead))
    picture.absorb(reading(metro(), "agg1", 13.0, {"agg1-cell1": Batch((4e-3,) * 5, 0, 13.0)}))
    settle(picture)
    held = picture.links["agg1-cell1"].held
    assert held is not None
    assert held.loss == 0.0


def test_a_link_with_carrier_that_carries_nothing_loses_all_in_the_twin_and_is_down_in_a_fork():
    picture = polled(fresh(), metro())
    settle(picture)
    picture.absorb(reading(metro(), "agg1", 11.0, {"agg1-cell1": Batch((), 5, 11.0)}))
    decision = settle(picture)
    assert decision.settings["agg1-cell1"].loss == 1.0
    link = picture.current().links["agg1-cell1"]
    assert (link.up, link.forward.loss) == (False, 0.0)


def test_an_interface_switched_off_on_the_rack_cuts_the_link():
    picture = polled(fresh(), metro())
    picture.absorb(reading(change(metro(), "core1", "eth1", up=False), "core1", 11.0))
    assert settle(picture).switched["core1-core2"] is False


def test_a_device_that_is_silent_changes_nothing():
    picture = polled(fresh(), metro())
    settle(picture)
    before = picture.current()
    assert picture.absorb(Reading("cell1", 11.0, 21.0, error="cell1: no answer in time")) == []
    assert settle(picture).changes() == ()
    assert picture.current() == before


def test_fields_are_up_to_date_only_when_the_twin_has_them_and_costs_wait_for_their_router():
    picture = polled(fresh(), metro())
    arrived = picture.arrived(waiting=["cell1"])
    assert ("link:agg1-cell1", "delay") in arrived
    assert ("interface:agg1:eth2", "cost") in arrived
    assert ("interface:cell1:eth1", "cost") not in arrived
    assert ("interface:cell1:eth1", "cost") in picture.arrived()
    assert picture.arrived() == {}
    assert arrived["link:agg1-cell1", "delay"].due == 10.0


def test_a_cut_link_has_no_delay_and_no_cost_to_update():
    picture = polled(fresh(), metro())
    picture.arrived()
    whole = set(picture.fields())
    cut = change(change(metro(), "cell1", "eth1", carrier=False, cost=None), "agg1", "eth2", carrier=False, cost=None)
    for device in ("cell1", "agg1"):
        picture.absorb(reading(cut, device, 11.0))
    assert whole - set(picture.fields()) == {
        ("link:agg1-cell1", "delay"),
        ("link:agg1-cell1", "loss"),
        ("interface:cell1:eth1", "cost"),
        ("interface:agg1:eth2", "cost"),
    }


def test_the_declared_rate_of_the_slower_end_limits_the_link():
    facts = change(change(metro(), "cell1", "eth2", speed=1e8), "agg3", "eth2", speed=1e10)
    picture = polled(fresh(), facts)
    decision = settle(picture)
    assert decision.settings["agg3-cell1"].rate == 1e8
    assert decision.settings["core1-core2"].rate is None


def test_calibration_takes_off_what_the_twins_stacks_add():
    picture = polled(fresh(), metro())
    settle(picture)
    assert picture.stack_rtt == 0.0
    for _ in range(5):
        picture.calibrate(4.4e-3, "agg1-cell1")
    assert picture.stack_rtt == pytest.approx(0.4e-3)
    assert settle(picture).settings["agg1-cell1"].delay == pytest.approx(1.8e-3)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, 5), st.booleans()), min_size=1, max_size=12))
def test_whatever_is_heard_the_mirrored_topology_is_one_that_can_be_built(polls):
    picture = fresh()
    for number, (rtt, lost, carrier) in enumerate(polls):
        facts = change(metro(), "agg1", "eth2", carrier=carrier)
        batch = Batch((rtt, rtt * 2, rtt / 3)[: 5 - lost] if lost < 5 else (), lost, float(number))
        picture.absorb(reading(facts, "agg1", float(number), {"agg1-cell1": batch}))
        settle(picture)
        current = picture.current()
        assert type(current).model_validate_json(current.model_dump_json()) == current


# --- load ---


def loaded(bits, seconds=1.0):
    """A rack whose agg1 sends `bits` a second to cell1 in packets of 1000 bytes."""
    picture = fresh()
    for moment in (10.0, 10.0 + seconds):
        octets = 0 if moment == 10.0 else int(bits * seconds / 8)
        facts = change(metro(), "agg1", "eth2", tx_bytes=octets, tx_packets=octets // 1000)
        picture.absorb(reading(facts, "agg1", moment))
    return picture


def test_load_is_what_the_counters_say_in_packets_of_their_size():
    found, scale = flows(loaded(4e6).links)
    assert scale == 1.0
    assert [(f.source, f.sink, f.destination, f.size) for f in found] == [("agg1", "cell1", "10.0.14.2", 1000)]
    assert found[0].rate == pytest.approx(4e6)


def test_more_than_the_twin_can_carry_is_scaled_down_and_said():
    found, scale = flows(loaded(160e6).links)
    assert scale == pytest.approx(CAP_PPS / 20000)
    assert found[0].rate / 8000 == pytest.approx(CAP_PPS)


def test_routing_alone_is_no_load():
    assert flows(loaded(20e3).links) == ((), 1.0)


def test_load_is_set_anew_only_when_it_moves_by_more_than_a_tenth():
    some, more, much = (flows(loaded(bits).links)[0] for bits in (4e6, 4.2e6, 6e6))
    assert not differs(some, more)
    assert differs(some, much)
    assert differs(some, ())
    assert differs((), some)
    assert not differs((), ())


# --- comparing ---


def states(picture, **different):
    patch = LinkPatch(delay=2e-3, loss=0.0)
    plain = {n: LinkState(name=n, up=True, forward=patch, backward=patch) for n in picture.links}
    return LinkStates(links=tuple({**plain, **different}.values()))


def test_links_are_compared_with_the_twins_kernel():
    picture = polled(fresh(), metro())
    settle(picture)
    assert compare_links(picture, states(picture)) == {}
    patch = LinkPatch(delay=2e-3, loss=0.0)
    cut = LinkState(name="agg1-cell1", up=False, forward=patch, backward=patch)
    slow = LinkState(name="core1-core2", up=True, forward=LinkPatch(delay=9e-3, loss=0.0), backward=patch)
    found = compare_links(picture, states(picture, **{"agg1-cell1": cut, "core1-core2": slow}))
    assert found["agg1-cell1"] == "link agg1-cell1: rack up, twin down"
    assert "other settings" in found["core1-core2"]


def test_costs_and_routes_are_compared_and_management_is_not():
    ours = [interface("eth1", ["10.0.0.1/30"], 10), interface("eth2", ["10.0.0.5/30"], 30), interface("mgmt")]
    twins = [interface("eth1", ["10.0.0.1/30"], None), interface("eth2", [], 40, mtu=9000, up=False), interface("lo")]
    assert compare_interfaces(ours, twins) == {
        "eth2 addresses": "eth2: addresses 10.0.0.5/30 on the rack, none in the twin",
        "eth2 cost": "eth2: cost 30 on the rack, 40 in the twin",
        "eth2 enabled": "eth2: enabled True on the rack, False in the twin",
        "eth2 MTU": "eth2: MTU 1500 on the rack, 9000 in the twin",
    }
    rack = (
        Route("10.1.0.0/30", "ospf", 20, ("10.0.0.1%eth1",)),
        Route("10.2.0.0/30", "ospf", 20, ("10.0.0.1%eth1",)),
        Route("10.0.2.0/24", "connected", 0, ("%mgmt",)),
    )
    twin = (replace(rack[0], metric=99), replace(rack[1], next_hops=("10.0.0.5%eth2",)))
    found = compare_routes(rack, twin, frozenset(["mgmt"]))
    assert found == {"10.2.0.0/30": "route 10.2.0.0/30: 10.0.0.1%eth1 on the rack, 10.0.0.5%eth2 in the twin"}


def test_a_mismatch_that_is_over_is_forgotten_and_others_stay():
    findings = Findings()
    findings.replace("link/", 5, {"a": "link a differs"})
    findings.replace("router/core1/", 9, {"10.0.0.0/8": "route differs"})
    findings.replace("link/", 5, {})
    assert list(findings.mismatches.values()) == ["route differs"]
    assert sum(findings.compared.values()) == 14
    findings.compare("a-b", 2e-3, 2.5e-3)
    assert list(findings.errors) == [pytest.approx(0.5e-3)]


def test_far_pairs_go_from_the_cell_site_to_the_cores():
    pairs = far_pairs(infer(metro(), inventory()).topology)
    assert (pairs[0].source, pairs[0].sink, pairs[0].destination) == ("cell1", "core1", "10.255.0.1")
