import json
import time
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.emulator.messages import Hop, Hops, LinkPatch, LinkState, LinkStates, Reach, Trace, Vty, VtyOutput
from testbed.errors import AgentError
from testbed.model.change import Adjacency, Change, InterfaceStep, PathIs, Reachable
from testbed.model.verdict import Outcome
from testbed.twin.state import MirroredState
from testbed.validate import around, fidelity, judge, lines, neighbours, rounds, routes, scene
from testbed.validate import settle as settling
from testbed.validate.around import Around
from testbed.validate.expectations import AFTER, BEFORE, adjacency, path
from testbed.validate.scene import Scene, Way
from tests.report.samples import square


def entry(*hops, selected=True):
    nexthops = [{"ip": hop.partition("%")[0], "interfaceName": hop.partition("%")[2], "fib": True} for hop in hops]
    return [{"selected": selected, "nexthops": nexthops}]


class Twin:
    """Routers that answer from a table; each answer of `tables` is given once, the last for ever."""

    def __init__(self, *tables, neighbours=None, hops=None):
        self.tables, self.neighbours, self.asked = list(tables), neighbours or {}, 0
        self.hops = hops or Hops(hops=(), reached=False)

    def __call__(self, request):
        if isinstance(request, Trace):
            return self.hops
        assert isinstance(request, Vty)
        if request.daemon == "ospfd":
            return VtyOutput(outputs=(json.dumps(self.neighbours.get(request.node, {})),), codes=(0,))
        self.asked += request.node == "r1"
        table = self.tables[min(self.asked, len(self.tables)) - 1]
        return VtyOutput(outputs=(json.dumps(table.get(request.node, {})), "{}"), codes=(0, 0))


NOBODY: neighbours.Speakers = {}
ONE = {"r1": {"10.255.0.3/32": entry("10.0.1.2%eth1", "10.0.4.1%eth2"), "10.255.0.1/32": entry("%lo")}}
OTHER = {"r1": {"10.255.0.3/32": entry("10.0.4.1%eth2"), "10.255.0.1/32": entry("%lo")}}


def test_routes_are_the_selected_ones_with_sorted_next_hops():
    found = routes.snapshot(Twin(ONE), square())
    assert found["r1"] == {"10.255.0.3/32": ("10.0.1.2%eth1", "10.0.4.1%eth2"), "10.255.0.1/32": ("%lo",)}
    unselected = {"r1": {"10.255.0.3/32": entry("10.0.1.2%eth1", selected=False)}}
    assert routes.snapshot(Twin(unselected), square())["r1"] == {}


def test_a_daemon_that_gives_no_json_is_an_error_and_not_no_routes():
    def broken(request):
        return VtyOutput(outputs=("% Unknown command", "{}"), codes=(2, 0))

    with pytest.raises(AgentError, match="Unknown command"):
        routes.snapshot(broken, square())


def test_what_differs_is_told_by_prefix_and_what_may_differ_is_not():
    before, after = (routes.snapshot(Twin(t), square()) for t in (ONE, OTHER))
    assert routes.difference(before, after) == [
        "r1: 10.255.0.3/32 via 10.0.1.2%eth1 and 10.0.4.1%eth2 -> 10.0.4.1%eth2"
    ]
    assert routes.difference(before, after, ("10.255.0.0/24",)) == []
    assert routes.difference(before, after, ("10.255.0.1/32",)) != []
    assert routes.difference(before, after, ("0.0.0.0/0",)) != [], "to spare the default route is not to spare all"
    assert routes.difference({"r1": {"0.0.0.0/0": ("%a",)}}, {"r1": {"0.0.0.0/0": ("%b",)}}, ("0.0.0.0/0",)) == []
    assert routes.difference(before, before) == []
    assert "no route" in routes.difference(before, {"r1": {}})[0]


def test_the_longest_prefix_wins():
    table = {"0.0.0.0/0": ("a%b",), "10.0.0.0/8": ("c%d",), "10.1.0.0/16": ("e%f",), "::/0": ("g%h",)}
    assert routes.lookup(table, "10.1.2.3") == ("10.1.0.0/16", ("e%f",))
    assert routes.lookup(table, "10.2.2.3") == ("10.0.0.0/8", ("c%d",))
    assert routes.lookup({}, "10.2.2.3") is None


