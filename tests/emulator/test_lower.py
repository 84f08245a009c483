import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.emulator.lower import build_of, daemons_of, difference, impairment_of, patch_of
from testbed.emulator.messages import LinkPatch, WireNode
from testbed.errors import BadInput
from testbed.model.impairment import Impairment
from testbed.model.topology import Topology

from .scenes import chain

shares = st.integers(0, 1000).map(lambda n: n / 1000)
common = {
    "delay": st.integers(0, 1000).map(lambda n: n / 1000),
    "duplicate": shares,
    "rate": st.none() | st.integers(1000, 10**9).map(float),
    "limit": st.none() | st.integers(1, 1000),
}
bursts = st.fixed_dictionaries({"p": shares, "r": shares})
impairments = st.builds(Impairment, loss=shares, **common) | st.builds(Impairment, burst=bursts, **common)


@settings(deadline=None)
@given(impairments)
def test_an_impairment_survives_the_way_to_the_agent_and_back(impairment):
    assert impairment_of(patch_of(impairment)) == impairment


@settings(deadline=None)
@given(impairments, impairments)
def test_a_difference_names_only_what_changed(before, after):
    patch = difference(before, after)
    for field in patch.__struct_fields__:
        unchanged = getattr(before, field) == getattr(after, field)
        assert (getattr(patch, field) == getattr(LinkPatch(), field)) == unchanged, field


def test_given_configuration_is_kept_and_its_daemons_inferred():
    config = "hostname x\nrouter ospf\n network 0.0.0.0/0 area 0\nexit\nrouter bgp 65000\nexit\n"
    topology = Topology.model_validate({"name": "t", "nodes": {"x": {"kind": "router", "config": config}}})
    node = build_of(topology).nodes[0]
    assert (node.config, node.daemons) == (config, ("zebra", "staticd", "ospfd", "bgpd"))


def test_a_mention_of_a_protocol_is_not_its_configuration():
    assert daemons_of("! router ospf\nip prefix-list router seq 5 permit any\n") == ("zebra", "staticd")


def rendered(protocol: str) -> WireNode:
    return build_of(chain(protocol)).nodes[1]


def test_ospf_is_rendered_point_to_point_with_short_timers():
    config = rendered("ospf").config
    assert config.count(" ip ospf network point-to-point\n") == 2
    assert config.count(" ip ospf hello-interval 1\n ip ospf dead-interval 4\n") == 2
    assert " ospf router-id 10.255.0.2\n" in config
    assert " ip ospf passive\n" in config


def test_isis_gets_its_system_id_from_the_loopback():
    assert " net 49.0001.0102.5500.0002.00\n" in rendered("isis").config


def test_bgp_speaks_to_the_far_ends_of_its_links():
    config = rendered("bgp").config
    assert "router bgp 65001\n" in config
    assert " neighbor 10.0.0.1 remote-as 65000\n" in config
    assert " neighbor 10.0.1.2 remote-as 65002\n" in config


def bridges(*pairs: tuple[str, str]) -> Topology:
    names = {name for pair in pairs for name in pair}
    links = {
        f"l{i}": {"endpoints": [{"node": a, "interface": f"p{i}"}, {"node": b, "interface": f"q{i}"}]}
        for i, (a, b) in enumerate(pairs)
    }
    return Topology.model_validate({"name": "t", "nodes": {n: {"kind": "bridge"} for n in names}, "links": links})


def test_a_ring_of_bridges_is_refused_and_a_tree_is_not():
    build_of(bridges(("a", "b"), ("b", "c"), ("b", "d")))
    with pytest.raises(BadInput, match="l2 closes a ring of bridges"):
        build_of(bridges(("a", "b"), ("b", "c"), ("c", "a")))
