"""Carrying a plan out on all its devices as one transaction, and finishing what a crash left.

Every arrow towards a device is written down before it flies: in the audit log, then in the journal. The devices' own
timers undo what nobody confirms. Two rules make them all old or all new after any crash: once the journal says
`rollback` it never says `confirm` again, and a device forgets a transaction (so can no longer be rolled back) only
after all devices are known to have ended it the same way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from adapters.base import Adapter, TransactionState
from testbed.errors import BadInput, DeviceError, Refused, TestbedError, Unable
from testbed.model.plan import Plan
from testbed.model.rack import Inventory
from testbed.model.verdict import DeviceChange, Finding, Outcome
from testbed.replay import identity
from testbed.replay import plan as plans
from testbed.replay.audit import AuditLog
from testbed.replay.journal import Entry, Journal

Progress = Callable[[str], object]
Connect = Callable[[str], Adapter]
RETRY = 0.5
TO_ROLL_BACK = (TransactionState.LOADED, TransactionState.COMMITTED, TransactionState.CONFIRMED)
RECORDING = (Refused, Unable)
End = Literal["new", "old", "unknown", "gone"]


class Probes(Protocol):
    """Measures on the rack; see `testbed.replay.verify`."""

    def before(self, plan: Plan, adapters: Mapping[str, Adapter]) -> None:
        """Note what is there before anything is sent."""
        ...

    def after(self, plan: Plan, adapters: Mapping[str, Adapter], deadline: float) -> Sequence[Finding]:
        """Judge the plan's expectations on the rack. `deadline`: `time.monotonic()` by which to be done."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """How a transaction ended; true only when confirmed.

    Attributes:
        outcome: `pending` while a device that could not be reached may still be new, or the end could not be written
            down; `recover` ends that.
        devices: `new`, `old`, `unknown`, or `gone` for those given up, by name.
        findings: measured on the rack. lacks: what was not measured.
        seconds: from the first look at the devices to the end.
    """

    transaction: str
    plan_id: str
    change: str
    outcome: Literal["confirmed", "rolled-back", "pending"]
    reason: str
    devices: Mapping[str, End]
    findings: tuple[Finding, ...] = ()
    lacks: tuple[str, ...] = ()
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.outcome == "confirmed"


@dataclass(frozen=True, slots=True)
class Records:
    """Where every act is written down before it is done."""

    journal: Journal
    audit: AuditLog

    @classmethod
    def open(cls, journal: Path, audit: Path) -> Records:
        """Open both, or make them.

        Raises:
            Refused: one does not fit the other, or a later version wrote it. Unable: the journal cannot be used.
        """
        records = cls(Journal.open(journal), AuditLog.open(audit))
        head = records.journal.head()
        if head and not records.audit.contains(head):
            records.journal.close()
            raise Refused(
                f"the audit log {audit} is not the one the journal saw last ({head.size} entries): it was put back to "
                "an older state or another was put in its place. testbed audit verify says more; testbed audit renew "
                "begins a new one"
            )
        return records


@dataclass(slots=True)
class _Run:
    """One transaction under way. `trouble`: what could not be recorded while rolling back, which goes on regardless."""

    transaction: str
    plan: Plan
    session: Connect
    records: Records
    progress: Progress
    patience: float
    gone: Collection[str] = ()
    started: float = field(default_factory=time.monotonic)
    deadline: float = float("inf")
    committing: float = 0.0
    findings: tuple[Finding, ...] = ()
    trouble: list[str] = field(default_factory=list)

    @property
    def journal(self) -> Journal:
        return self.records.journal

    @property
    def audit(self) -> AuditLog:
        return self.records.audit

    @property
    def devices(self) -> tuple[DeviceChange, ...]:
        return self.plan.devices


def apply(
    plan: Plan,
    rack: Inventory,
    adapters: Mapping[str, Adapter],
    probes: Probes,
    records: Records,
    *,
    approvers: Mapping[str, Sequence[Ed25519PublicKey]],
    progress: Progress = lambda _: None,
    patience: float = 10.0,
) -> Result:
    """Carry a plan out: load on all, commit on all, verify, then confirm all or roll back all.

    Args:
        rack: the inventory that the plan must be for.
        adapters: sessions to the rack's devices, by name: those of the plan, and those its expectations measure from.
        probes: measures on the rack. records: where every act is written down first.
        approvers: who may approve, and their keys.
        patience: seconds to try again for a device that does not answer.

    Returns:
        The end; what failed after the first device was touched is a result (`rolled-back` or `pending`), not an error.

    Raises:
        Refused: stale, altered, used, unapproved, self-approved, not PASSED, for another rack or another device, or
            another replay is unfinished.
        BadInput: a device the rack has not.
        DeviceError: a device cannot be reached before anything was sent.
    """
    with records.journal.exclusive():
        try:
            admit(plan, rack, adapters, records, approvers)
            probes.before(plan, adapters)
        except (TestbedError, KeyboardInterrupt) as error:
            records.audit.append("apply.refused", plan=plan.id, reason=str(error) or "interrupted")
            records.journal.keep_head(records.audit.head)
            raise
        run = _Run(plan.id[:16], plan, _proven(plan, rack, adapters.__getitem__), records, progress, patience)
        _record(run, "replay.begun", plan=plan.id, revert_after=plan.revert_after)
        run.journal.begin(run.transaction, plan, run.audit.head)
        return _carry_out(run, adapters, probes)


def recover(
    rack: Inventory,
    connect: Connect,
    records: Records,
    *,
    gone: Collection[str] = (),
    progress: Progress = lambda _: None,
    patience: float = 0.0,
) -> list[Result]:
    """Finish or roll back every transaction that a crash or an unreachable device left; to be called at every start.

    Those of other racks are left as they are. A device that is not the one of the plan counts as unreachable.

    Args:
        rack: the inventory whose transactions to end.
        connect: opens a session to a device by name, or raises DeviceError; sessions are closed at the end.
        gone: devices that will never answer again (replaced, scrapped); their transactions end without them.
        patience: seconds to try again for a device that does not answer.

    Raises:
        Refused: another process is replaying right now.
        BadInput: a device given up is of no transaction that could end.
    """
    with records.journal.exclusive(), _sessions(connect) as session:
        left = [one for one in records.journal.unfinished() if one.plan.rack == rack.name]
        touched = {device.device for one in left for device in one.plan.devices}
        if strange := sorted(set(gone) - touched):
            known = ", ".join(sorted(touched)) or "none"
            raise BadInput(f"no unfinished transaction touches {', '.join(strange)} (devices of such: {known})")
        return [
            _recover(_Run(one.id, one.plan, _proven(one.plan, rack, session), records, progress, patience, gone), one)
            for one in left
        ]


@contextmanager
def _sessions(connect: Connect) -> Iterator[Connect]:
    """Open each session when it is first asked for; close all at the end."""
    opened: dict[str, Adapter] = {}

    def session(name: str) -> Adapter:
        if name not in opened:
            opened[name] = connect(name)
        return opened[name]

    try:
        yield session
    finally:
        for adapter in opened.values():
            adapter.close()


def _proven(plan: Plan, rack: Inventory, session: Connect) -> Connect:
    """Give sessions only with the very devices that the plan was made for."""

    def proven(name: str) -> Adapter:
        adapter = session(name)
        identity.check_device(plan, name, rack, adapter)
        return adapter

    return proven


def admit(
    plan: Plan,
    rack: Inventory,
    adapters: Mapping[str, Adapter],
    records: Records | None,
    approvers: Mapping[str, Sequence[Ed25519PublicKey]],
) -> None:
    """Make sure that a plan may be carried out now; nothing is changed.

    Args:
        records: None where there are none yet.

    Raises:
        Refused, BadInput, DeviceError: as `apply`.
    """
    plans.check(plan, approvers)
    identity.check_rack(plan, rack)
    if records:
        _check_unused(plan, records.journal)
    for device in plan.devices:
        identity.check_device(plan, device.device, rack, adapters[device.device])
        plans.check_fresh(device, adapters[device.device])


def _check_unused(plan: Plan, journal: Journal) -> None:
    used = journal.used(plan.id)
    if used:
        raise Refused(f"plan {plan.id[:12]} was used already, by transaction {used}; make a new plan")
    touched = {device.device for device in plan.devices}
    for entry in journal.unfinished():
        shared = touched & {device.device for device in entry.plan.devices if entry.plan.rack == plan.rack}
        if shared:
            raise Refused(f"transaction {entry.id} is unfinished on {', '.join(sorted(shared))}; recover it first")


def _carry_out(run: _Run, adapters: Mapping[str, Adapter], probes: Probes) -> Result:
    try:
        why_not = _try_out(run, adapters, probes)
    except TestbedError as error:
        why_not = str(error)
    except BaseException as error:  # an interrupt, our bug, a full disk: nothing may stay armed behind it
        _roll_back(run, f"interrupted: {error!r}")
        raise
    if why_not:
        return _roll_back(run, why_not)
    try:
        _record(run, "replay.decided", decision="confirm")
        run.journal.decide(run.transaction, "confirm", "verified on the rack", run.audit.head)
    except TestbedError as error:
        return _roll_back(run, f"the decision to confirm could not be written down: {error}")
    return _confirm(run, set())


def _try_out(run: _Run, adapters: Mapping[str, Adapter], probes: Probes) -> str:
    """Load, commit and verify. Returns why the change must not stay, or an empty text."""
    for device in run.devices:
        _load(run, device)
    for device in run.devices:
        _commit(run, device)
    left = run.deadline - _margin(run)
    with _step(run, "verify", ""):
        run.findings = tuple(probes.after(run.plan, adapters, left))
        differing = [_after_hash(run, device) for device in run.devices]
    bad = [finding for finding in run.findings if finding.outcome is not Outcome.PASSED]
    if any(differing):
        return "; ".join(filter(None, differing))
    if bad:
        return "; ".join(
            f"{finding.expectation.kind} on the rack {finding.outcome}: {finding.reason}" for finding in bad
        )
    if time.monotonic() > left:
        return f"too little is left of the revert timers ({run.deadline - time.monotonic():.1f} s) to confirm safely"
    return ""


def _load(run: _Run, device: DeviceChange) -> None:
    with _step(run, "load", device.device):
        loaded = run.session(device.device).load(run.transaction, device.lines)
        for name in ("lines", "rollback", "diff", "before_hash"):
            theirs, ours = getattr(loaded, name), getattr(device, name)
            if theirs != ours:
                raise Refused(
                    f"{device.device} would not do what the twin did: its {name} {_first_difference(theirs, ours)}; "
                    "mirror and validate again"
                )


def _first_difference(theirs: str, ours: str) -> str:
    pairs = zip_longest(theirs.splitlines(keepends=True), ours.splitlines(keepends=True))
    number, (here, there) = next((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return f"has {here!r} in line {number}, the plan has {there!r}"


def _commit(run: _Run, device: DeviceChange) -> None:
    with _step(run, "commit", device.device):
        begun = time.monotonic()
        run.deadline = min(run.deadline, begun + run.plan.revert_after)
        run.session(device.device).commit(run.transaction, run.plan.revert_after)
        run.committing += time.monotonic() - begun


def _after_hash(run: _Run, device: DeviceChange) -> str:
    now = run.session(device.device).config_hash()
    if not device.after_hash or now == device.after_hash:
        return ""
    return f"the configuration of {device.device} became {now[:12]}, in the twin it became {device.after_hash[:12]}"


def _margin(run: _Run) -> float:
    """Seconds of the timers to keep for confirming: several times what committing took."""
    return max(1.0, 3 * run.committing)


def _confirm(run: _Run, confirmed: set[str]) -> Result:
    """Confirm all that are not yet; a single one that cannot be takes all back."""
    for device in run.devices:
        if device.device in confirmed:
            continue
        try:
            with _step(run, "confirm", device.device):
                _confirm_one(run, device.device)
        except TestbedError as error:
            return _roll_back(run, f"confirming failed: {error}")
        except BaseException as error:
            _roll_back(run, f"interrupted while confirming: {error!r}")
            raise
    ends: dict[str, End] = {device.device: "new" for device in run.devices}
    return _settle(run, "confirmed", "verified on the rack and confirmed on every device", ends)


def _confirm_one(run: _Run, device: str) -> None:
    until = min(run.deadline, time.monotonic() + run.patience)
    while True:
        try:
            run.session(device).confirm(run.transaction)
            return
        except DeviceError:
            if time.monotonic() + RETRY > until:
                raise
            time.sleep(RETRY)  # a device that does not answer announces no return


def _roll_back(run: _Run, reason: str) -> Result:
    """Put every device back; what cannot be reached its own timer puts back, and `recover` makes sure."""
    _keep_on(run, lambda: _record(run, "replay.decided", decision="rollback", reason=reason))
    _keep_on(run, lambda: run.journal.decide(run.transaction, "rollback", reason, run.audit.head))
    ends: dict[str, End] = {}
    said = [reason]
    for device in reversed(run.devices):
        if device.device in run.gone:
            ends[device.device] = "gone"
            continue
        try:
            with _step(run, "rollback", device.device, regardless=True):
                said += _roll_back_one(run, device)
            ends[device.device] = "old"
        except TestbedError as error:
            ends[device.device] = "unknown"
            said.append(f"{device.device} could not be rolled back ({error}); its transaction stays open")
    said += run.trouble
    if "unknown" in ends.values():
        _keep_on(run, lambda: _record(run, "replay.pending", devices=ends))
        _keep_on(run, lambda: run.journal.keep_head(run.audit.head))
        return _result(run, "pending", "; ".join(said), ends)
    return _settle(run, "rolled-back", "; ".join(said), ends)


def _settle(run: _Run, outcome: Literal["confirmed", "rolled-back"], reason: str, ends: Mapping[str, End]) -> Result:
    """Write down that every device has ended it the same way; then they may forget."""
    try:
        _record(run, "replay.settled", outcome=outcome, devices=ends)
        run.journal.settle(run.transaction, outcome, run.audit.head)
    except RECORDING as error:
        return _result(run, "pending", f"{reason}; that it has ended could not be written down: {error}", ends)
    _forget(run)
    return _result(run, outcome, reason, ends)


def _roll_back_one(run: _Run, device: DeviceChange) -> list[str]:
    until = time.monotonic() + run.patience
    while True:
        try:
            adapter = run.session(device.device)
            if adapter.state(run.transaction) in TO_ROLL_BACK:
                adapter.rollback(run.transaction)
            now = adapter.config_hash()
            break
        except DeviceError:
            if time.monotonic() + RETRY > until:
                raise
            time.sleep(RETRY)  # as in _confirm_one
    if now == device.before_hash:
        return []
    return [f"{device.device} has taken the change back, yet its configuration is {now[:12]}: changed by somebody else"]


def _forget(run: _Run) -> None:
    """Clear the devices' records; what cannot be cleared waits for the next start."""
    cleared = run.journal.done(run.transaction, "forget") | set(run.gone)
    for device in run.devices:
        if device.device in cleared:
            continue
        try:
            with _step(run, "forget", device.device):
                run.session(device.device).forget(run.transaction)
            cleared.add(device.device)
        except TestbedError as error:
            run.progress(f"{device.device} still keeps its record of the transaction: {error}")
    if {device.device for device in run.devices} <= cleared:
        _keep_on(run, lambda: _record(run, "replay.finished"))
        _keep_on(run, lambda: run.journal.finish(run.transaction, run.audit.head))


