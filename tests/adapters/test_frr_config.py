from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import frr_config
from testbed.errors import BadInput

RUNNING = """Building configuration...

Current configuration:
!
frr version 8.4.4
hostname r1
no ip forwarding
!
interface eth1
 description to r2
 ip ospf cost 10
exit
!
router bgp 65000
 neighbor 10.0.0.2 remote-as 65001
 !
 address-family ipv4 unicast
  network 10.0.0.0/8
 exit-address-family
exit
!
router ospf
 ospf router-id 10.255.0.1
exit
!
end
"""

numbers = st.integers(1, 4)
interface_lines = st.one_of(
    st.builds("ip ospf cost {}".format, numbers),
    st.builds("ip ospf hello-interval {}".format, numbers),
    st.builds("description to {}".format, numbers),
    st.builds("ip address 10.0.{}.1/30".format, numbers),
    st.just("shutdown"),
)
ospf_lines = st.one_of(
    st.builds("network 10.{}.0.0/16 area 0".format, numbers),
    st.builds("ospf router-id 10.0.0.{}".format, numbers),
    st.builds("passive-interface eth{}".format, numbers),
    st.builds("timers throttle spf {} 100 1000".format, numbers),
)
bgp_lines = st.one_of(
    st.builds("neighbor 10.0.0.{} remote-as 6500{}".format, numbers, numbers),
    st.just("no bgp default ipv4-unicast"),
)
family_lines = st.builds("network 10.{}.0.0/16".format, numbers)
top_lines = st.one_of(
    st.builds("ip route 10.{}.0.0/16 10.0.0.{}".format, numbers, numbers),
    st.builds("hostname r{}".format, numbers),
    st.builds("ip prefix-list P seq {} permit 10.{}.0.0/16".format, numbers, numbers),
    st.sampled_from(["no ip forwarding", "no ipv6 forwarding"]),
)


