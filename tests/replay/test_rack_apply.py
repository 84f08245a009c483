"""Replay on real routers: FRR behind real sshd, the adapter that the product uses, controllers that are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.base import Adapter, TransactionState
from adapters.inventory import connect_all
from testbed.errors import Refused
from testbed.model.change import (
    Adjacency,
    Change,
    Expectation,
    InterfaceStep,
    Loss,
    NothingElse,
    PathIs,
    Reachable,
    RoundTrip,
)
from testbed.model.load import load_inventory
from testbed.model.verdict import DeviceChange, Finding, Measured, Outcome, Verdict
from testbed.replay import api
from tests.adapters.native_devices import known_hosts_line, pair
from tests.replay import scene

pytestmark = pytest.mark.timeout(180)  # a replay waits for routes to stand still, and converging routers for the CPU

NAMES = ("r1", "r2")
STEPS = tuple(InterfaceStep(device=name, interface="eth1", cost=40) for name in NAMES)
HOLDS: tuple[Expectation, ...] = (
    Reachable(kind="reachable", source="r1", destination="r2"),
    PathIs(kind="path", source="r1", destination="r2", via=("r2",)),
    RoundTrip(kind="rtt", source="r1", destination="r2", percentile=90, below=0.2),
    Loss(kind="loss", source="r2", destination="r1", below=0.1),
    Adjacency(kind="adjacency", device="r1", neighbour="r2"),
    NothingElse(kind="nothing-else-changed"),
)
FAILS: tuple[Expectation, ...] = (Reachable(kind="reachable", source="r1", destination="10.255.0.9"),)


@pytest.fixture(scope="module")
def inventory() -> Iterator[Path]:
    """The inventory file of two routers with one link."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces with an sshd of their own")
    missing = [program for program in ("/usr/lib/frr/zebra", "/usr/sbin/sshd") if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install frr openssh-server")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, pair(Path(folder)) as devices:
        place = Path(folder)
        (place / "known_hosts").write_text("".join(map(known_hosts_line, devices)))
        (place / "admin_key").touch(0o600)
        (place / "admin_key").write_text(devices[0].key)
        entries = "".join(
            f"  {device.name}: {{adapter: frr, address: 127.0.0.1, port: {device.port}, user: admin,"
            " key: {file: admin_key}}\n"
            for device in devices
        )
        file = place / "inventory.yaml"
        file.write_text(f"name: pair\nknown_hosts: known_hosts\ndevices:\n{entries}")
        yield file


@pytest.fixture
def sessions(inventory: Path) -> Iterator[dict[str, Adapter]]:
    """Sessions with both; the configuration they began with is there again at the end."""
    adapters = connect_all(load_inventory(inventory), inventory.parent)
    before = {name: adapter.config_hash() for name, adapter in adapters.items()}
    yield adapters
    for name, adapter in adapters.items():
        if adapter.config_hash() != before[name]:
            adapter.load("put-back", adapter.render([InterfaceStep(device=name, interface="eth1", cost=10)]))
            adapter.commit("put-back", 60)
            adapter.confirm("put-back")
            adapter.forget("put-back")
        assert adapter.config_hash() == before[name]
        adapter.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with an approver."""
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path / "home"))
    api.enrol_new_key("bob", tmp_path / "bob")
    return tmp_path


_REHEARSED: dict[str, DeviceChange] = {}


def rehearsed(adapter: Adapter) -> DeviceChange:
    """What a twin would say of the change, found once by trying it out on the device and taking it back."""
    if adapter.name not in _REHEARSED:
        _REHEARSED[adapter.name] = _rehearse(adapter)
    return _REHEARSED[adapter.name]


def _rehearse(adapter: Adapter) -> DeviceChange:
    name = adapter.name
    lines = adapter.render([step for step in STEPS if step.device == name])
    loaded = adapter.load("rehearsal", lines)
    adapter.commit("rehearsal", 60)
    after = adapter.config_hash()
    adapter.rollback("rehearsal")
    adapter.forget("rehearsal")
    return DeviceChange(
        device=name,
        adapter=adapter.family,
        lines=loaded.lines,
        rollback=loaded.rollback,
        diff=loaded.diff,
        before_hash=loaded.before_hash,
        after_hash=after,
    )


def approved(place: Path, inventory: Path, sessions: dict[str, Adapter], expect: tuple[Expectation, ...]) -> Path:
    """Write an approved plan for the change with these expectations."""
    after = tuple(Measured(phase=phase, holds=True) for phase in ("after-1", "after-2"))
    findings = tuple(Finding(expectation=one, outcome=Outcome.PASSED, reason="holds", measured=after) for one in expect)
    verdict = Verdict(
        change=Change(name="cost-change", steps=STEPS, expect=expect),
        outcome=Outcome.PASSED,
        reason="holds",
        findings=findings,
        devices=tuple(rehearsed(adapter) for adapter in sessions.values()),
    )
    report = place / "report.json"
    report.write_text(json.dumps({"verdict": verdict.model_dump(mode="json")}))
    api.plan_from_report(report, inventory, proposed_by="alice", output=place / "plan.json")
    api.approve_plan(place / "plan.json", "bob", place / "bob")
    return place / "plan.json"


def costs(sessions: dict[str, Adapter]) -> list[int]:
    return [int("ip ospf cost 40" in adapter.running_config()) for adapter in sessions.values()]


def states(sessions: dict[str, Adapter], plan: Path) -> set[TransactionState]:
    transaction = json.loads(plan.read_text())["id"][:16]
    return {adapter.state(transaction) for adapter in sessions.values()}


def test_a_good_change_is_confirmed_on_real_routers(place, inventory, sessions):
    plan = approved(place, inventory, sessions, HOLDS)
    api.check_plan(plan, inventory)
    result = api.apply_plan(plan, inventory)
    assert result, result.reason
    assert [(one.expectation.kind, one.outcome) for one in result.findings] == [(one.kind, "PASSED") for one in HOLDS]
    assert all(one.measured[0].phase == "rack" and one.measured[0].proof for one in result.findings)
    assert costs(sessions) == [1, 1]
    assert states(sessions, plan) == {TransactionState.NONE}
    assert api.audit_verify()
    with pytest.raises(Refused, match="used already"):
        api.apply_plan(plan, inventory)


def test_a_change_that_does_not_hold_is_rolled_back_on_real_routers(place, inventory, sessions):
    plan = approved(place, inventory, sessions, FAILS)
    result = api.apply_plan(plan, inventory, window=0.5)
    assert result.outcome == "rolled-back"
    assert "reachable on the rack FAILED" in result.reason
    assert costs(sessions) == [0, 0]
    assert states(sessions, plan) == {TransactionState.NONE}
    assert api.audit_verify()


def kill_at(point: str, plan: Path, inventory: Path) -> int:
    return scene.in_process(lambda: api.apply_plan(plan, inventory), point)


# Journal writes of a replay on two devices: 1 the audit log's head (kept by the recovery that comes first), 2 begin,
# 3-6 load, 7-10 commit, 11-12 verify, 13 decide, 14-17 confirm, 18 settle. The generated tests kill at every one.
@pytest.mark.parametrize(
    ("point", "end"),
    [
        ("journal:9:before", [0, 0]),
        ("journal:12:before", [0, 0]),
        ("journal:13:after", [1, 1]),
        ("journal:16:before", [1, 1]),
    ],
)
def test_real_routers_end_all_old_or_all_new_after_a_kill(place, inventory, sessions, point, end):
    plan = approved(place, inventory, sessions, HOLDS[:1])
    assert scene.in_process(lambda: api.apply_plan(plan, inventory, window=0.5), point) == -signal.SIGKILL
    api.recover(inventory)
    assert costs(sessions) == end
    assert states(sessions, plan) == {TransactionState.NONE}
    assert api.audit_verify()


def test_a_controller_that_never_comes_back_leaves_the_routers_to_their_own_timers(place, inventory, sessions):
    adapter = sessions["r1"]
    change = rehearsed(adapter)
    adapter.load("orphan", change.lines)
    adapter.commit("orphan", 2)
    wait(lambda: adapter.state("orphan") is TransactionState.REVERTED)
    assert adapter.config_hash() == change.before_hash
    adapter.forget("orphan")


def wait(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.1)