def _recover(run: _Run, entry: Entry) -> Result:
    gone = sorted(set(run.gone) & {device.device for device in run.devices})
    _record(run, "replay.recovering", decision=entry.decision, outcome=entry.outcome, gone=gone)
    if entry.outcome:
        _forget(run)
        end: End = "new" if entry.outcome == "confirmed" else "old"
        return _result(run, entry.outcome, entry.reason, {device.device: end for device in run.devices})
    if gone:
        return _roll_back(run, f"given up: {', '.join(gone)}")
    if entry.decision == "rollback":
        return _roll_back(run, entry.reason)
    if entry.decision is None:
        return _roll_back(run, "the controller ended before the decision to confirm")
    confirmed = run.journal.done(run.transaction, "confirm")
    for device in run.devices:
        if device.device not in confirmed and (why := _cannot_confirm(run, device.device)):
            return _roll_back(run, why)
    return _confirm(run, confirmed)


def _cannot_confirm(run: _Run, device: str) -> str:
    """Say why a device cannot be confirmed any more; a confirmed or waiting one can."""
    try:
        state = run.session(device).state(run.transaction)
    except TestbedError as error:
        return f"{device} may have taken its old configuration back: {error}"
    if state in (TransactionState.COMMITTED, TransactionState.CONFIRMED):
        return ""
    return f"{device} has taken its old configuration back (its transaction is {state})"


