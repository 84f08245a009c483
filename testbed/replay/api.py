"""What commands and scripts call: files in, files out, everything else in its usual place.

Under the folder of all state (`$TESTBED_HOME`): `journal.sqlite`, `audit/`, `approvers`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from testbed.errors import BadInput, Refused
from testbed.model.plan import Plan
from testbed.model.verdict import Verdict
from testbed.replay import audit, keys, plan, transaction
from testbed.replay.audit import AuditLog, Report
from testbed.replay.journal import Journal
from testbed.replay.target import Sessions, Target, target_of
from testbed.replay.transaction import Records, Result
from testbed.substrate.folder import home

Progress = Callable[[str], object]
Place = Path | Target
"""A rack's inventory file, or a target such as `LabTarget("a-lab")`."""


def journal_path() -> Path:
    """Return the journal's file."""
    return home() / "journal.sqlite"


def audit_path() -> Path:
    """Return the audit log's directory."""
    return home() / "audit"


def approvers_path() -> Path:
    """Return the file that lists who may approve."""
    return home() / "approvers"


def plan_from_report(
    report: Path,
    inventory: Place,
    *,
    proposed_by: str,
    revert_after: float | None = None,
    output: Path | None = None,
    opened: Sessions | None = None,
) -> Plan:
    """Make a plan of the verdict in a report, against the rack as it is now.

    Args:
        report: `report.json` of a validation. inventory: the rack's file, or a target. proposed_by: who asks.
        revert_after: seconds until an unconfirmed device takes its old configuration back; when None, several times
            what committing and verifying is expected to take (`testbed.replay.timing`).
        output: file to write the plan to. opened: sessions to use; own ones when None.

    Raises:
        BadInput: a file that cannot be read, a device the rack has not.
        Refused: not PASSED, not reproduced, or stale.
        DeviceError: a device cannot be reached.
    """
    verdict, target = read_verdict(report), target_of(inventory)
    with target.sessions(opened) as adapters, _recording() as log:
        made = plan.make_plan(
            verdict,
            target.inventory,
            adapters,
            proposed_by,
            revert_after=revert_after,
            audit=log,
            cannot_measure=target.cannot_measure,
        )
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        plan.save(made, output)
    return made


