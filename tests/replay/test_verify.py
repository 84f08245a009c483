import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from adapters.base import Facts, InterfaceFacts, Neighbour, PingResult, Route, TracerouteResult
from testbed.emulator.messages import GetLinks, Reach, Stamp, Trace
from testbed.errors import BadInput, NotReady
from testbed.model.change import Adjacency, Loss, NothingElse, PathIs, Reachable, RoundTrip, Throughput
from testbed.model.plan import Plan
from testbed.model.verdict import Measured, Outcome
from testbed.replay import verify
from testbed.replay.verify import RackProbes
from tests.replay import scene

RTT = RoundTrip(kind="rtt", source="r0", destination="r1", percentile=50, below=0.1)


def interface(name, address):
    return InterfaceFacts(name, True, True, (address,), 1500, "02:00:00:00:00:01", None, "", 10, 0, 0, 0, 0, 0, 0)


def facts(number, routes=(), full=True, state="Full"):
    other = 1 - number
    return Facts(
        device=f"r{number}",
        measured=0.0,
        hostname=f"r{number}",
        version="",
        router_id=f"10.255.0.{number}",
        interfaces=(interface("lo", f"10.255.0.{number}/32"), interface("eth1", f"10.0.0.{number + 1}/30")),
        neighbours=(Neighbour("ospf", "eth1", f"10.0.0.{other + 1}", f"10.255.0.{other}", state, full),),
        routes=(Route(f"10.255.0.{other}/32", "ospf", 20, (f"10.0.0.{other + 1}%eth1",)), *routes),
        lsdb=None,
        running_config="router ospf\n",
        cpu=None,
        memory=None,
        clock_offset=0.0,
    )


@dataclass
class Router:
    """A device that says what it is told to; `collects` is used up from the front, its last one stays."""

    collects: list[Facts]
    rtt: tuple[float, ...] = (0.01,)
    lost: int = 0
    hops: tuple[str | None, ...] = ("10.255.0.1",)
    reached: bool = True
    pings: list[tuple[str, int, float]] = field(default_factory=list)
    capabilities = scene.DiskDevice.capabilities

    def collect(self):
        return self.collects.pop(0) if len(self.collects) > 1 else self.collects[0]

    def ping(self, destination, source=None, count=20, interval=0.02, dscp=0):
        self.pings.append((destination, count, interval))
        replies = tuple(self.rtt[n % len(self.rtt)] for n in range(count - min(self.lost, count)))
        return PingResult(count, len(replies), replies, ("as told",))

    def traceroute(self, destination, source=None):
        return TracerouteResult(self.hops, self.reached)


def rack(**told: Any) -> dict[str, Any]:
    return {"r0": Router([facts(0)], **told), "r1": Router([facts(1)])}


def judged(expectation, adapters, foretold=None, baseline=None):
    probes, plan = RackProbes(scene.inventory(["r0", "r1"]), window=0.0), _plan(expectation, foretold)
    probes.before(plan, baseline or adapters)
    return probes.after(plan, adapters, time.monotonic() + 5)


def _plan(expectation, foretold):
    verdict = scene.verdict(["r0", "r1"])
    return Plan(
        id="",
        rack="disks",
        identities={},
        estimate=1.0,
        revert_after=60.0,
        change=verdict.change.model_copy(update={"expect": (expectation,)}),
        outcome=Outcome.PASSED,
        devices=verdict.devices,
        forecast={} if foretold is None else {"0": foretold},
        verdict_hash="",
        proposed_by="alice",
        created=0.0,
    )


def only(expectation, adapters, **more):
    (found,) = judged(expectation, adapters, **more)
    assert found.measured[0].phase == "rack"
    return found


REACHABLE = Reachable(kind="reachable", source="r0", destination="r1")
NOT_REACHABLE = Reachable(kind="reachable", source="r0", destination="r1", reachable=False)
PATH = PathIs(kind="path", source="r0", destination="r1", via=("r1",), avoid=("r9",))
LOSS = Loss(kind="loss", source="r0", destination="r1", below=0.2)
NEIGHBOUR = Adjacency(kind="adjacency", device="r0", neighbour="r1")


@pytest.mark.parametrize(
    ("expectation", "told", "outcome"),
    [
        (REACHABLE, {}, "PASSED"),
        (REACHABLE, {"lost": 1000}, "FAILED"),
        (NOT_REACHABLE, {"lost": 1000}, "PASSED"),
        (NOT_REACHABLE, {}, "FAILED"),
        (PATH, {}, "PASSED"),
        (PATH, {"hops": ("10.9.9.9", "10.255.0.1")}, "INCONCLUSIVE"),
        (PATH, {"reached": False}, "FAILED"),
        (RTT, {}, "PASSED"),
        (RTT, {"rtt": (0.3,)}, "FAILED"),
        (RTT, {"lost": 100000}, "FAILED"),
        (LOSS, {}, "PASSED"),
        (LOSS, {"lost": 150}, "FAILED"),
        (NEIGHBOUR, {}, "PASSED"),
    ],
)
def test_expectations_are_judged_by_what_the_devices_measure(expectation, told, outcome):
    found = only(expectation, rack(**told))
    assert found.outcome == outcome, found
    assert found.measured[0].proof


