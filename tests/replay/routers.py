"""A rack of two real routers (FRR behind sshd, timers of their own), and approved plans for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters.base import Adapter
from testbed.model.change import Change, Expectation, InterfaceStep, Reachable
from testbed.model.verdict import DeviceChange, Finding, Measured, Outcome, Verdict
from testbed.replay import api
from tests.adapters.native_devices import NativeDevice, known_hosts_line, wait_for

NAMES = ("r1", "r2")
HOLDS = (Reachable(kind="reachable", source="r1", destination="r2"),)
FAILS = (Reachable(kind="reachable", source="r1", destination="10.255.0.9"),)
COSTS = (10, 40)
PASSWORD = "hunter2-of-the-rack"

_TIMERS = "pgrep -f '[/]txn.sh timer'"
_FIRE = f"while {_TIMERS} >/dev/null; do for t in $({_TIMERS}); do pkill -P $t; done; sleep 0.02; done"


@dataclass(frozen=True)
class Routers:
    """The devices, sessions with them, and the inventory that names them."""

    devices: Mapping[str, NativeDevice]
    sessions: Mapping[str, Adapter]
    inventory: Path

    def cost(self) -> int | str:
        """Return the cost that both have, running and saved, or what they have if not the same."""
        found = {
            (name, where): [cost for cost in COSTS if f"ip ospf cost {cost}\n" in text]
            for name, device in self.devices.items()
            for where, text in (
                ("running", self.sessions[name].running_config()),
                ("saved", device.inside("cat", "/etc/frr/frr.conf")),
            )
        }
        costs = [found[key] for key in found]
        return costs[0][0] if all(one == costs[0] and len(one) == 1 for one in costs) else f"mixed: {found}"

    def left(self) -> str:
        """Return what transactions left on the devices: folders and timers; nothing when all is cleared."""
        look = f"ls /var/lib/testbed/txn 2>/dev/null; {_TIMERS}"
        return "".join(device.inside("sh", "-c", look, check=False) for device in self.devices.values())

    def fire(self, *names: str) -> None:
        """Let the timers of these devices run out now, by ending the sleep they wait in; return once they are done."""
        for name in names:
            self.devices[name].inside("sh", "-c", _FIRE)


def write_inventory(folder: Path, devices: Sequence[NativeDevice]) -> Path:
    """Write inventory, host keys and the admin's key; a password stands beside the key, and must never be seen."""
    (folder / "known_hosts").write_text("".join(map(known_hosts_line, devices)))
    for name, secret in (("admin_key", devices[0].key), ("password", PASSWORD)):
        (folder / name).touch(0o600)
        (folder / name).write_text(secret)
    entries = "".join(
        f"  {device.name}: {{adapter: frr, address: 127.0.0.1, port: {device.port}, user: admin,"
        " key: {file: admin_key}, password: {file: password}}\n"
        for device in devices
    )
    file = folder / "inventory.yaml"
    file.write_text(f"name: pair\nknown_hosts: known_hosts\ndevices:\n{entries}")
    return file


def put_back(routers: Routers) -> None:
    """Give both the cost they began with, whatever a test left."""
    for name, adapter in routers.sessions.items():
        routers.devices[name].inside(
            "vtysh", "-c", "conf t", "-c", "interface eth1", "-c", f"ip ospf cost {COSTS[0]}", "-c", "end", "-c", "wr"
        )
        wait_for(lambda adapter=adapter: "ip ospf cost 10\n" in adapter.running_config(), f"{name} is as it was")


def steps(cost: int) -> tuple[InterfaceStep, ...]:
    """The change: this cost at both ends of the link."""
    return tuple(InterfaceStep(device=name, interface="eth1", cost=cost) for name in NAMES)


_REHEARSED: dict[tuple[str, str, int], DeviceChange] = {}


def rehearsed(adapter: Adapter, cost: int) -> DeviceChange:
    """What a twin would say of the change, found once by trying it out on the device and taking it back."""
    key = (adapter.name, adapter.config_hash(), cost)
    if key not in _REHEARSED:
        _REHEARSED[key] = _rehearse(adapter, cost)
    return _REHEARSED[key]


def _rehearse(adapter: Adapter, cost: int) -> DeviceChange:
    lines = adapter.render([step for step in steps(cost) if step.device == adapter.name])
    loaded = adapter.load("rehearsal", lines)
    adapter.commit("rehearsal", 60)
    after = adapter.config_hash()
    adapter.rollback("rehearsal")
    adapter.forget("rehearsal")
    return DeviceChange(
        device=adapter.name,
        adapter=adapter.family,
        lines=loaded.lines,
        rollback=loaded.rollback,
        diff=loaded.diff,
        before_hash=loaded.before_hash,
        after_hash=after,
    )


def write_report(place: Path, routers: Routers, expect: Sequence[Expectation], cost: int = COSTS[1]) -> Path:
    """Write the report of a validation in which the change passed."""
    after = tuple(Measured(phase=phase, holds=True) for phase in ("after-1", "after-2"))
    findings = tuple(Finding(expectation=one, outcome=Outcome.PASSED, reason="holds", measured=after) for one in expect)
    verdict = Verdict(
        change=Change(name="cost-change", steps=steps(cost), expect=tuple(expect)),
        outcome=Outcome.PASSED,
        reason="holds",
        findings=findings,
        devices=tuple(rehearsed(adapter, cost) for adapter in routers.sessions.values()),
    )
    report = place / "report.json"
    report.write_text(json.dumps({"verdict": verdict.model_dump(mode="json")}))
    return report


def approved(place: Path, routers: Routers, expect: Sequence[Expectation], cost: int = COSTS[1]) -> Path:
    """Write an approved plan for the change with these expectations."""
    report, plan = write_report(place, routers, expect, cost), place / "plan.json"
    api.plan_from_report(report, routers.inventory, proposed_by="alice", output=plan, opened=routers.sessions)
    api.approve_plan(plan, "bob", place / "bob")
    return plan
