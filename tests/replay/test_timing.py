import pytest

from testbed.errors import BadInput
from testbed.model.change import Change, InterfaceStep, Loss, NothingElse, Reachable, RoundTrip, Throughput
from testbed.replay import timing, verify
from tests.replay import scene

NAMES = ["r0", "r1"]
RTT = RoundTrip(kind="rtt", source="r0", destination="r1", percentile=50, below=0.1)


@pytest.fixture(scope="module")
def devices():
    with scene.folder() as root:
        yield scene.Rack.make(root / "rack", 2).devices()


def estimate(devices, *expect, rack=None):
    step = InterfaceStep(device="r0", interface="eth1", cost=40)
    change = Change(name="cost", steps=(step,), expect=expect)
    return timing.estimate(change, scene.verdict(NAMES).devices, rack or scene.inventory(NAMES), devices)


def test_the_estimate_grows_with_devices_of_the_rack_and_with_what_is_measured(devices):
    one = estimate(devices, NothingElse(kind="nothing-else-changed"))
    assert one == pytest.approx(2 * 2 * timing.STEP + verify.QUICK_WINDOW + verify.POLL + 2 * 2 * timing.SURVEY)
    assert estimate(devices, RTT) == pytest.approx(one + verify.SPAN + timing.LAST_REPLY)
    large = scene.inventory([f"r{number}" for number in range(8)])
    assert estimate(devices, RTT, rack=large) > estimate(devices, RTT)


def test_what_the_rack_cannot_measure_takes_no_time(devices):
    nothing = estimate(devices, NothingElse(kind="nothing-else-changed"))
    assert estimate(devices, Throughput(kind="throughput", source="r0", destination="r1", above=1e6)) == nothing


@pytest.mark.parametrize(
    ("expectation", "seconds"),
    [
        (RTT.model_copy(update={"percentile": 99.9}), 2000 * 0.008 + 1),
        (Loss(kind="loss", source="r0", destination="r1", below=1e-6), 6000 * verify.FASTEST_PING + 1),
        (Reachable(kind="reachable", source="r0", destination="r1", reachable=False), 40 * 0.1 + 1),
    ],
)
def test_a_rare_event_needs_many_packets_and_a_timer_that_outlasts_them(expectation, seconds):
    assert timing.measuring(expectation) == pytest.approx(seconds)


def test_a_timer_runs_several_times_the_estimate_with_a_floor_and_never_less_than_it(devices):
    assert timing.revert_after(5.0, None) == timing.FLOOR
    assert timing.revert_after(40.2, None) == 121.0
    assert timing.revert_after(40.0, 45.0) == 45.0
    for asked in (39.9, float("nan"), timing.LONGEST + 1):
        with pytest.raises(BadInput, match="expected at least the 40 s"):
            timing.revert_after(40.0, asked)
