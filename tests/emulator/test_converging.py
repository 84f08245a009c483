"""A running network made into another: the kernel is then as if that one had been built."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from testbed.emulator.client import AgentClient
from testbed.emulator.converging import steps
from testbed.emulator.lower import build_of
from testbed.emulator.messages import (
    Build,
    Converge,
    GetLinks,
    LinkChange,
    LinkPatch,
    LinkState,
    Observed,
    WireEnd,
    WireLink,
    WireNode,
)
from testbed.emulator.netem import Netem
from testbed.emulator.revision import Given
from testbed.emulator.standing import Observe
from testbed.errors import BadInput, Unable
from testbed.model.impairment import Impairment
from testbed.model.topology import Topology
from tests.model.generated import impairments, topologies

GUEST = settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
MODEL = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
KERNEL = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
HOSTS, BRIDGES = ("h0", "h1", "h2", "h3"), ("b0", "b1")


@st.composite
def networks(draw) -> Build:
    """Hosts and bridges in a line of links, of which each pair of two builds has some in common."""
    names = draw(st.lists(st.sampled_from((*HOSTS, *BRIDGES)), min_size=2, unique=True))
    chosen = draw(st.sets(st.sampled_from(range(len(names) - 1))))
    links = [draw(_link(number, names[number], names[number + 1])) for number in sorted(chosen)]
    nodes = {name: {"kind": "bridge"} if name in BRIDGES else draw(_host(name)) for name in names}
    return build_of(Topology.model_validate({"name": "net", "nodes": nodes, "links": dict(links)}))


def _host(name: str):
    number = HOSTS.index(name)
    return st.sampled_from([[], [f"10.255.0.{number}/32"], [f"10.255.0.{number}/32", f"fd00:255::{number}/128"]]).map(
        lambda given: {"kind": "host", "loopbacks": given}
    )


@st.composite
def _link(draw, number: int, one: str, other: str):
    where = sorted((*HOSTS, *BRIDGES)).index(one) * 8 + sorted((*HOSTS, *BRIDGES)).index(other)
    addressed = draw(st.booleans())
    versions = draw(st.sampled_from(["4", "46"]))
    ends = [
        {
            "node": name,
            "interface": f"eth{side}" if draw(st.booleans()) else f"lan{side}",
            "addresses": [
                address
                for version, address in (("4", f"10.0.{where}.{side + 1}/24"), ("6", f"fd00:{where}::{side + 1}/64"))
                if version in versions and addressed and name not in BRIDGES
            ],
        }
        for side, name in enumerate((one, other))
    ]
    changing = {"mtu": draw(st.sampled_from([1280, 1500, 9000])), "up": draw(st.booleans())}
    return f"{one}-{other}", {"endpoints": ends, **changing}


def kernel(agent: AgentClient, build: Build) -> dict[str, object]:
    """What the nodes' kernels hold, without what merely tells devices apart; carrier is told by the links."""
    found: dict[str, object] = {}
    for node in build.nodes:
        devices = json.loads(agent.run(node.name, ["ip", "-j", "address"]).stdout)
        routes = json.loads(agent.run(node.name, ["ip", "-j", "route"]).stdout)
        found[node.name] = (
            {
                device["ifname"]: (
                    device["mtu"],
                    "UP" in device["flags"],
                    device.get("master"),
                    sorted((a["local"], a["prefixlen"]) for a in device["addr_info"] if a["scope"] != "link"),
                )
                for device in devices
            },
            sorted((route["dst"], route.get("gateway", ""), route["dev"]) for route in routes),
        )
    return found


@KERNEL
@given(networks(), networks(), st.booleans())
def test_the_kernel_is_then_as_if_it_had_been_built_so(agent, one, other, whole):
    agent.call(one)
    agent.call(Converge(goal=other if whole else Given(one).revision(other)))
    converged, links = kernel(agent, other), {link.name: link for link in agent.call(GetLinks()).links}
    agent.call(other)
    assert converged == kernel(agent, other)
    assert links == {link.name: link for link in agent.call(GetLinks()).links}


@MODEL
@given(topologies(), topologies())
def test_no_step_is_left_where_nothing_differs_and_every_difference_has_one(one, other):
    before, after = _built(one), _built(other)
    assert not any(_work(before, before))
    same = {n.name: (n.kind, n.addresses, n.gateway) for n in before.nodes} == {
        n.name: (n.kind, n.addresses, n.gateway) for n in after.nodes
    } and {link.name: link for link in before.links} == {link.name: link for link in after.links}
    assert any(_work(before, after)) != same


def _built(topology: Topology) -> Build:
    try:
        return build_of(topology.model_copy(update={"guest": topology.guest.model_copy(update={"guests": 1})}))
    except BadInput:  # a ring of bridges, a router without an id
        return build_of(Topology.model_validate({"name": "one", "nodes": {"a": {"kind": "host"}}}))


def _work(before: Build, after: Build):
    it = steps(before, after)
    return it.gone_links, it.gone_nodes, it.new_nodes, it.new_links, it.kept, it.altered, it.changes


