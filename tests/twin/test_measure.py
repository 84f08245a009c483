import os
import threading
import time
from dataclasses import replace
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import DeviceError
from testbed.twin.discover import infer
from testbed.twin.echo import Batch
from testbed.twin.measure import DevicePoller, Reading, Schedule, link_samples, plan_echoes, samples
from tests.twin.metro import change, counters, inventory, metro


@given(st.floats(0.1, 3), st.lists(st.floats(0, 10), min_size=1, max_size=20))
def test_deadlines_stay_on_the_grid_and_every_one_is_either_kept_or_counted(period, busy):
    schedule, now, kept, deadline = Schedule(100.0, period), 100.0, 0, 100.0
    for seconds in busy:
        deadline = schedule.next(now)
        assert deadline >= now - 1e-6
        turns = (deadline - 100.0) / period
        assert turns == pytest.approx(round(turns), abs=1e-6)
        kept += 1
        now = deadline + seconds
    assert kept + schedule.missed == round((deadline - 100.0) / period) + 1


def test_a_quick_poll_misses_nothing():
    schedule, now = Schedule(0.0, 1.0), 0.0
    for _ in range(50):
        now = schedule.next(now) + 0.3
    assert schedule.missed == 0


def test_every_link_is_measured_once_and_the_work_is_shared():
    plans = plan_echoes(infer(metro(), inventory()).topology)
    assert sorted(plan.link for each in plans.values() for plan in each) == [
        "agg1-cell1", "agg3-cell1", "core1-agg1", "core1-core2", "core2-agg3",
    ]  # fmt: skip
    assert max(map(len, plans.values())) <= 2
    only = next(plan for each in plans.values() for plan in each if plan.link == "agg3-cell1")
    assert only.destination in ("10.0.15.1", "10.0.15.2")


class Device:
    """An adapter made of facts; `delay` is how long it takes, `fail` what it raises."""

    def __init__(self, fact, delay=0.0):
        self.fact, self.delay = fact, delay
        self.fail: Exception | None = None
        self.collected = 0
        self.hold: threading.Event | None = None

    def _answer(self):
        time.sleep(self.delay)  # a slow device is what is simulated
        if self.fail:
            raise self.fail

    def counters(self):
        self._answer()
        return counters(self.fact, time.time())

    def collect(self):
        if self.hold is not None:
            assert self.hold.wait(10)
        self._answer()
        self.collected += 1
        return self.fact


class Hearing:
    def __init__(self, batch):
        self.batch = batch

    def filenos(self):
        return ()

    def hear(self):
        return False

    def take(self, now, offset):
        return self.batch

    def close(self):
        pass


def poller(device: Any, echoes: Any = None, period=0.1, out=None, full_every=3):
    deliver = (out or SimpleQueue()).put
    schedule = Schedule(time.monotonic(), period)
    return DevicePoller(device.fact.device, device, echoes or {}, schedule, deliver, full_every=full_every)


def facts_of(polling):
    """Poll, and return the facts that this had read; None when it had none read."""
    polling.poll(0.0)
    if not polling._collection.busy:
        return None
    assert polling._ears.wait(5.0)
    return polling._collected([])


def test_facts_are_read_at_first_then_now_and_then_and_at_once_when_a_cost_changes():
    device = Device(metro()["agg1"])
    polling = poller(device)
    had = [facts_of(polling) is not None for _ in range(6)]
    assert had == [True, False, False, False, True, False]
    device.fact = change(metro(), "agg1", "eth2", cost=77)["agg1"]
    assert facts_of(polling) is device.fact


def test_polls_go_on_while_everything_is_read_and_the_facts_come_as_soon_as_they_are_there():
    out: SimpleQueue[Reading] = SimpleQueue()
    device = Device(metro()["agg1"])
    device.hold = threading.Event()
    polling = poller(device, out=out, full_every=10**6)
    polling.start()
    assert [out.get(timeout=5).facts for _ in range(4)] == [None] * 4
    polling.look_again(0.0)
    while polling._look_again is not None:
        assert out.get(timeout=5).facts is None
    device.hold.set()
    found = [out.get(timeout=5).facts for _ in range(8)]
    polling.stop()
    polling.join(5)
    assert any(facts is device.fact for facts in found)
    assert device.collected == 2  # what was asked for meanwhile is read after


def test_what_could_not_be_read_is_told_and_read_again_at_the_next_poll():
    device = Device(metro()["agg1"])
    device.hold = threading.Event()
    polling = poller(device, full_every=100)
    polling.poll(0.0)
    device.fail = DeviceError("agg1: no answer in time")
    device.hold.set()
    assert polling._ears.wait(5.0)
    device.fail = None
    failed = polling.poll(0.0)
    assert (failed.facts, failed.error) == (None, "agg1: no answer in time")
    assert polling._ears.wait(5.0)
    assert polling.poll(0.0).facts is device.fact


@pytest.mark.parametrize("setting", [{"up": False}, {"mtu": 9000}, {"addresses": ("10.7.7.7/24",)}])
def test_an_interface_that_is_set_otherwise_has_everything_read_in_the_next_poll(setting):
    device = Device(metro()["agg1"])
    polling = poller(device, full_every=100)
    assert facts_of(polling) is device.fact
    device.fact = change(metro(), "agg1", "eth2", **setting)["agg1"]
    assert [facts_of(polling) is not None for _ in range(3)] == [False, True, False]


