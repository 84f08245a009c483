"""A rack of disk devices, a plan for it, and controllers that can be killed: what the replay tests play on."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from adapters.base import Adapter
from testbed.model.change import Change, ConfigurationStep, Reachable
from testbed.model.plan import Plan
from testbed.model.rack import Device, Inventory
from testbed.model.verdict import DeviceChange, Finding, Measured, Outcome, Verdict
from testbed.processes import identify, wait
from testbed.replay import audit, faultpoint, keys, plan, transaction
from testbed.replay.audit import AuditLog
from testbed.replay.journal import Journal
from testbed.replay.transaction import Records, Result
from tests.replay.disk_device import DiskDevice, predicted, timers

REACHABLE = Reachable(kind="reachable", source="r0", destination="r1")
FAST = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
PREFIX = "testbed-replay-"


def old(name: str) -> str:
    return f"hostname {name}\ncost 10\n"


def new(name: str) -> str:
    return f"hostname {name}\ncost 40\n"


def device_change(name: str, lines: str | None = None) -> DeviceChange:
    lines = lines or new(name)
    loaded = predicted("", old(name), lines)
    return DeviceChange(
        device=name,
        adapter="disk",
        lines=lines,
        rollback=loaded.rollback,
        diff=loaded.diff,
        before_hash=loaded.before_hash,
        after_hash=predicted("", lines, "").before_hash,
    )


def finding(outcome: Outcome = Outcome.PASSED, phases: Sequence[str] = plan.AFTER) -> Finding:
    holds = outcome is Outcome.PASSED
    measured = tuple(Measured(phase=phase, holds=holds) for phase in phases)
    return Finding(expectation=REACHABLE, outcome=outcome, reason="as told", measured=measured)


def verdict(names: Sequence[str], rejected: str = "") -> Verdict:
    devices = tuple(device_change(name, new(name) + "REJECT\n" if name == rejected else None) for name in names)
    steps = tuple(ConfigurationStep(device=one.device, configuration=one.lines) for one in devices)
    change = Change(name="cost-change", steps=steps, expect=(REACHABLE,))
    return Verdict(change=change, outcome=Outcome.PASSED, reason="holds", findings=(finding(),), devices=devices)


def inventory(names: Sequence[str]) -> Inventory:
    devices = {name: Device(adapter="disk", address="127.0.0.1", user="admin") for name in names}
    return Inventory(name="disks", devices=devices, known_hosts="known_hosts")


@dataclass(frozen=True)
class Told:
    """Probes that find what the test tells them to."""

    outcome: Outcome = Outcome.PASSED
    act: Callable[[], None] = lambda: None

    def before(self, plan: Plan, adapters: Mapping[str, Adapter]) -> None:
        pass

    def after(self, plan: Plan, adapters: Mapping[str, Adapter], deadline: float) -> Sequence[Finding]:
        self.act()
        return (finding(self.outcome, ["rack"]),)


@dataclass(frozen=True)
class Rack:
    """Devices, journal and audit log under one folder."""

    root: Path
    names: tuple[str, ...]

    @staticmethod
    def make(root: Path, count: int, rejected: str = "", revert_after: float = 3600.0) -> Rack:
        rack = Rack(root, tuple(f"r{number}" for number in range(count)))
        for name in rack.names:
            DiskDevice.make(root / name, old(name))
        log = AuditLog.open(root / "audit")
        keys.enrol(root / "approvers", "bob", keys.make_key(root / "bob"))
        made = plan.make_plan(
            verdict(rack.names, rejected), inventory(rack.names), rack.devices(), "alice", revert_after=revert_after
        )
        plan.save(plan.approve(made, "bob", keys.read_private(root / "bob"), log), root / "plan.json")
        return rack

    def copy(self, root: Path) -> Rack:
        shutil.copytree(self.root, root)
        return Rack(root, self.names)

    def inventory(self) -> Inventory:
        return inventory(self.names)

    def plan(self) -> Plan:
        return plan.load(self.root / "plan.json")

    def device(self, name: str) -> DiskDevice:
        return DiskDevice(self.root / name)

    def devices(self, die_in: str = "") -> dict[str, DiskDevice]:
        return {name: DiskDevice(self.root / name, die_in) for name in self.names}

    def apply(
        self,
        probes: Told | None = None,
        die_in: str = "",
        chosen: Plan | None = None,
        inventory: Inventory | None = None,
    ) -> Result:
        with self.records() as records:
            return transaction.apply(
                chosen or self.plan(),
                inventory or self.inventory(),
                self.devices(die_in),
                probes or Told(),
                records,
                approvers=keys.read_approvers(self.root / "approvers"),
                patience=0.0,
            )

    def recover(self, inventory: Inventory | None = None, gone: Collection[str] = ()) -> list[Result]:
        with self.records() as records:
            return transaction.recover(inventory or self.inventory(), self.device, records, gone=gone)

    @contextmanager
    def records(self) -> Iterator[Records]:
        records = Records.open(self.root / "journal.sqlite", self.root / "audit")
        try:
            yield records
        finally:
            records.journal.close()

    def unreachable(self, name: str, gone: bool) -> None:
        if gone:
            (self.root / name / "unreachable").touch()
        else:
            (self.root / name / "unreachable").unlink()

    def configuration(self) -> str:
        """Return `old` or `new` when all devices are so, in running and startup configuration; else what they are."""
        found = {(n, k): (self.root / n / k).read_text() for n in self.names for k in ("running", "startup")}
        for word, make in (("old", old), ("new", new)):
            if all(text == make(name) for (name, _), text in found.items()):
                return word
        return f"mixed: {found}"

    def armed(self) -> list[int]:
        return timers(self.root)

    def problems(self) -> list[str]:
        """Return what is wrong with a rack on which every transaction should have ended."""
        journal = Journal.open(self.root / "journal.sqlite")
        entries, head = journal.all(), journal.head()
        journal.close()
        outcome = entries[0].outcome if entries else None
        expected = "new" if outcome == "confirmed" else "old"
        report = audit.verify(self.root / "audit", heads=[head] if head else [])
        checks = {
            f"configuration is {self.configuration()}, the journal says {outcome}": self.configuration() == expected,
            f"timers are armed: {self.armed()}": not self.armed(),
            "the journal has unfinished transactions": all(entry.finished for entry in entries),
            "devices keep transactions": not any(list((self.root / name / "tx").iterdir()) for name in self.names),
            f"the audit log does not verify: {report.problems}": bool(report),
        }
        return [problem for problem, fine in checks.items() if not fine]


@contextmanager
def folder() -> Iterator[Path]:
    """A folder in memory, where syncing costs nothing; timers left in it are ended, before it goes."""
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=FAST) as name:
        root = Path(name)
        try:
            yield root
        finally:
            end_timers(root)


def end_timers(root: Path) -> None:
    """Kill the timers below a folder, and wait until none can write there any more."""
    while running := [process for pid in timers(root) if (process := identify(pid))]:
        for process in running:
            with suppress(ProcessLookupError):
                os.killpg(os.getpgid(process.pid), signal.SIGKILL)
        wait(running, 5.0)


def remove_orphans() -> None:
    """Remove the folders of test runs that were killed, which no fixture of theirs could."""
    for folder in FAST.glob(f"{PREFIX}*"):
        maker = folder.name.removeprefix(PREFIX).partition("-")[0]
        if maker.isdigit() and identify(int(maker)) is None:
            end_timers(folder)
            shutil.rmtree(folder)


def in_process(act: Callable[[], object], kill_at: str = "") -> int:
    """Run a controller as a process of its own; return its exit code (negative: the signal that ended it).

    The code of one that ends by itself is the number of journal writes it made.
    """
    process = get_context("fork").Process(target=_controller, args=(act, kill_at))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _controller(act: Callable[[], object], kill_at: str) -> None:
    gc.disable()  # a collection would copy every page of the parent
    os.environ["TESTBED_KILL_AT"] = kill_at
    faultpoint.restart()
    act()
    os._exit(faultpoint.passed("journal"))
