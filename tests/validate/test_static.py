import pytest

from testbed.model.change import Change, ConfigurationStep, InterfaceStep, Loss, PathIs, Reachable, RoundTrip
from testbed.model.topology import Topology
from testbed.model.verdict import Outcome
from testbed.validate import lines, places, prediction, static
from tests.report.samples import square

REACHABLE = Reachable(kind="reachable", source="r1", destination="r3")
COSTLY = InterfaceStep(device="r1", interface="eth1", cost=100)


def change(*steps, expect=(REACHABLE,)):
    return Change(name="a-change", steps=steps or (COSTLY,), expect=expect)


def text(device, configuration):
    return ConfigurationStep(device=device, configuration=configuration)


def failed(proposed, topology: Topology | None = None):
    return [(f.check, f.message) for f in static.check(proposed, topology or square()) if f.outcome is Outcome.FAILED]


OSPF = "router ospf\nexit\n"


def with_config(**configs):
    base = square()
    nodes = {n: r.model_copy(update={"config": configs.get(n, OSPF)}) for n, r in base.nodes.items()}
    return base.model_copy(update={"nodes": nodes})


def test_a_sound_change_is_not_refused():
    assert failed(change()) == []


def test_the_management_interface_is_not_touched():
    for step in (
        InterfaceStep(device="r1", interface="mgmt", enabled=False),
        text("r1", "interface mgmt\n shutdown\n"),
    ):
        assert [check for check, _ in failed(change(step))] == ["management"]


def test_an_address_that_would_be_used_twice_is_refused():
    proposed = change(text("r1", "interface lo\n ip address 10.255.0.3/32\n"))
    assert failed(proposed) == [("addresses", "address 10.255.0.3 would be used twice: r1:lo and r3:lo")]


def test_an_address_that_moves_is_not_used_twice():
    moved = (
        text("r3", "interface lo\n no ip address 10.255.0.3/32\n"),
        text("r1", "interface lo\n ip address 10.255.0.3/32\n"),
    )
    assert failed(change(*moved)) == []


def test_a_change_that_is_in_force_already_is_refused():
    topology = with_config(r1="interface eth1\n ip ospf cost 100\nexit\n!\nrouter ospf\n passive-interface lo\nexit\n")
    assert [check for check, _ in failed(change(), topology)] == ["no-change"]
    assert [check for check, _ in failed(change(text("r1", "router ospf\n passive-interface lo\n")), topology)] == [
        "no-change"
    ]
    assert failed(change(InterfaceStep(device="r1", interface="eth1", cost=101)), topology) == []
    assert failed(change(text("r1", "router ospf\n no passive-interface lo\n")), topology) == []


def test_cutting_a_device_off_is_refused_unless_that_is_what_is_asked():
    both = (
        InterfaceStep(device="r4", interface="eth1", enabled=False),
        InterfaceStep(device="r4", interface="eth2", enabled=False),
    )
    assert failed(change(*both)) == [("cut-off", "r4 would have no path left to the rest of the network")]
    assert failed(change(both[0])) == []
    meant = Reachable(kind="reachable", source="r1", destination="r4", reachable=False)
    assert failed(change(*both, expect=(meant,))) == []


def test_a_link_that_is_cut_already_counts():
    base = square()
    links = dict(base.links)
    links["r3-r4"] = links["r3-r4"].model_copy(update={"up": False})
    topology = base.model_copy(update={"links": links})
    assert [
        check for check, _ in failed(change(InterfaceStep(device="r1", interface="eth2", enabled=False)), topology)
    ] == ["cut-off"]


def test_a_bound_of_nothing_is_a_mistake():
    assert [c for c, _ in failed(change(expect=(Loss(kind="loss", source="r1", destination="r3", below=0),)))] == [
        "bounds"
    ]


def test_the_prediction_warns_and_never_refuses():
    expect = (
        PathIs(kind="path", source="r1", destination="r3", via=("r2",)),
        RoundTrip(kind="rtt", source="r1", destination="r3", below=0.008),
    )
    found = static.check(change(expect=expect), square())
    assert [(f.check, f.outcome) for f in found] == [("prediction", Outcome.INCONCLUSIVE)] * 2
    assert "r1 > r4 > r3 does not pass r2" in found[0].message
    assert "by the links' delays alone" in found[1].message


def test_a_link_to_be_avoided_is_foreseen_and_addresses_in_the_lines_alone_are_known():
    topology = with_config(r3="interface lo\n ip address 10.20.0.1/32\nexit\n")
    expect = (PathIs(kind="path", source="r1", destination="10.20.0.1", avoid_links=("r3-r4",)),)
    found = static.check(change(expect=expect), topology)
    assert ["r1 > r4 > r3 uses r3-r4" in f.message for f in found] == [True]


def test_lines_that_are_no_cost_are_left_to_the_emulation():
    found = static.check(change(text("r1", "router ospf\n max-metric router-lsa administrative\n")), square())
    assert [(f.check, f.outcome) for f in found] == [("prediction", Outcome.PASSED)]
    assert "max-metric" in found[0].message


def test_lines_are_read_in_their_block():
    edits = list(
        lines.read(
            "r1",
            "!\ninterface eth1\n ip ospf cost 5\n no shutdown\nexit\n"
            "ip route 10.0.0.0/8 eth2\nrouter ospf\n passive-interface eth3\n",
        )
    )
    assert [(e.context, e.line, e.negated) for e in edits if e.line] == [
        ("interface eth1", "ip ospf cost 5", False),
        ("interface eth1", "shutdown", True),
        ("", "ip route 10.0.0.0/8 eth2", False),
        ("router ospf", "passive-interface eth3", False),
    ]
    assert [name for e in edits if e.line for name in lines.mentioned(e)] == ["eth1", "eth1", "eth2", "eth3"]


def test_equal_costs_give_both_paths_and_delays_add_up():
    topology = square()
    found = prediction.predict(topology, prediction.graph(topology), "r1", "r3")
    assert set(found.paths) == {("r1", "r2", "r3"), ("r1", "r4", "r3")}
    after = prediction.predict(topology, prediction.graph(topology, lines.of_change(change())), "r1", "r3")
    assert after.paths == (("r1", "r4", "r3"),)
    assert after.delay == pytest.approx(0.007)


def test_next_hops_before_and_after():
    topology = square()
    hops = prediction.next_hops(topology, prediction.graph(topology))
    assert hops["r1"]["r3"] == {"r2", "r4"}
    after = prediction.next_hops(topology, prediction.graph(topology, lines.of_change(change())))
    assert after["r1"]["r3"] == {"r4"}
    assert after["r1"]["r2"] == {"r2", "r4"} or after["r1"]["r2"] == {"r4"}


def test_who_answers_for_an_address_that_the_change_adds_is_known():
    added = change(text("r4", "interface lo\n ip address 10.12.2.1/32\n"))
    topology = lines.with_addresses(square(), lines.of_change(added))
    assert places.owner_of(topology, "10.12.2.1") == "r4"
    assert places.address_of(topology, "r4") == "10.255.0.4"
    assert places.owner_of(square(), "10.12.2.1") is None