def test_everything_is_read_anew_when_that_is_asked_for():
    polling = poller(Device(metro()["agg1"]), full_every=100)
    assert facts_of(polling) is not None
    polling.look_again(time.monotonic())
    assert [facts_of(polling) is not None for _ in range(2)] == [True, False]


def test_an_interface_that_goes_down_and_loses_its_cost_is_no_change_of_cost():
    device = Device(metro()["agg1"])
    polling = poller(device, full_every=100)
    assert facts_of(polling) is device.fact
    device.fact = change(metro(), "agg1", "eth2", cost=None, carrier=False)["agg1"]
    assert facts_of(polling) is None


def test_a_lost_device_is_an_error_in_the_reading_and_comes_back():
    device = Device(metro()["agg1"])
    polling = poller(device, {"core1-agg1": Hearing(Batch((1e-3,), 0, 5.0))})
    device.fail = DeviceError("agg1: no answer in time")
    lost = polling.poll(0.0)
    assert (lost.counters, lost.facts, dict(lost.echoes)) == (None, None, {})
    assert lost.error == "agg1: no answer in time"
    device.fail = None
    back = polling.poll(1.0)
    assert back.counters is not None
    assert back.echoes["core1-agg1"].rtts == (1e-3,)


def test_an_answer_that_nobody_thought_of_does_not_end_the_polling():
    device = Device(metro()["agg1"])
    device.fail = KeyError("operationalStatus")
    assert "KeyError" in poller(device).poll(0.0).error


def test_a_slow_device_does_not_delay_the_others_and_its_missed_polls_are_counted():
    out = SimpleQueue()
    slow = poller(Device(metro()["core1"], delay=0.35), out=out)
    quick = poller(Device(metro()["core2"]), out=out)
    for each in (slow, quick):
        each.start()
    late = threading.Event()
    late.wait(1.5)
    for each in (slow, quick):
        each.stop()
        each.join(5)
    readings = [out.get() for _ in range(out.qsize())]
    times = {name: [r.received - r.due for r in readings if r.device == name] for name in ("core1", "core2")}
    assert len(times["core2"]) > 2 * len(times["core1"])
    assert sorted(times["core2"])[len(times["core2"]) // 2] < 0.1
    assert slow.schedule.missed > quick.schedule.missed


class Told:
    """Notices of a device that tells of a link `times` times, as soon as it is listened to."""

    def __init__(self, times):
        self.left, self.heard, self._ready = times, False, os.eventfd(1)

    def listen(self):
        self.heard = True

    def lost(self):
        self.heard = False

    def filenos(self):
        return (self._ready,) if self.heard and self.left else ()

    def hear(self):
        self.left -= 1
        return True

    def close(self):
        self.heard = False
        os.close(self._ready)


def test_a_device_that_tells_of_a_link_is_polled_before_its_turn_but_not_all_the_time():
    out: SimpleQueue[Reading] = SimpleQueue()
    told: Any = Told(100)
    device: Any = Device(metro()["agg1"])
    polling = DevicePoller("agg1", device, {}, Schedule(time.monotonic(), 2.0), out.put, notices=told)
    polling.start()
    moments = [out.get(timeout=10).due for _ in range(6)]
    assert polling.told
    polling.stop()
    polling.join(5)
    assert 0.1 < moments[5] - moments[0] < 2.0
    assert all(later - earlier > 0.15 for earlier, later in pairwise(moments[1:]))
    assert not polling.is_alive()
    assert not told.heard


def test_a_device_that_was_away_is_listened_to_anew():
    device: Any = Device(metro()["agg1"])
    told: Any = Told(0)
    polling = DevicePoller("agg1", device, {}, Schedule(0.0, 1.0), lambda _: None, notices=told)
    polling.poll(0.0)
    assert polling.told
    device.fail = DeviceError("agg1: no answer in time")
    polling.poll(1.0)
    assert not polling.told
    device.fail = None
    polling.poll(2.0)
    assert polling.told


def test_samples_carry_the_time_measured_and_the_time_received():
    device = Device(replace(metro()["agg1"], cpu=0.25, memory=0.5))
    polling = poller(device)
    polling.poll(0.0)
    assert polling._ears.wait(5.0)
    reading = polling.poll(0.0)
    found = {(s.entity, s.metric): s for s in samples(reading)}
    assert found["interface:agg1:eth2", "cost"].value == 10.0
    assert found["interface:agg1:eth2", "carrier"].value == 1.0
    assert found["device:agg1", "cpu"].value == 0.25
    assert all(s.measured <= s.received for s in found.values())
    assert reading.counters is not None
    assert found["interface:agg1:eth2", "cost"].measured == reading.counters.measured


def test_a_round_trip_is_halved_and_loss_is_a_share():
    found = list(link_samples("a-b", Batch((4e-3, 2e-3, 9e-3), 1, 7.0), 8.0, "a/ping"))
    assert [(s.entity, s.metric, s.value) for s in found] == [
        ("link:a-b:forward", "delay", 2e-3),
        ("link:a-b:backward", "delay", 2e-3),
        ("link:a-b", "loss", 0.25),
    ]
    assert [s.metric for s in link_samples("a-b", Batch((), 5, 7.0), 8.0, "a/ping")] == ["loss"]