def test_settling_waits_until_nothing_moves_for_the_window():
    settled = settling.settle(Twin(ONE, ONE, OTHER), square(), NOBODY, window=0.4, deadline=10)
    assert settled.stable
    assert settled.routes["r1"]["10.255.0.3/32"] == ("10.0.4.1%eth2",)
    assert settled.moving


def test_routes_that_never_settle_are_said_to_move():
    flapping = Twin(*[ONE, OTHER] * 40)
    settled = settling.settle(flapping, square(), NOBODY, window=0.6, deadline=1.2)
    assert not settled.stable
    assert "10.255.0.3/32" in settled.moving[0]


def traced(*addresses, reached=True):
    return Hops(hops=tuple(Hop(ttl=i, address=a) for i, a in enumerate(addresses, 1)), reached=reached)


def test_hops_become_nodes_and_links_whatever_interface_answers():
    table = routes.snapshot(Twin(OTHER), square())
    twin = Twin(hops=traced("10.0.4.1", "10.255.0.3"))
    way = scene.trace(twin, square(), table, "r1", "10.255.0.3")
    assert way.nodes == ("r1", "r4", "r3")
    assert way.links == ("r4-r1", "r3-r4")
    assert way.text == "r1 > r4 > r3"


def test_equal_cost_routes_lead_other_flows_elsewhere():
    table = routes.snapshot(Twin(ONE), square())
    way = scene.trace(Twin(hops=traced("10.0.4.1", "10.255.0.3")), square(), table, "r1", "10.255.0.3")
    assert {(one, there) for one, _, there in way.steps} == {("r1", "r2"), ("r1", "r4")}
    assert path.assess(way, PathIs(kind="path", source="r1", destination="r3", avoid=("r2",)))[0] is None


def wanted(**fields):
    return PathIs(kind="path", source="r1", destination="r3", **fields)


@pytest.mark.parametrize(
    ("nodes", "links", "reached", "expectation", "holds"),
    [
        (("r1", "r2", "r3"), ("r1-r2", "r2-r3"), True, wanted(via=("r2",)), True),
        (("r1", "r4", "r3"), ("r4-r1", "r3-r4"), True, wanted(via=("r2",)), False),
        (("r1", "r4", "r3"), ("r4-r1", "r3-r4"), True, wanted(avoid=("r4",)), False),
        (("r1", "r4", "r3"), ("r4-r1", "r3-r4"), True, wanted(avoid_links=("r3-r4",)), False),
        (("r1", None, "r3"), (None, None), True, wanted(via=("r2",)), None),
        (("r1", None, "r3"), (None, None), True, wanted(avoid=("r2",)), None),
        (("r1", "r2", "r3"), (None, "r2-r3"), True, wanted(avoid_links=("r3-r4",)), None),
        (("r1", "r2"), ("r1-r2",), False, wanted(via=("r2",)), False),
    ],
)
def test_a_path_is_judged_by_what_was_passed(nodes, links, reached, expectation, holds):
    assert path.assess(Way(nodes, links, reached), expectation)[0] is holds


@st.composite
def ways(draw):
    """A network of equal-cost steps from s to t without a loop, and one of the paths through it, as traced."""
    nodes = ["s", *"abcd", "t"]
    pairs = [(one, other) for i, one in enumerate(nodes) for other in nodes[i + 1 :]]
    chosen = draw(st.sets(st.sampled_from(pairs), min_size=1))
    paths = sorted(all_paths(chosen, "s"))
    traced = draw(st.sampled_from(paths or [("s", "t")]))
    useful = {pair for walked in paths for pair in pairwise(walked)} or {("s", "t")}
    steps = frozenset((one, f"{one}-{other}", other) for one, other in useful)
    way = Way(traced, tuple(f"{one}-{other}" for one, other in pairwise(traced)), True, steps)
    return way, paths or [("s", "t")]


