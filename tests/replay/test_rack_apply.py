"""Replay on real routers: FRR behind real sshd, the adapter and the commands that the product uses."""

from __future__ import annotations

import pytest

from testbed.errors import Refused
from testbed.model.change import Adjacency, Expectation, Loss, NothingElse, PathIs, RoundTrip
from testbed.replay import api
from tests.replay.routers import COSTS, FAILS, HOLDS, approved

pytestmark = pytest.mark.timeout(180)  # a replay waits for routes to stand still, and converging routers for the CPU

ALL: tuple[Expectation, ...] = (
    *HOLDS,
    PathIs(kind="path", source="r1", destination="r2", via=("r2",)),
    RoundTrip(kind="rtt", source="r1", destination="r2", percentile=90, below=0.2),
    Loss(kind="loss", source="r2", destination="r1", below=0.1),
    Adjacency(kind="adjacency", device="r1", neighbour="r2"),
    NothingElse(kind="nothing-else-changed"),
)


def test_a_good_change_is_confirmed_on_real_routers(place, routers):
    plan = approved(place, routers, ALL)
    api.check_plan(plan, routers.inventory)
    result = api.apply_plan(plan, routers.inventory)
    assert result, result.reason
    assert [(one.expectation.kind, one.outcome) for one in result.findings] == [(one.kind, "PASSED") for one in ALL]
    assert all(one.measured[0].phase == "rack" and one.measured[0].proof for one in result.findings)
    assert routers.cost() == COSTS[1]
    assert api.audit_verify()
    with pytest.raises(Refused, match="used already"):
        api.apply_plan(plan, routers.inventory)


def test_a_change_that_does_not_hold_is_rolled_back_on_real_routers(place, routers):
    result = api.apply_plan(approved(place, routers, FAILS), routers.inventory, window=0.5)
    assert result.outcome == "rolled-back"
    assert "reachable on the rack FAILED" in result.reason
    assert routers.cost() == COSTS[0]
    assert api.audit_verify()