def _result(run: _Run, outcome: Any, reason: str, ends: Mapping[str, End]) -> Result:
    run.progress(f"{outcome}: {reason}")
    return Result(
        run.transaction,
        run.plan.id,
        run.plan.change.name,
        outcome,
        reason,
        ends,
        run.findings,
        run.plan.lacks,
        time.monotonic() - run.started,
    )


@contextmanager
def _step(run: _Run, step: str, device: str, regardless: bool = False) -> Iterator[None]:
    """Write down an act before it and its end after it.

    Args:
        regardless: act even when it cannot be written down: a rollback does not wait for a full disk.
    """
    run.progress(f"{step} {device}".strip())
    number: list[int] = []

    def begin() -> None:
        _record(run, "replay.step", step=step, device=device)
        number.append(run.journal.begin_step(run.transaction, step, device, run.audit.head))

    def end(error: str | None) -> None:
        if number:
            run.journal.end_step(number[0], error, run.audit.head)

    keep = (lambda act: _keep_on(run, act)) if regardless else (lambda act: act())
    keep(begin)
    try:
        yield
    except TestbedError as error:
        said = str(error)
        keep(lambda: end(said))
        raise
    keep(lambda: end(None))


def _keep_on(run: _Run, act: Callable[[], None]) -> None:
    try:
        act()
    except RECORDING as error:
        run.trouble.append(f"not recorded: {error}")


def _record(run: _Run, kind: str, **fields: Any) -> None:
    run.audit.append(kind, transaction=run.transaction, **fields)
