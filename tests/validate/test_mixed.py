"""Whole trials over real BGP, IS-IS and static routes: neighbours before and after, broken ones, sound changes."""

from __future__ import annotations

import pytest

from testbed.model.change import Adjacency, Change, ConfigurationStep, NothingElse, PathIs, Reachable
from testbed.model.verdict import Outcome
from tests.validate.guests import attempted, mirrored
from tests.validate.mixed import LOOPBACKS, A, B, C, build, state

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]

ISIS = Adjacency(kind="adjacency", device=A, neighbour=B, protocol="isis")
BGP = Adjacency(kind="adjacency", device=B, neighbour=C, protocol="bgp")
NO_BGP = Adjacency(kind="adjacency", device=A, neighbour=B, protocol="bgp")
ACROSS = Reachable(kind="reachable", source=A, destination=C)


@pytest.fixture(scope="module")
def row(guest_lab):
    return mirrored(guest_lab, build(), state())


@pytest.fixture
def attempt(guest_lab, row):
    def run(device, configuration, *expect):
        step = ConfigurationStep(device=device, configuration=configuration)
        return attempted(guest_lab, row, Change(name="a-change", steps=(step,), expect=expect))

    return run


def outcomes(verdict):
    return [finding.outcome.value for finding in verdict.findings], verdict.reason


def test_a_prefix_announced_by_bgp_reaches_who_routes_there_and_disturbs_nobody(attempt):
    announce = "interface lo\n ip address 10.242.0.3/32\nexit\nrouter bgp 65002\n address-family ipv4 unicast\n"
    verdict = attempt(
        C,
        f"{announce}  network 10.242.0.3/32\n exit-address-family\nexit\n",
        Reachable(kind="reachable", source=B, destination="10.242.0.3"),
        PathIs(kind="path", source=B, destination="10.242.0.3", avoid_links=("mix-ab",)),
        ISIS,
        BGP,
        NothingElse(kind="nothing-else-changed", except_prefixes=("10.242.0.3/32",)),
    )
    assert verdict.outcome is Outcome.PASSED, outcomes(verdict)
    assert verdict.findings[2].measured[0].proof == (f"{B} is Up ({B} on eth1)",)
    assert verdict.findings[3].measured[0].proof == (f"{C} is Established (10.243.2.2)",)
    assert "4 neighbours, 6 pairs of routers" in verdict.findings[4].measured[-1].proof[0]


def test_a_bgp_session_that_is_shut_fails_with_the_state_the_daemon_names(attempt):
    verdict = attempt(B, "router bgp 65001\n neighbor 10.243.2.2 shutdown\nexit\n", BGP, ISIS, NO_BGP, ACROSS)
    assert outcomes(verdict)[0] == ["FAILED", "PASSED", "FAILED", "FAILED"], verdict.reason
    assert f"{C} is Idle (Admin) (10.243.2.2)" in verdict.findings[0].reason
    assert f"{A} does not run 'bgpd'" in verdict.findings[2].reason
    assert verdict.environment["rollback_proven"] is True


def test_an_isis_circuit_that_goes_passive_fails_and_all_that_changed_is_told(attempt):
    verdict = attempt(A, "interface eth1\n isis passive\nexit\n", ISIS, NothingElse(kind="nothing-else-changed"))
    assert outcomes(verdict)[0] == ["FAILED", "FAILED"], verdict.reason
    assert f"{A}'s ISIS lists no {B}" in verdict.findings[0].reason
    changed = verdict.findings[1].measured[-1].proof
    assert f"{A}: isis {B}%eth1 was Up, is not there" in changed


def test_a_static_route_that_is_turned_away_cuts_off_what_it_led_to(attempt):
    verdict = attempt(A, f"no ip route {LOOPBACKS[C]} 10.243.1.2\nip route {LOOPBACKS[C]} Null0\n", ACROSS, ISIS)
    assert outcomes(verdict)[0] == ["FAILED", "PASSED"], verdict.reason


def test_forwarding_that_ends_changes_no_route_and_is_found_by_packets(attempt):
    verdict = attempt(B, "no ip forwarding\n", ISIS, BGP, NothingElse(kind="nothing-else-changed"))
    assert outcomes(verdict)[0] == ["PASSED", "PASSED", "FAILED"], verdict.reason
    assert verdict.findings[2].measured[-1].proof[1:] == (f"{A} no longer reaches {C} (10.244.0.3)",)