def test_the_proof_says_that_it_was_ping():
    proof = only(RTT, rack()).measured[0].proof
    assert any("ICMP echoes" in line for line in proof)
    assert not any("STAMP" in line for line in proof)


def test_a_neighbour_that_is_not_full_is_no_adjacency():
    adapters: dict[str, Any] = {"r0": Router([facts(0, full=False, state="ExStart")]), "r1": Router([facts(1)])}
    found = only(NEIGHBOUR, adapters)
    assert found.outcome == "FAILED"
    assert "r1 is ExStart (10.0.0.2 on eth1)" in found.measured[0].proof[0]
    stranger = only(NEIGHBOUR.model_copy(update={"neighbour": "r7"}), adapters)
    assert "r0's OSPF lists no r7; it lists 10.0.0.2 on eth1" in stranger.measured[0].proof[0]


def test_every_session_with_a_neighbour_must_be_full_and_of_the_protocol_meant():
    whole = facts(0)
    (session,) = whole.neighbours
    for other, outcome in (
        (replace(session, interface="eth2", address="10.255.0.1", state="Init", full=False), "FAILED"),
        (replace(session, protocol="bgp", state="Active", full=False), "PASSED"),
    ):
        told = replace(whole, neighbours=(session, other))
        assert only(NEIGHBOUR, {"r0": Router([told]), "r1": Router([facts(1)])}).outcome == outcome


@pytest.mark.parametrize(("spared", "outcome"), [((), "FAILED"), (("10.1.0.0/16",), "PASSED")])
def test_a_route_that_changed_is_named_unless_it_may(spared, outcome):
    before = rack()
    after: dict[str, Any] = {
        "r0": Router([facts(0, [Route("10.1.2.0/24", "ospf", 20, ("10.0.0.2%eth1",))])]),
        "r1": before["r1"],
    }
    found = only(NothingElse(kind="nothing-else-changed", except_prefixes=spared), after, baseline=before)
    assert found.outcome == outcome
    if outcome == "FAILED":
        assert any("r0: 10.1.2.0/24 via no route -> 10.0.0.2%eth1" in line for line in found.measured[0].proof)


def test_what_no_device_can_measure_is_not_called_a_pass():
    wanted = Throughput(kind="throughput", source="r0", destination="r1", above=1e6)
    assert judged(wanted, rack()) == ()


@pytest.mark.parametrize(
    ("foretold", "outcome"), [(0.01, "PASSED"), (0.0115, "PASSED"), (0.02, "FAILED"), (0.005, "FAILED")]
)
def test_a_change_that_holds_otherwise_than_foretold_is_not_kept(foretold, outcome):
    found = only(RTT, rack(), foretold=foretold)
    assert found.outcome == outcome
    assert "foretold" in found.reason


def test_the_tolerance_is_a_share_where_the_value_is_large():
    measured = Measured(phase="rack", holds=True, value=0.1)
    assert verify.disagreement("rtt", measured, 0.112) == ""
    assert "foretold" in verify.disagreement("rtt", measured, 0.13)


def test_a_device_error_while_measuring_is_inconclusive():
    adapters = rack()

    def broken(*_, **__):
        raise BadInput("no ping here")

    adapters["r0"].ping = broken
    found = only(REACHABLE, adapters)
    assert found.outcome == "INCONCLUSIVE"
    assert "no ping here" in found.reason


def test_it_waits_until_routes_and_neighbours_have_stood_still(monkeypatch):
    monkeypatch.setattr(verify, "POLL", 0.01)
    moving = [facts(0, full=False, state=f"state {n}") for n in range(5)]
    adapters: dict[str, Any] = {"r0": Router([*moving, facts(0)]), "r1": Router([facts(1)])}
    assert verify.settled(adapters, 0.05, time.monotonic() + 5)["r0"] == facts(0)


def test_a_rack_that_never_stands_still_is_not_judged(monkeypatch):
    monkeypatch.setattr(verify, "POLL", 0.01)
    flapping = [facts(0, full=bool(n % 2), state=f"state {n}") for n in range(1000)]
    adapters: dict[str, Any] = {"r0": Router(flapping), "r1": Router([facts(1)])}
    with pytest.raises(NotReady, match="did not converge in time; last moved: r0: neighbours"):
        verify.settled(adapters, 1.0, time.monotonic() + 0.2)


def test_a_ping_answers_for_stamp_with_its_lost_packets():
    call = verify.answering(rack(lost=3))
    result = call(Stamp(source="r0", destination="10.255.0.1", reflector="r1", count=10, interval=0.0001))
    assert (result.sent, result.received, sum(map(math.isnan, result.rtt))) == (10, 7, 3)
    assert not result.kernel_timestamps


def test_only_devices_of_the_rack_and_known_probes_are_answered():
    call = verify.answering(rack())
    for request in (Reach(source="r7", destination="10.0.0.1"), Trace(source="r7", destination="10.0.0.1")):
        with pytest.raises(BadInput, match="r7 is no device"):
            call(request)
    with pytest.raises(BadInput, match="cannot be measured"):
        call(GetLinks())
