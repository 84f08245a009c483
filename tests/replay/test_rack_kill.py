"""The controller is killed at every journal write of a replay on real routers: FRR, sshd, timers on the devices.

The writes are counted in a replay that nobody kills, so that a step added later is killed at too. Each replay goes from
the cost that the one before it left to the other, so that nothing needs to be put back between them.
"""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.base import TransactionState
from testbed.replay import api, keys
from testbed.replay import plan as plans
from testbed.replay.journal import Entry, Journal
from tests.adapters.native_devices import wait_for
from tests.replay import scene
from tests.replay.routers import COSTS, FAILS, HOLDS, Routers, approved

pytestmark = pytest.mark.timeout(500)  # some forty replays: a minute on an idle machine, several on a busy one

KILLED = -signal.SIGKILL
WAYS = {"confirmed": HOLDS, "rolled-back": FAILS}


@dataclass(frozen=True)
class Whole:
    """A replay that nobody killed: how many journal writes it made, and its steps."""

    writes: int
    steps: list[tuple[str, str]]


def replay(place: Path, routers: Routers, way: str, kill_at: str = "") -> tuple[int, int, int]:
    """Replay in a process of its own; return how that ended, and the cost before and in the plan."""
    before = routers.cost()
    assert isinstance(before, int), before
    after = next(cost for cost in COSTS if cost != before)
    plan = approved(place, routers, WAYS[way], after)
    ended = scene.in_process(lambda: api.apply_plan(plan, routers.inventory, window=0.0), kill_at)
    return ended, before, after


def whole(place: Path, routers: Routers, way: str) -> Whole:
    writes, before, after = replay(place, routers, way)
    assert routers.cost() == (after if way == "confirmed" else before)
    with closing(Journal.open(api.journal_path())) as journal:
        last = journal.all()[-1]
        assert last.outcome == way
        return Whole(writes, [(step, device) for step, device, *_ in journal.steps(last.id)])


def last_entry() -> Entry:
    with closing(Journal.open(api.journal_path())) as journal:
        return journal.all()[-1]


def first_that_differs(one: Whole, other: Whole) -> int:
    """Return the first journal write in which two replays differ: one write begins them, each step is two."""
    pairs = zip(one.steps, other.steps, strict=False)
    return 1 + 2 * len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))) + 1


def recovered(place: Path, routers: Routers, way: str, point: str, happens: Callable[[], None]) -> bool:
    """Kill a replay at a point, let something happen, start again; return whether both devices are new."""
    ended, before, after = replay(place, routers, way, point)
    assert ended == KILLED, f"{way}, {point}: was not reached"
    happens()
    api.recover(routers.inventory)
    entry = last_entry() if point != "journal:1:before" else None
    new = entry is not None and entry.outcome == "confirmed"
    where = f"{way}, killed at {point}: the journal says {entry and entry.outcome}"
    assert routers.cost() == (after if new else before), where
    assert routers.left() == "", where
    assert entry is None or entry.finished, where
    return new


def test_real_routers_end_all_old_or_all_new_wherever_the_controller_is_killed(place, routers):
    ways = {way: whole(place, routers, way) for way in WAYS}
    kept = [
        recovered(place, routers, "confirmed", f"journal:{number}:before", lambda: None)
        for number in range(1, ways["confirmed"].writes + 1)
    ]
    assert kept == sorted(kept)  # old until the decision is written down, new from then on
    assert kept.count(False) == first_that_differs(ways["confirmed"], ways["rolled-back"])
    for number in range(first_that_differs(*ways.values()), ways["rolled-back"].writes + 1):
        assert not recovered(place, routers, "rolled-back", f"journal:{number}:before", lambda: None)
    assert api.audit_verify()


def test_so_they_do_when_a_timer_has_run_out_before_the_next_start(place, routers):
    """Right after each write while r2 is committed and not confirmed: it takes its old configuration back by itself."""
    steps = whole(place, routers, "confirmed").steps
    committed, confirming = (1 + 2 * steps.index((step, "r2")) + 1 for step in ("commit", "confirm"))
    for number in range(committed + 1, confirming + 2):  # the decision to confirm is one write between the steps
        recovered(place, routers, "confirmed", f"journal:{number}:after", lambda: routers.fire("r2"))
    assert api.audit_verify()


def test_a_controller_that_never_comes_back_leaves_the_routers_to_their_own_timers(place, routers):
    """In real time: committed on both, three seconds, nobody there."""
    plan = plans.load(approved(place, routers, HOLDS))
    short = plan.model_copy(update={"revert_after": 3.0, "approval": None})
    short = short.model_copy(update={"id": plans.plan_id(short)})
    plans.save(plans.approve(short, "bob", keys.read_private(place / "bob")), place / "plan.json")
    point = "journal:10:after"  # begun, two loaded, two committed: the verification begins
    assert scene.in_process(lambda: api.apply_plan(place / "plan.json", routers.inventory), point) == KILLED
    transaction = json.loads((place / "plan.json").read_text())["id"][:16]
    for adapter in routers.sessions.values():
        wait_for(lambda one=adapter: one.state(transaction) is TransactionState.REVERTED, "its timer fires", 20.0)
    assert routers.cost() == COSTS[0]
    describe(routers, "by hand, since")
    (result,) = api.recover(routers.inventory)
    describe(routers, "to the other")
    assert result.outcome == "rolled-back"
    assert "r1 has taken the change back, yet its configuration is" in result.reason


def describe(routers: Routers, text: str) -> None:
    """Change something by hand at r1's console."""
    words = ("conf t", "interface eth1", f"description {text}", "end")
    routers.devices["r1"].inside("vtysh", *itertools.chain.from_iterable(("-c", word) for word in words))