def _pair(**link: object) -> Build:
    ends = (
        WireEnd(node="left", interface="eth1", addresses=("10.0.0.1/30",)),
        WireEnd(node="right", interface="eth1", addresses=("10.0.0.2/30",)),
    )
    nodes = tuple(WireNode(name=name, kind="host") for name in ("left", "right"))
    whole = {"forward": Netem().patch(), "backward": Netem().patch(), **link}
    return Build(nodes=nodes, links=(WireLink(name="wire", ends=ends, **whole),))  # pyright: ignore[reportArgumentType]


def test_what_cannot_be_made_is_undone(agent):
    """A link with an interface name that its node's kernel has already, made by somebody in the node."""
    before = _pair(mtu=1400)
    agent.call(before)
    agent.run("right", ["ip", "link", "add", "eth2", "type", "bridge"])
    was = kernel(agent, before)
    third = WireNode(name="third", kind="host")
    ends = (WireEnd(node="third", interface="eth1"), WireEnd(node="right", interface="eth2"))
    goal = Build(nodes=(*before.nodes, third), links=(*_pair(mtu=9000).links, WireLink(name="second", ends=ends)))
    with pytest.raises(Unable, match="second"):
        agent.call(Converge(goal=Given(before).revision(goal)))
    assert kernel(agent, before) == was
    assert agent.call(Observe(given=Given(before).fingerprint)) == Observed(given=True)
    assert [state.name for state in agent.call(Observe()).links] == ["wire"]
    assert agent.run("left", ["ping", "-c1", "-W2", "10.0.0.2"]).code == 0
    agent.run("right", ["ip", "link", "delete", "eth2"])
    agent.call(Converge(goal=goal))
    assert {state.name for state in agent.call(Observe()).links} == {"wire", "second"}


def test_what_was_given_is_known_and_told_is_what_is_not_so_any_more(agent):
    first, second = (Given(_pair(mtu=mtu)) for mtu in (1400, 9000))
    agent.call(first.build)
    for last, other in ((first, second), (second, first)):
        assert agent.call(Observe(given=last.fingerprint)) == Observed(given=True)
        agent.set_links([LinkChange(link="wire", up=False)])
        cut = LinkState(name="wire", up=False, forward=Netem().patch(), backward=Netem().patch())
        assert agent.call(Observe(given=last.fingerprint)) == Observed(given=True, links=(cut,))
        assert agent.call(Observe(given=other.fingerprint)) == agent.call(Observe()) == Observed(links=(cut,))
        agent.call(Converge(goal=last.revision(other.build)))
    agent.set_links([LinkChange(link="wire", up=True)])
    with pytest.raises(BadInput, match="something else"):
        agent.call(Converge(goal=second.revision(first.build)))


def test_an_interface_can_lose_its_only_address(agent):
    before = _pair()
    (wire,) = before.links
    ends = tuple(structs.replace(end, addresses=()) for end in wire.ends)
    agent.call(before)
    agent.call(Converge(goal=structs.replace(before, links=(structs.replace(wire, ends=ends),))))
    for node in before.nodes:
        assert b"10.0.0." not in agent.run(node.name, ["ip", "address"]).stdout


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (_pair(forward=LinkPatch(loss=1.5)), "fractions from 0 to 1"),
        (Build(nodes=_pair().nodes[:1], links=_pair().links), "no node called 'right'"),
    ],
)
def test_what_no_network_can_be_is_refused_before_anything_is_changed(agent, goal, expected):
    agent.call(_pair())
    was = kernel(agent, _pair())
    with pytest.raises(BadInput, match=expected):
        agent.call(Converge(goal=goal))
    assert kernel(agent, _pair()) == was


def _impaired(wires) -> Build:
    nodes = {name: {"kind": "host"} for name in ("left", "right")}
    links = {
        f"l{number}": {
            "endpoints": [{"node": name, "interface": f"eth{number}"} for name in ("left", "right")],
            "forward": forward.model_dump(),
            "backward": backward.model_dump(),
        }
        for number, (forward, backward) in wires.items()
    }
    return build_of(Topology.model_validate({"name": "pair", "nodes": nodes, "links": links}))


WIRES = st.dictionaries(st.integers(0, 2), st.tuples(*[st.just(Impairment()) | impairments()] * 2))


@pytest.mark.guest
@GUEST
@given(WIRES, WIRES)
def test_impairments_are_then_as_if_it_had_been_built_so(guest_client, one, other):
    goal = _impaired(other)
    guest_client.call(_impaired(one))
    guest_client.call(Converge(goal=goal))
    converged = [_settings(state) for state in guest_client.call(GetLinks()).links]
    observed = {state.name: (state.up, state.forward, state.backward) for state in guest_client.call(Observe()).links}
    assert observed == {link.name: (link.up, link.forward, link.backward) for link in goal.links}
    guest_client.call(goal)
    assert sorted(converged) == sorted(_settings(state) for state in guest_client.call(GetLinks()).links)


def _settings(state: LinkState) -> tuple[str, ...]:
    """A netem that does nothing is as good as none: the queue that it would have does not count."""
    idle = Netem().patch()
    sides = (state.forward, state.backward)
    return state.name, *(repr(idle if structs.replace(side, limit=None) == idle else side) for side in sides)
