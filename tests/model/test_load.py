"""What files may say, and that it comes through: short forms, profiles, JSON, YAML."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.model.base import WRITTEN
from testbed.model.change import Change, ConfigurationStep, InterfaceStep
from testbed.model.dump import dump
from testbed.model.impairment import Impairment
from testbed.model.load import load_topology, loads
from testbed.model.profile import load_profile
from testbed.model.rack import Inventory
from testbed.model.topology import Endpoint, Router, Topology
from tests.model.generated import topologies

BASE = """\
name: demo
nodes: {r1: {kind: router}, r2: {kind: router}}
links:
  r1-r2:
    endpoints: [r1:eth1, r2:eth2]
"""


def link(text):
    return loads(BASE + text, Topology).links["r1-r2"]


def test_an_endpoint_is_node_colon_interface():
    first, second = link("").endpoints
    assert (first, second) == (Endpoint(node="r1", interface="eth1"), Endpoint(node="r2", interface="eth2"))


def test_an_impairment_is_for_both_directions():
    both = link("    impairment: {delay: 10ms, loss: 0.1%}")
    assert both.forward == both.backward == Impairment(delay=0.01, loss=0.001)


def test_a_direction_overrides_the_impairment_and_that_the_profile_key_by_key():
    found = link("    profile: lte\n    impairment: {loss: 1%}\n    backward: {delay: 31ms}")
    down, up = load_profile("lte")
    assert found.forward == down.model_copy(update={"loss": 0.01})
    assert found.backward == up.model_copy(update={"loss": 0.01, "delay": 0.031})


def test_null_takes_a_profiles_burst_away():
    found = link("    profile: leo\n    impairment: {burst: null, loss: 1%}")
    assert (found.forward.burst, found.forward.loss) == (None, 0.01)


def test_the_order_of_profile_and_impairment_does_not_matter():
    assert link("    profile: lte\n    impairment: {loss: 1%}") == link("    impairment: {loss: 1%}\n    profile: lte")


def test_zero_needs_no_unit():
    assert link("    impairment: {delay: 0, loss: 0}").forward == Impairment()


def test_a_profile_beside_the_topology_comes_first(tmp_path):
    (tmp_path / "netem_profiles").mkdir()
    (tmp_path / "netem_profiles" / "lte.yaml").write_text("about: Mine.\nsource: me\nimpairment: {delay: 1ms}\n")
    (tmp_path / "demo.yaml").write_text(BASE + "    profile: lte\n")
    assert load_topology(tmp_path / "demo.yaml").links["r1-r2"].forward == Impairment(delay=0.001)


def test_a_configuration_file_is_read_beside_the_topology(tmp_path):
    (tmp_path / "r1.conf").write_text("hostname r1\n!\n")
    (tmp_path / "demo.yaml").write_text("name: demo\nnodes: {r1: {kind: router, config_file: r1.conf}}\n")
    router = load_topology(str(tmp_path / "demo.yaml")).nodes["r1"]
    assert isinstance(router, Router)
    assert router.config == "hostname r1\n!\n"


def test_anchors_and_aliases_are_followed():
    text = BASE + "    forward: &a {delay: 1ms}\n    backward: *a\n"
    found = loads(text, Topology).links["r1-r2"]
    assert found.forward == found.backward == Impairment(delay=0.001)


def test_yaml_is_version_1_2_with_a_byte_order_mark(tmp_path):
    (tmp_path / "demo.yaml").write_bytes(
        b"\xef\xbb\xbfname: no\nnodes: {on: {kind: bridge}}\ndescription: 2001-01-01\n"
    )
    topology = load_topology(tmp_path / "demo.yaml")
    assert (topology.name, list(topology.nodes), topology.description) == ("no", ["on"], "2001-01-01")


def test_a_step_is_what_its_keys_make_it():
    text = """
name: two
steps:
  - {device: r1, interface: eth1, cost: 40}
  - device: r1
    configuration: |
      interface eth1
       ip ospf cost 40
expect:
  - {kind: path, source: r1, destination: 10.0.0.1, via: [r2]}
"""
    change = loads(text, Change)
    assert change.steps == (
        InterfaceStep(device="r1", interface="eth1", cost=40),
        ConfigurationStep(device="r1", configuration="interface eth1\n ip ospf cost 40\n"),
    )
    assert Change.model_validate_json(change.model_dump_json()) == change
    assert loads(dump(change), Change) == change


def test_an_inventory_comes_through():
    text = "name: m\nknown_hosts: k\ndevices: {r1: {adapter: frr, address: h, user: u, password: {env: P}}}\n"
    inventory = loads(text, Inventory)
    assert Inventory.model_validate_json(inventory.model_dump_json()) == inventory == loads(dump(inventory), Inventory)


def test_units_are_only_for_what_a_person_wrote():
    assert Impairment.model_validate({"delay": 0.01}) == Impairment(delay=0.01)
    with pytest.raises(ValueError, match="number with a unit"):
        Impairment.model_validate({"delay": 0.01}, context=WRITTEN)


# --- properties -------------------------------------------------------------------------------------------------------


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(topologies())
def test_a_topology_survives_yaml_and_json(topology):
    read = loads(dump(topology), Topology)
    assert read == topology
    assert Topology.model_validate_json(read.model_dump_json()) == topology


_WORDS = """
name nodes links kind router host bridge endpoints r1 r2 r1:eth0 impairment profile forward delay loss 10ms 0.1% guest
memory [] {} null true ~ .nan -1 1e999 & * ! | > ? - : , [ ] { } ' " # % @ ` << &a *a !!int !!binary 0x1F --- ...
"""
words = st.sampled_from([*_WORDS.split(), "\t", "\0", "\x85", "\ufeff"])
junk = st.lists(words | st.sampled_from([" ", "\n", "\n  ", "\n    ", ": ", ", "]), max_size=40).map("".join)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | junk)
@example("&0 : &0")
@example("? 1\n: 2\n1: 3")
@example("%YAML 1.1\n---\nname: yes")
@example("%YAML 9.9\n---\nname: x")
@example("%TAG ! tag:x,2000:\n---\nname: !y x")
@example("name: !!binary x")
@example("name: 9999999999999999999999999999999999999999999999999999")
@example("nodes: {a: {kind: router, asn: " + "9" * 5000 + "}}")
@example("links: {a: {forward: {delay: " + "9" * 400 + "}}}")
def test_no_text_raises_anything_but_bad_input(text):
    told = []
    for model in (Topology, Change, Inventory, Impairment):
        try:
            loads(text, model)
        except BadInput as error:
            told.append(str(error))
    assert all(told)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_change_of_a_good_file_raises_anything_but_bad_input(data):
    good = BASE + "    profile: lte\n    impairment: {loss: 1%, burst: {p: 1%, r: 2%}}\n"
    at = data.draw(st.integers(0, len(good)))
    length = data.draw(st.integers(0, 12))
    text = good[:at] + data.draw(words | junk) + good[at + length :]
    with suppress(BadInput):
        assert loads(text, Topology).nodes
