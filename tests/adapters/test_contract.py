"""What every adapter promises, on every device family and over every transport."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from native_devices import wait_for

from adapters.base import Adapter, TransactionState
from adapters.registry import find
from adapters.ssh import SshTarget, SshTransport
from testbed.errors import BadInput, DeviceError, Refused
from testbed.model.change import ConfigurationStep, InterfaceStep

_number = count(1)


@dataclass
class Subject:
    """An adapter under test: a harmless change for it, a line it must reject, and a peer that answers."""

    adapter: Adapter
    again: Callable[[], Adapter]
    peer: str
    own: str
    bad: str
    applied: str

    def lines(self) -> str:
        return self.adapter.render([InterfaceStep(device="r1", interface="eth1", description="changed by a test")])

    def transaction(self) -> str:
        return f"contract-{next(_number)}-{time.time_ns()}"


BAD = {
    "frr": "interface eth1\n description half done\n no such setting\nexit\n",
    "linux": "link set dev eth1 alias half\nroute add 10.99.0.0/16 via 192.0.2.1 dev eth1\n",
}


@pytest.fixture(params=["frr", "linux"])
def subject(request: pytest.FixtureRequest, target: SshTarget) -> Iterator[Subject]:
    family = request.param
    opened: list[Adapter] = []

    def connect() -> Adapter:
        opened.append(find(family)(SshTransport("r1", target)))
        return opened[-1]

    yield Subject(connect(), connect, "10.255.0.2", "10.255.0.1", BAD[family], "changed by a test")
    for adapter in opened:
        adapter.close()


def test_collect_tells_what_the_device_is(subject: Subject) -> None:
    facts = subject.adapter.collect()
    eth1 = next(interface for interface in facts.interfaces if interface.name == "eth1")
    assert (facts.device, facts.hostname) == ("r1", "r1")
    assert eth1.up
    assert eth1.carrier
    assert eth1.mtu == 1500
    assert "10.0.1.1/30" in eth1.addresses
    assert eth1.rx_bytes > 0
    assert eth1.tx_packets > 0
    assert any(route.prefix == f"{subject.peer}/32" and route.protocol == "ospf" for route in facts.routes)
    assert abs(facts.clock_offset) < 0.5
    assert abs(facts.measured - time.time()) < 5
    assert facts.memory is not None
    assert 0 < facts.memory < 1
    assert facts.running_config == subject.adapter.running_config()


def test_cpu_is_known_from_the_second_reading(subject: Subject) -> None:
    assert subject.adapter.collect().cpu is None
    wait_for(lambda: subject.adapter.collect().cpu is not None, "a CPU share")
    cpu = subject.adapter.collect().cpu
    assert cpu is None or 0 <= cpu <= 1


def test_counters_count_packets(subject: Subject) -> None:
    before = {i.name: i for i in subject.adapter.counters().interfaces}["eth1"]
    subject.adapter.ping(subject.peer, count=10)
    after = {i.name: i for i in subject.adapter.counters().interfaces}["eth1"]
    assert after.tx_packets - before.tx_packets >= 10
    assert after.rx_bytes > before.rx_bytes


def test_ping_measures_and_tells_loss_from_failure(subject: Subject) -> None:
    answered = subject.adapter.ping(subject.peer, source=subject.own, count=10)
    assert (answered.sent, answered.received, len(answered.rtt)) == (10, 10, 10)
    assert all(0 < rtt < 0.1 for rtt in answered.rtt)
    lost = subject.adapter.ping("198.51.100.1", count=2)
    assert lost.received == 0
    assert lost.rtt == ()
    assert lost.proof
    with pytest.raises(BadInput, match="not an IP address"):
        subject.adapter.ping("-c 1; reboot")


def test_traceroute_names_the_hops(subject: Subject) -> None:
    assert subject.adapter.traceroute(subject.peer).hops == (subject.peer,)


def test_a_load_changes_nothing_and_shows_what_would(subject: Subject) -> None:
    before = subject.adapter.config_hash()
    loaded = subject.adapter.load(transaction := subject.transaction(), subject.lines())
    assert subject.adapter.config_hash() == before == loaded.before_hash
    assert any(line.startswith("+") and subject.applied in line for line in loaded.diff.splitlines())
    assert subject.adapter.state(transaction) is TransactionState.LOADED
    subject.adapter.forget(transaction)
    assert subject.adapter.state(transaction) is TransactionState.NONE


def test_an_unconfirmed_commit_reverts_by_itself(subject: Subject) -> None:
    before = subject.adapter.config_hash()
    subject.adapter.load(transaction := subject.transaction(), subject.lines())
    subject.adapter.commit(transaction, revert_after=2.0)
    assert subject.adapter.state(transaction) is TransactionState.COMMITTED
    assert subject.applied in subject.adapter.running_config()
    wait_for(lambda: subject.adapter.state(transaction) is TransactionState.REVERTED, "the timer reverts")
    assert subject.adapter.config_hash() == before
    with pytest.raises(Refused):
        subject.adapter.confirm(transaction)
    subject.adapter.forget(transaction)


def test_a_confirmed_commit_stays_and_can_still_be_rolled_back(subject: Subject) -> None:
    before = subject.adapter.config_hash()
    subject.adapter.load(transaction := subject.transaction(), subject.lines())
    subject.adapter.commit(transaction, revert_after=1.0)
    subject.adapter.confirm(transaction)
    subject.adapter.confirm(transaction)
    time.sleep(1.5)  # past the moment when the timer would have fired
    assert subject.adapter.state(transaction) is TransactionState.CONFIRMED
    assert subject.applied in subject.adapter.running_config()
    subject.adapter.rollback(transaction)
    subject.adapter.rollback(transaction)
    assert subject.adapter.state(transaction) is TransactionState.REVERTED
    assert subject.adapter.config_hash() == before
    subject.adapter.forget(transaction)


def test_a_rejected_line_is_named_and_leaves_nothing(subject: Subject) -> None:
    before = subject.adapter.config_hash()
    subject.adapter.load(transaction := subject.transaction(), subject.bad)
    with pytest.raises(DeviceError, match=r"no such setting|192\.0\.2\.1"):
        subject.adapter.commit(transaction, revert_after=30.0)
    assert subject.adapter.state(transaction) is TransactionState.REVERTED
    assert subject.adapter.config_hash() == before
    subject.adapter.forget(transaction)


def test_every_step_may_be_repeated(subject: Subject) -> None:
    subject.adapter.load(transaction := subject.transaction(), subject.lines())
    subject.adapter.load(transaction, subject.lines())
    subject.adapter.commit(transaction, revert_after=30.0)
    subject.adapter.commit(transaction, revert_after=30.0)
    assert subject.adapter.state(transaction) is TransactionState.COMMITTED
    subject.adapter.rollback(transaction)
    subject.adapter.forget(transaction)
    subject.adapter.forget(transaction)


def test_only_one_transaction_is_open_on_a_device(subject: Subject) -> None:
    subject.adapter.load(first := subject.transaction(), subject.lines())
    subject.adapter.commit(first, revert_after=30.0)
    second = subject.transaction()
    with pytest.raises(DeviceError, match="another transaction is open"):
        subject.adapter.load(second, subject.lines())
    with pytest.raises(Refused):
        subject.adapter.forget(first)
    subject.adapter.rollback(first)
    subject.adapter.forget(first)
    subject.adapter.rollback(second)
    subject.adapter.forget(second)


def test_a_change_behind_our_back_stops_the_commit(subject: Subject) -> None:
    subject.adapter.load(mine := subject.transaction(), subject.lines())
    other = subject.again()
    step = InterfaceStep(device="r1", interface="eth1", description="somebody else")
    other.load(theirs := subject.transaction(), other.render([step]))
    other.commit(theirs, revert_after=30.0)
    with pytest.raises(DeviceError, match="load the transaction anew"):
        subject.adapter.commit(mine, revert_after=30.0)
    other.rollback(theirs)
    other.forget(theirs)
    subject.adapter.forget(mine)


def test_an_interface_that_is_not_there_is_named_with_the_nearest(subject: Subject) -> None:
    with pytest.raises(BadInput, match="did you mean 'eth1'"):
        subject.adapter.render([InterfaceStep(device="r1", interface="eth11", enabled=True)])


@pytest.mark.parametrize("transaction", ["", "../../etc", "a b", "x" * 65, "$(reboot)"])
def test_a_transaction_name_that_is_no_folder_name_is_refused(subject: Subject, transaction: str) -> None:
    with pytest.raises(BadInput, match="expected letters"):
        subject.adapter.state(transaction)


def test_configuration_steps_pass_byte_for_byte(subject: Subject) -> None:
    lines = subject.lines()
    assert subject.adapter.render([ConfigurationStep(device="r1", configuration=lines)]) == lines
