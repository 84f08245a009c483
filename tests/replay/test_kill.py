"""What `test_rack_kill.py` cannot wait for on real routers, on devices that are folders: a replay takes 20 ms here.

There the next start follows every kill; here, too: devices that are away at it and come back, timers of either or both
that fire before, recoveries that are killed themselves (generated), kills in the middle of an act on a device and
between any two writes of the audit log, a line that one device rejects, three devices. Hundreds of replays each.
"""

import itertools
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.model.verdict import Outcome
from tests.replay import scene
from tests.replay.scene import Rack, Told

pytestmark = pytest.mark.timeout(240)  # hundreds of processes each; seconds on an idle machine, more on a busy one

KILLED = -signal.SIGKILL
MOMENTS = ("before", "after")

# How a replay goes when nobody kills it: the rack it is made on, and what the probes find.
WAYS = {
    "confirmed": ("", Told()),
    "does-not-hold": ("", Told(Outcome.FAILED)),
    "line-rejected": ("r1", Told()),
}


@pytest.fixture(scope="module")
def racks():
    """One rack of each size and way, to be copied."""
    with scene.folder() as root:
        yield {
            (count, way): Rack.make(root / f"{way}-{count}", count, rejected)
            for count in (2, 3)
            for way, (rejected, _) in WAYS.items()
        }


def writes(rack: Rack, probes: Told) -> int:
    """Return how many journal writes a whole replay makes."""
    with scene.folder() as root:
        return scene.in_process(lambda: rack.copy(root / "whole").apply(probes))


def killed(rack: Rack, probes: Told, moment: str) -> Iterator[tuple[str, Rack]]:
    """Yield a rack for each journal write of a replay, its controller killed right before or after it."""
    for number in range(1, writes(rack, probes) + 1):
        point = f"journal:{number}:{moment}"
        with scene.folder() as root:
            copy = rack.copy(root / "rack")
            assert scene.in_process(lambda copy=copy: copy.apply(probes), point) == KILLED
            yield point, copy


def nothing(rack: Rack) -> None:
    """The next start finds everything as the killed controller left it."""


def timers_fire(*names: str) -> Callable[[Rack], None]:
    """These devices' timers run out before the next start."""

    def happen(rack: Rack) -> None:
        for name in names:
            rack.device(name).fire()

    happen.__name__ = f"timer of {' and '.join(names)} fires"
    return happen


def away(name: str, fires: bool) -> Callable[[Rack], None]:
    """A device cannot be reached at the next start, and comes back after it."""

    def happen(rack: Rack) -> None:
        device = rack.device(name)
        rack.unreachable(name, True)
        assert scene.in_process(rack.recover) >= 0
        if fires:
            device.fire()
        rack.unreachable(name, False)

    happen.__name__ = f"{name} is away" + (", its timer fires" if fires else "")
    return happen


EVENTS = [
    nothing,
    timers_fire("r0"),
    timers_fire("r1"),
    timers_fire("r0", "r1"),
    *(away(name, fires) for name in ("r0", "r1") for fires in (False, True)),
]


CASES = [
    *(("confirmed", event) for event in EVENTS),
    *(itertools.product(("does-not-hold", "line-rejected"), (nothing, timers_fire("r0"), away("r0", False)))),
]


@pytest.mark.parametrize(("way", "event"), CASES, ids=lambda one: getattr(one, "__name__", one).replace(" ", "-"))
def test_devices_end_all_old_or_all_new_wherever_the_controller_is_killed(racks, way, event):
    # Right after a write, where nothing else happens: the act it announces was never sent.
    moment = "after" if event is nothing else "before"
    for point, rack in killed(racks[2, way], WAYS[way][1], moment):
        event(rack)
        assert scene.in_process(rack.recover) >= 0
        assert rack.problems() == [], f"killed at {point}, then {event.__name__}"


def test_so_do_three_devices(racks):
    for point, rack in killed(racks[3, "confirmed"], Told(), "before"):
        assert scene.in_process(rack.recover) >= 0
        assert rack.problems() == [], f"killed at {point}"


ACTS = ("load", "commit", "confirm", "forget", "rollback")


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("device", ["r0", "r1"])
def test_a_device_left_in_the_middle_of_an_act_ends_as_the_others_do(racks, act, device):
    way = "does-not-hold" if act == "rollback" else "confirmed"
    for event in (nothing, timers_fire("r0"), timers_fire("r0", "r1"), away("r0", False), away("r1", True)):
        with scene.folder() as root:
            rack = racks[2, way].copy(root / "rack")
            assert scene.in_process(lambda rack=rack: rack.apply(WAYS[way][1], f"{act} {device}")) == KILLED
            event(rack)
            assert scene.in_process(rack.recover) >= 0
            assert rack.problems() == [], event.__name__


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.sampled_from([2, 3]),
    way=st.sampled_from(sorted(WAYS)),
    kills=st.lists(st.tuples(st.integers(1, 30), st.sampled_from(MOMENTS)), min_size=1, max_size=3),
    events=st.lists(st.sampled_from(EVENTS), min_size=3, max_size=3),
)
def test_recoveries_that_are_killed_too_change_nothing(racks, size, way, kills, events):
    with scene.folder() as root:
        rack = racks[size, way].copy(root / "rack")
        (number, moment), *later = kills
        scene.in_process(lambda: rack.apply(WAYS[way][1]), f"journal:{number}:{moment}")
        for (again, when), event in zip(later, events, strict=False):
            event(rack)
            scene.in_process(rack.recover, f"journal:{again}:{when}")
        events[-1](rack)
        assert scene.in_process(rack.recover) >= 0
        assert rack.problems() == []


def test_a_controller_killed_in_the_audit_log_leaves_it_whole(racks):
    """Every write of the audit log of the first acts: there are three to an append."""
    for number, moment in itertools.product(range(1, 16), MOMENTS):
        with scene.folder() as root:
            rack = racks[2, "confirmed"].copy(root / "rack")
            assert scene.in_process(lambda rack=rack: rack.apply(), f"audit:{number}:{moment}") == KILLED
            assert scene.in_process(rack.recover) >= 0
            assert rack.problems() == [], f"killed at audit write {number} {moment}"
