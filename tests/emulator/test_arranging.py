"""Transactions of switches: each act again, the timer, and who else wants to change them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from testbed.control.messages import Network, Policy
from testbed.control.paths import forwarding
from testbed.emulator.arranging import Arrangements
from testbed.emulator.segments import Arrange, Steer
from testbed.errors import BadInput, DeviceError, NotReady, Refused
from tests.control.test_paths import ring

HOUR = 3600.0


class Written:
    """A controller of switches that do at once what they are told."""

    def __init__(self, network: Network) -> None:
        self.network, self.policy, self.broken = network, Policy(), False
        self.installed = threading.Event()

    def check(self, policy: Policy) -> None:
        forwarding(self.network, policy)

    def install(self, policy: Policy) -> None:
        self.policy = policy
        self.installed.set()
        if self.broken and policy.drained:
            raise NotReady("s1 does not answer")


@pytest.fixture
def controller() -> Written:
    return Written(ring(3))


@pytest.fixture
def switches(controller) -> Iterator[Arrangements]:
    made = Arrangements(cast("Any", controller))
    yield made
    made.close()


def act(switches: Arrangements, what: Any, lines: str = "", name: str = "one", after: float = HOUR):
    return switches.act(Arrange(transaction=name, act=what, lines=lines, revert_after=after))


def test_nothing_is_active_before_commit_and_each_act_may_be_repeated(switches, controller):
    assert act(switches, "state").state == "none"
    loaded = act(switches, "load", "drain s1-s2\n")
    assert (loaded.state, loaded.rollback, controller.policy) == ("loaded", "restore s1-s2\n", Policy())
    for what, state in (("commit", "committed"), ("confirm", "confirmed")):
        assert [act(switches, what).state for _ in range(2)] == [state, state]
        assert controller.policy.drained == ("s1-s2",)
    assert [act(switches, "rollback").state for _ in range(2)] == ["reverted", "reverted"]
    assert controller.policy == Policy()
    assert [act(switches, "forget").state for _ in range(2)] == ["none", "none"]


def test_what_nobody_confirms_the_timer_takes_back_and_then_it_cannot_be_confirmed(switches, controller):
    act(switches, "load", "drain s1-s2\n")
    act(switches, "commit", after=0.05)
    controller.installed.clear()
    assert controller.installed.wait(30)
    with pytest.raises(Refused, match="its timer has taken the old paths back"):
        act(switches, "confirm")
    assert controller.policy == Policy()


def test_a_confirmed_change_stays_when_its_time_is_over(switches, controller):
    act(switches, "load", "drain s1-s2\n")
    act(switches, "commit", after=1.0)
    act(switches, "confirm")
    controller.installed.clear()
    assert not controller.installed.wait(1.3)
    assert controller.policy.drained == ("s1-s2",)


def test_while_one_is_open_neither_another_nor_a_hand_gets_in(switches, controller):
    act(switches, "load", "drain s1-s2\n")
    act(switches, "commit")
    with pytest.raises(Refused, match="the switches are in transaction one"):
        act(switches, "load", "drain s2-s3\n", "two")
    with pytest.raises(Refused, match="the switches are in transaction one"):
        switches.steer(Steer(drain=("s2-s3",)))
    with pytest.raises(Refused, match="neither confirmed nor rolled back"):
        act(switches, "forget")
    act(switches, "confirm")
    assert switches.steer(Steer(drain=("s2-s3",))).before.drained == ("s1-s2",)


def test_what_cannot_be_or_is_not_so_any_more_is_not_committed(switches, controller):
    with pytest.raises(BadInput, match="did you mean 's1-s2'"):
        act(switches, "load", "drain s1-s22\n")
    with pytest.raises(DeviceError, match="know no transaction one"):
        act(switches, "commit")
    act(switches, "load", "drain s1-s2\n")
    switches.steer(Steer(drain=("s2-s3",)))
    with pytest.raises(DeviceError, match="not what they were"):
        act(switches, "commit")


def test_switches_that_do_not_follow_get_the_old_paths_back(switches, controller):
    controller.broken = True
    act(switches, "load", "drain s1-s2\n")
    with pytest.raises(NotReady):
        act(switches, "commit")
    assert controller.policy == Policy()
    assert act(switches, "state").state == "reverted"