def all_paths(pairs, node):
    if node == "t":
        return [("t",)]
    return [(node, *rest) for one, other in pairs if one == node for rest in all_paths(pairs, other)]


@given(
    ways(), st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")), st.sampled_from(["a-b", "c-t", "s-t"])
)
def test_a_path_holds_only_when_every_equal_cost_path_would(drawn, via, avoid, link):
    way, paths = drawn
    expectation = PathIs(
        kind="path", source="s", destination="t", via=tuple(via), avoid=tuple(avoid - via), avoid_links=(link,)
    )

    def right(walked):
        links = {f"{one}-{other}" for one, other in pairwise(walked)}
        return via <= set(walked) and not (avoid - via) & set(walked) and link not in links

    holds = path.assess(way, expectation)[0]
    assert holds is (True if all(map(right, paths)) else False if not right(way.nodes) else None)


def test_a_neighbour_is_known_by_any_of_its_addresses():
    listed = {
        "neighbors": {
            "10.255.0.4": [{"nbrState": "Full/-", "ifaceAddress": "10.0.4.1"}],
            "10.255.0.2": [{"nbrState": "Init/-"}],
        }
    }
    surroundings = Scene("after-1", square(), Twin(neighbours={"r1": listed}))
    full = adjacency.measure(surroundings, Adjacency(kind="adjacency", device="r1", neighbour="r4"))
    partial = adjacency.measure(surroundings, Adjacency(kind="adjacency", device="r1", neighbour="r2"))
    unknown = adjacency.measure(surroundings, Adjacency(kind="adjacency", device="r1", neighbour="r3"))
    assert (full.holds, partial.holds, unknown.holds) == (True, False, False)
    assert "Init" in partial.proof[0]


def test_a_probe_that_fails_is_recorded_and_the_others_still_measure():
    def call(request):
        if isinstance(request, Reach):
            raise AgentError("the probe is broken")
        return Twin(ONE, hops=traced("10.0.4.1", "10.255.0.3"))(request)

    reach = Reachable(kind="reachable", source="r1", destination="r3")
    step = InterfaceStep(device="r1", interface="eth1", cost=5)
    change = Change(name="a-change", steps=(step,), expect=(reach, wanted(via=("r4",))))
    _, measured = rounds.run_round("after-1", change, square(), call, NOBODY)
    assert (measured[0].holds, measured[1].holds) == (None, True)
    finding = judge.judge(reach, [m.model_copy(update={"phase": p}) for p in BEFORE + AFTER for m in (measured[0],)])
    assert finding.outcome is Outcome.INCONCLUSIVE
    assert "the probe is broken" in finding.reason


def test_tracing_that_fails_leaves_the_path_open():
    def call(request):
        if isinstance(request, Trace):
            raise AgentError("no socket")
        return Twin(ONE)(request)

    step = InterfaceStep(device="r1", interface="eth1", cost=5)
    change = Change(name="a-change", steps=(step,), expect=(wanted(avoid=("r2",)),))
    _, measured = rounds.run_round("after-1", change, square(), call, NOBODY)
    assert measured[0].holds is None
    assert "no socket" in measured[0].proof[0]


def kernel(**other: Any):
    """Links as the kernel has them: as the square wants them, but for `other` of one direction."""

    def link(name):
        patch = LinkPatch(delay=square().links[name].forward.delay, rate=None)
        odd = msgspec.structs.replace(patch, **other) if name == "r2-r3" else patch
        return LinkState(name=name, up=name != "cut", forward=odd, backward=patch)

    return lambda request: LinkStates(links=tuple(link(name) for name in square().links))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, []),
        ({"loss": 0.2}, ["r2-r3 forward: loss is 0.2 in the fork, 0 in the mirror"]),
        ({"delay": 0.002}, ["r2-r3 forward: delay is 0.002 in the fork, 0.001 in the mirror"]),
        ({"delay": 0.0010005}, []),
    ],
)
def test_a_fork_unlike_the_mirror_is_told(other, said):
    state = MirroredState(twin="a-twin", measured=1.0, topology=square())
    assert fidelity.mismatches(state, kernel(**other)) == said
    stale = state.model_copy(update={"stale": ("r1",)})
    assert "r1 is stale" in fidelity.mismatches(stale, kernel())[0]
    drifted = state.model_copy(update={"drift": ("r1 has a new interface eth7",)})
    assert (
        fidelity.mismatches(drifted, kernel())[0] == "the twin could not follow the rack: r1 has a new interface eth7"
    )