def unique(lines: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """Settings of one context: no two that replace each other."""
    return st.lists(lines, max_size=4, unique_by=frr_config.key_of).map(tuple)


@st.composite
def configs(draw: st.DrawFn) -> frr_config.Config:
    config: frr_config.Config = {(): draw(unique(top_lines))}
    for number in draw(st.sets(numbers, max_size=2)):
        config[(f"interface eth{number}",)] = draw(unique(interface_lines))
    if draw(st.booleans()):
        config[("router ospf",)] = draw(unique(ospf_lines))
    if draw(st.booleans()):
        config[("router bgp 65000",)] = draw(unique(bgp_lines))
        config[("router bgp 65000", "address-family ipv4 unicast")] = draw(unique(family_lines))
    return frr_config._tidy(config)


def sets(config: frr_config.Config) -> dict[frr_config.Path, frozenset[str]]:
    return {path: frozenset(lines) for path, lines in config.items()}


@given(configs(), configs())
def test_applying_the_difference_of_two_configurations_to_one_gives_the_other(
    old: frr_config.Config, new: frr_config.Config
) -> None:
    reached = frr_config.apply(old, frr_config.difference(old, new))
    assert sets(reached) == sets(new)
    assert frr_config.digest(reached) == frr_config.digest(new)


@given(configs())
def test_equal_configurations_have_no_difference(config: frr_config.Config) -> None:
    assert frr_config.difference(config, config) == ""


@given(configs())
def test_what_is_written_is_read_back(config: frr_config.Config) -> None:
    assert sets(frr_config.parse(frr_config._text(config))) == sets(config)


@given(configs(), configs())
def test_hashes_are_equal_only_for_equal_settings(one: frr_config.Config, other: frr_config.Config) -> None:
    assert (frr_config.digest(one) == frr_config.digest(other)) == (sets(one) == sets(other))


@given(configs(), configs())
def test_every_line_of_a_difference_leaves_its_trace(old: frr_config.Config, new: frr_config.Config) -> None:
    lines = frr_config.difference(old, new)
    assert frr_config.without_trace(lines, frr_config.apply(old, lines)) == []


def test_a_running_configuration_is_read_by_context() -> None:
    config = frr_config.parse(RUNNING)
    assert config[()] == ("frr version 8.4.4", "hostname r1", "no ip forwarding")
    assert config[("interface eth1",)] == ("description to r2", "ip ospf cost 10")
    assert config[("router bgp 65000", "address-family ipv4 unicast")] == ("network 10.0.0.0/8",)
    assert config[("router ospf",)] == ("ospf router-id 10.255.0.1",)


@pytest.mark.parametrize(
    ("lines", "rollback"),
    [
        ("interface eth1\n ip ospf cost 40\nexit\n", "interface eth1\n ip ospf cost 10\nexit\n"),
        ("interface eth1\n no ip ospf cost\n", "interface eth1\n ip ospf cost 10\nexit\n"),
        ("interface eth1\n shutdown\n", "interface eth1\n no shutdown\nexit\n"),
        ("interface eth2\n description new\n", "interface eth2\n no description\nexit\n"),
        ("router ospf\n passive-interface eth1\n", "router ospf\n no passive-interface eth1\nexit\n"),
        ("no router ospf\n", "router ospf\n ospf router-id 10.255.0.1\nexit\n"),
        ("router isis x\n net 49.1\n", "no router isis x\n"),
        ("ip route 10.9.0.0/16 10.0.0.1\n", "no ip route 10.9.0.0/16 10.0.0.1\n"),
        ("ip forwarding\n", "no ip forwarding\n"),
        ("no ipv6 forwarding\n", "ipv6 forwarding\n"),
        ("hostname r9\n", "hostname r1\n"),
    ],
)
def test_the_rollback_of(lines: str, rollback: str) -> None:
    before = frr_config.parse(RUNNING)
    assert frr_config.difference(frr_config.apply(before, lines), before) == rollback


def test_a_neighbours_remote_as_goes_last_and_comes_first() -> None:
    bare = frr_config.parse("router bgp 65000\n bgp router-id 1.1.1.1\n")
    rich = frr_config.apply(bare, "router bgp 65000\n neighbor 1.2.3.4 remote-as 1\n neighbor 1.2.3.4 weight 5\n")
    assert re.findall("remote-as|weight", frr_config.difference(rich, bare)) == ["weight", "remote-as"]
    assert re.findall("remote-as|weight", frr_config.difference(bare, rich)) == ["remote-as", "weight"]


@pytest.mark.parametrize("lines", ["interface eth1\nip ospf cost 5\n", "router ospf\nnetwork 10.0.0.0/8 area 0\n"])
def test_lines_whose_context_is_not_plain_are_refused(lines: str) -> None:
    with pytest.raises(BadInput, match="indent the settings"):
        frr_config.check(lines)


@pytest.mark.parametrize("lines", ["", "\n!\n", "! only a comment\n"])
def test_nothing_to_do_is_refused(lines: str) -> None:
    with pytest.raises(BadInput, match="has no lines"):
        frr_config.check(lines)


def test_a_line_that_nobody_took_is_found() -> None:
    before = frr_config.parse(RUNNING)
    lines = "router bgp 65000\n neighbor 10.0.0.9 remote-as 9\nexit\ninterface eth1\n ip ospf cost 40\n"
    assert frr_config.without_trace(lines, before) == [
        "router bgp 65000 / neighbor 10.0.0.9 remote-as 9",
        "interface eth1 / ip ospf cost 40",
    ]


def test_the_difference_for_people_shows_its_surroundings() -> None:
    before = frr_config.parse(RUNNING)
    shown = frr_config.unified(before, frr_config.apply(before, "interface eth1\n ip ospf cost 40\n"), "r1")
    assert "- ip ospf cost 10" in shown
    assert "+ ip ospf cost 40" in shown
    assert " interface eth1" in shown