def read_verdict(report: Path) -> Verdict:
    """Read the verdict in a `report.json`.

    Raises:
        BadInput: no such file, or no verdict in it.
    """
    try:
        document = json.loads(report.read_text())
        return Verdict.model_validate(document["verdict"])
    except OSError as error:
        raise BadInput(f"cannot read the report {report}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{report}: verdict.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise BadInput(f"{report} is no report.json of a validation: {error!r}") from None


def approve_plan(file: Path, by: str, key: Path) -> Plan:
    """Approve a plan file, in place.

    Args:
        by: the approver, as enrolled. key: the approver's private key.

    Raises:
        Refused: altered, not passed, self-approved. BadInput: no such plan, or no such key.
    """
    private = keys.read_private(key)
    with _recording() as log:
        approved = plan.approve(plan.load(file), by, private, log)
    plan.save(approved, file)
    return approved


def enrol(name: str, public: str) -> None:
    """Let somebody approve plans from now on.

    Args:
        public: the public key, as `ssh-ed25519 AAAA...`.
    """
    key = keys.parse_public(public, f"the key of {name}")
    keys.enrol(approvers_path(), name, key)
    with _recording() as log:
        log.append("approver.enrolled", name=name, key=keys.public_text(key))


def enrol_new_key(name: str, file: Path) -> None:
    """Make a key for an approver and enrol it; a key that is there already is used."""
    public = keys.read_private(file).public_key() if file.exists() else keys.make_key(file)
    enrol(name, keys.public_text(public))


def check_plan(file: Path, inventory: Place) -> Plan:
    """Make sure that a plan could be applied now; nothing is changed.

    Raises:
        Refused, BadInput, DeviceError: as `apply_plan`.
    """
    chosen, approvers, target = plan.load(file), keys.read_approvers(approvers_path()), target_of(inventory)
    with target.sessions() as adapters, _records_if_any() as records:
        transaction.admit(chosen, target.inventory, adapters, records, approvers)
    return chosen


def apply_plan(
    file: Path,
    inventory: Place,
    progress: Progress = lambda _: None,
    *,
    window: float | None = None,
    opened: Sessions | None = None,
) -> Result:
    """Carry a plan out on the rack; what an earlier crash left is ended first.

    Args:
        window: seconds without any change of routes and neighbours that count as converged; when None, as long as
            the change asks for: past the dead interval where a neighbour may time out.
        opened: sessions to use; own ones when None.

    Raises:
        Refused: stale, altered, used, unapproved, self-approved, not PASSED, or another replay is under way.
        BadInput: a file that cannot be read, a device the rack has not.
        DeviceError: a device cannot be reached, before anything was sent.
    """
    recover(inventory, progress)
    chosen, approvers, target = plan.load(file), keys.read_approvers(approvers_path()), target_of(inventory)
    with target.sessions(opened) as adapters, _records() as records:
        return transaction.apply(
            chosen,
            target.inventory,
            adapters,
            target.probes(window, progress),
            records,
            approvers=approvers,
            progress=progress,
        )


def recover(inventory: Place, progress: Progress = lambda _: None, *, gone: Collection[str] = ()) -> list[Result]:
    """Finish or roll back what a crash left half done on this rack.

    Args:
        gone: devices that will never answer again; their transactions end without them.

    Raises:
        Refused: another replay is under way. BadInput: no open transaction touches a device given up.
    """
    target = target_of(inventory)
    with _records() as records:
        return transaction.recover(
            target.inventory,
            target.connect,
            records,
            gone=gone,
            progress=progress,
            patience=5.0,
        )


def audit_verify(path: Path | None = None, head: Path | None = None) -> Report:
    """Check the audit log; the product's own also against the head that the journal keeps.

    Args:
        path: another log's folder. head: file of a signed head that was kept elsewhere (see `audit_head`).

    Raises:
        BadInput: no log there, or the head cannot be read. Refused: the head is not signed by this log's key.
    """
    folder = path or audit_path()
    heads = [audit.read_head(folder, head)] if head else []
    if folder.absolute() == audit_path().absolute() and journal_path().exists():
        with closing(Journal.open(journal_path())) as journal:
            kept = journal.head()
        heads += [kept] if kept else []
    return audit.verify(folder, heads)


def audit_head(path: Path | None = None) -> str:
    """Return the newest signed head, to be kept where who can write the log cannot.

    Raises:
        BadInput: no log there, or an empty one.
    """
    return audit.signed_head(path or audit_path())


def audit_renew(reason: str) -> Path | None:
    """Begin a new audit log in place of one that is broken or lost; its first entry says so, and names the old head.

    Returns:
        Where the old log is kept; None when nothing was left of it.

    Raises:
        Refused: the log is whole, or a replay is under way.
    """
    with closing(Journal.open(journal_path())) as journal, journal.exclusive():
        kept, old = journal.head(), audit_path()
        if (old / "key.pub").exists() and audit.verify(old, [kept] if kept else []):
            raise Refused(f"the audit log {old} is whole; there is nothing to renew")
        moved = _move_aside(old) if old.exists() else None
        log = AuditLog.open(old)
        before = {"size": kept.size, "root": kept.root.hex()} if kept else None
        log.append("log.renewed", reason=reason, before=before, kept=str(moved) if moved else None)
        journal.keep_head(log.head)
        return moved


def _move_aside(folder: Path) -> Path:
    """Rename a folder to the first free name of its kind."""
    free = next(path for n in count(1) if not (path := folder.with_name(f"{folder.name}-old-{n}")).exists())
    return folder.rename(free)


def audit_entries(path: Path | None = None) -> list[dict[str, Any]]:
    """Return the entries, each with `n`, `at`, `kind` and its own fields side by side."""
    return [
        {"n": entry["n"], "at": entry["at"], "kind": entry["kind"], **entry["fields"]}
        for entry in audit.entries(path or audit_path())
    ]


@contextmanager
def _records() -> Iterator[Records]:
    """Open journal and audit log."""
    records = Records.open(journal_path(), audit_path())
    try:
        yield records
    finally:
        records.journal.close()


@contextmanager
def _recording() -> Iterator[AuditLog]:
    """Open the audit log for entries that no journal write follows; the journal learns the log's head at the end."""
    with _records() as records:
        try:
            yield records.audit
        finally:
            records.journal.keep_head(records.audit.head)


@contextmanager
def _records_if_any() -> Iterator[Records | None]:
    """Open what is there, and make nothing."""
    if not (journal_path().exists() and audit_path().exists()):
        yield None
        return
    with _records() as records:
        yield records
