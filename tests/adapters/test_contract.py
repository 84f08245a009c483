"""What every adapter promises, on every device family and over every transport."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count

import pytest

from adapters.base import Adapter, Capability, TransactionState, Transport
from adapters.inventory import target as target_of
from adapters.registry import find
from adapters.ssh import SshTarget, SshTransport
from testbed.errors import BadInput, DeviceError, Refused
from testbed.model.change import ConfigurationStep, InterfaceStep
from testbed.twin.transport import AgentTransport
from tests.adapters.native_devices import wait_for

_number = count(1)


@dataclass
class Subject:
    """An adapter under test on r1, whose neighbour is r2: a harmless change for it, and one it must reject.

    `patience`: seconds within which a commit is surely followed by the next call.
    """

    adapter: Adapter
    again: Callable[[], Adapter]
    bad: str
    patience: float
    peer: str = "10.255.0.2"
    own: str = "10.255.0.1"
    applied: str = "changed by a test"

    def lines(self) -> str:
        return self.adapter.render([InterfaceStep(device="r1", interface="eth1", description=self.applied)])

    def transaction(self) -> str:
        return f"contract-{next(_number)}-{time.time_ns()}"


BAD = {
    "frr": "interface eth1\n description half done\n no such setting\nexit\n",
    "linux": "link set dev eth1 alias half\nroute add 10.99.0.0/16 via 192.0.2.1 dev eth1\n",
}
GUEST = (pytest.mark.guest, pytest.mark.timeout(240))


@pytest.fixture(
    params=[
        ("frr", "native"),
        ("linux", "native"),
        pytest.param(("frr", "rack"), marks=GUEST),
        pytest.param(("linux", "rack"), marks=GUEST),
        pytest.param(("frr", "twin"), marks=GUEST),
    ],
    ids="-".join,
)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """Each family, over each transport."""
    family, where = request.param
    with ExitStack() as opened:
        transports = TRANSPORTS[where](request, opened)
        adapter = find(family)(next(transports))
        yield Subject(adapter, lambda: find(family)(next(transports)), BAD[family], 3.0 if where == "native" else 8.0)


def native(request: pytest.FixtureRequest, opened: ExitStack) -> Iterator[Transport]:
    target: SshTarget = request.getfixturevalue("target")
    while True:
        yield opened.enter_context(closing(SshTransport("r1", target)))


def on_rack(request: pytest.FixtureRequest, opened: ExitStack) -> Iterator[Transport]:
    yield request.getfixturevalue("rack_transport")
    rack = request.getfixturevalue("rack")
    while True:
        yield opened.enter_context(closing(SshTransport("r1", target_of(rack.inventory(), "r1"))))


def in_twin(request: pytest.FixtureRequest, opened: ExitStack) -> Iterator[Transport]:
    client = request.getfixturevalue("twin_client")
    while True:
        yield AgentTransport(client, "r1")


TRANSPORTS = {"native": native, "rack": on_rack, "twin": in_twin}


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
    assert abs(facts.clock_offset) < 2
    assert abs(facts.measured - time.time()) < 5
    assert facts.memory is not None
    assert 0 < facts.memory < 1
    assert facts.running_config == subject.adapter.running_config()


def test_only_what_the_device_can_do_is_declared(subject: Subject) -> None:
    able = subject.adapter.capabilities
    assert able >= {Capability.COMMIT, Capability.REVERT_TIMER, Capability.PING}
    assert Capability.THROUGHPUT not in able
    assert (Capability.PERSISTENCE in able) == (subject.adapter.family == "frr"), "no device here runs systemd"


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
    subject.adapter.rollback(transaction)
    with pytest.raises(Refused):
        subject.adapter.commit(transaction, revert_after=30.0)
    assert (subject.adapter.state(transaction), subject.adapter.config_hash()) == (TransactionState.NONE, before)
    subject.adapter.forget(transaction)
    assert subject.adapter.state(transaction) is TransactionState.NONE


def test_an_unconfirmed_commit_reverts_by_itself(subject: Subject) -> None:
    before = subject.adapter.config_hash()
    subject.adapter.load(transaction := subject.transaction(), subject.lines())
    subject.adapter.commit(transaction, revert_after=subject.patience)
    assert subject.adapter.state(transaction) is TransactionState.COMMITTED
    assert subject.applied in subject.adapter.running_config()
    wait_for(lambda: subject.adapter.state(transaction) is TransactionState.REVERTED, "the timer reverts", 60.0)
    assert subject.adapter.config_hash() == before
    with pytest.raises(Refused):
        subject.adapter.confirm(transaction)
    subject.adapter.forget(transaction)


def test_a_confirmed_commit_stays_and_can_still_be_rolled_back(subject: Subject) -> None:
    before = subject.adapter.config_hash()
    subject.adapter.load(transaction := subject.transaction(), subject.lines())
    subject.adapter.commit(transaction, revert_after=subject.patience)
    subject.adapter.confirm(transaction)
    subject.adapter.confirm(transaction)
    time.sleep(subject.patience + 0.5)  # past the moment when the timer would have fired
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