def test_what_was_foretold_wrongly_is_reported():
    table = routes.snapshot(Twin(ONE), square())
    way = scene.trace(Twin(hops=traced("10.0.1.2", "10.255.0.3")), square(), table, "r1", "10.255.0.3")
    after = Scene("after-2", square(), Twin(), ways={("r1", "10.255.0.3"): way})
    step = InterfaceStep(device="r1", interface="eth1", cost=100)
    change = Change(name="a-change", steps=(step,), expect=(wanted(via=("r4",)),))
    found = fidelity.disagreements(change, square(), after, {})
    assert len(found) == 1
    assert "predicted r1 > r4 > r3, the packets took r1 > r2 > r3" in found[0].message


def test_who_speaks_is_read_from_the_configuration_and_the_lines_that_came_since():
    base = square()
    config = "router ospf\nexit\nrouter bgp 65001\nexit\n"
    nodes = {**base.nodes, "r1": base.nodes["r1"].model_copy(update={"config": config})}
    topology = base.model_copy(update={"nodes": nodes})
    assert neighbours.speakers(topology)["r1"] == {"ospf", "bgp"}
    edits = list(lines.read("r1", "no router bgp 65001\nrouter isis lab\n net 49.0001.0000.0000.0001.00\nexit\n"))
    assert neighbours.speakers(topology, edits)["r1"] == {"ospf", "isis"}
    assert neighbours.speakers(topology, edits)["r2"] == neighbours.speakers(topology)["r2"]


def test_only_who_has_a_neighbour_is_waited_for_when_one_may_fall_silent():
    """A loopback that OSPF announces has its dead timer of 40 s, too; it made every wait ten times as long."""
    ports = {"eth1": {"timerDeadSecs": 4, "nbrCount": 1}, "lo": {"timerDeadSecs": 40, "nbrCount": 0}}
    answer = json.dumps({"interfaces": ports})

    def call(request):
        return VtyOutput(outputs=(answer,), codes=(0,))

    assert neighbours.patience(call, {"r1": frozenset({"ospf"})}) == 4.0


@pytest.mark.alone
@pytest.mark.parametrize(("state", "least"), [("Active", 1.0), ("Established", 0.3)])
def test_a_session_that_tries_to_come_up_is_waited_for(monkeypatch, state, least):
    monkeypatch.setattr(settling, "PATIENCE_TRYING", 1.0)
    summary = json.dumps({"ipv4Unicast": {"peers": {"10.0.1.2": {"state": state}}}})

    def call(request):
        bgp = request.daemon == "bgpd"
        return VtyOutput(outputs=(summary,) if bgp else ("{}", "{}"), codes=(0,))

    start = time.monotonic()
    assert settling.settle(call, square(), {"r1": frozenset({"bgp"})}, window=0.3, deadline=5).stable
    assert least <= time.monotonic() - start < least + 0.9


def test_what_is_around_is_spared_where_its_address_may_change():
    before = Around(
        {"r1": {"ospf 10.0.1.2%eth1": "ospf Full"}}, {("r1", "10.255.0.2"): True, ("r1", "10.255.0.3"): True}
    )
    after = Around({"r1": {}}, {("r1", "10.255.0.2"): False, ("r1", "10.255.0.3"): True})
    lost = "r1: ospf 10.0.1.2%eth1 was Full, is not there"
    deaf = "r1 no longer reaches r2 (10.255.0.2)"
    assert around.difference(before, after, (), square()) == [lost, deaf]
    assert around.difference(before, after, ("10.0.1.0/30",), square()) == [deaf]
    assert around.difference(before, after, ("10.255.0.2/32",), square()) == [lost]
    assert around.difference(before, before, (), square()) == []
