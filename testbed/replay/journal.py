"""The journal: what a replay is about to do, on disk before it is done (SQLite, WAL, every write synced).

One transaction is a row; each of its steps is a row written before the act, its completion after. Beside them stands
the audit log's head, renewed with every write, so that an audit log put back to an older state is found.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from testbed.errors import Refused
from testbed.model.plan import Plan
from testbed.replay import canonical, faultpoint
from testbed.replay.note import Checkpoint

Decision = Literal["confirm", "rollback"]
Outcome = Literal["confirmed", "rolled-back"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS transactions (
    id TEXT PRIMARY KEY, plan_id TEXT NOT NULL UNIQUE, plan TEXT NOT NULL, begun REAL NOT NULL,
    decision TEXT, reason TEXT, decided REAL, outcome TEXT, settled REAL, finished REAL
) STRICT;
CREATE TABLE IF NOT EXISTS steps (
    number INTEGER PRIMARY KEY AUTOINCREMENT, txn TEXT NOT NULL REFERENCES transactions (id),
    step TEXT NOT NULL, device TEXT NOT NULL, begun REAL NOT NULL, done REAL, error TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS audit_head (
    only INTEGER PRIMARY KEY CHECK (only = 1), size INTEGER NOT NULL, root TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction as the journal knows it. `outcome` is set once all devices are known to be new, or all old."""

    id: str
    plan: Plan
    begun: float
    decision: Decision | None
    reason: str
    outcome: Outcome | None
    finished: bool


class Journal:
    """One process's connection to the journal file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._database = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open or make the journal file."""
        return cls(path)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the right to act on devices; it ends with the process, however that ends.

        Raises:
            Refused: another process holds it.
        """
        handle = os.open(self.path.with_name(self.path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)

    def used(self, plan_id: str) -> str | None:
        """Return the transaction that used this plan, or None."""
        row = self._database.execute("SELECT id FROM transactions WHERE plan_id = ?", (plan_id,)).fetchone()
        return row[0] if row else None

    def begin(self, transaction: str, plan: Plan, head: Checkpoint) -> None:
        """Open a transaction; from here on the plan is used.

        Raises:
            Refused: the plan was used already, if only a moment ago.
        """
        text = canonical.encode(canonical.plain(plan)).decode()
        try:
            self._write(
                "INSERT INTO transactions (id, plan_id, plan, begun) VALUES (?, ?, ?, ?)",
                (transaction, plan.id, text, time.time()),
                head,
            )
        except sqlite3.IntegrityError:
            raise Refused(f"the plan was used already, by transaction {self.used(plan.id)}; make a new plan") from None

    def begin_step(self, transaction: str, step: str, device: str, head: Checkpoint) -> int:
        """Write down what is about to be done; returns the step's number."""
        sql = "INSERT INTO steps (txn, step, device, begun) VALUES (?, ?, ?, ?)"
        number = self._write(sql, (transaction, step, device, time.time()), head)
        assert number is not None  # an INSERT always has a row number
        return number

    def end_step(self, number: int, error: str | None, head: Checkpoint) -> None:
        """Write down that a step is done, or how it failed."""
        self._write("UPDATE steps SET done = ?, error = ? WHERE number = ?", (time.time(), error, number), head)

    def decide(self, transaction: str, decision: Decision, reason: str, head: Checkpoint) -> None:
        """Write down the decision. `rollback` is final; a later `confirm` changes nothing."""
        sql = (
            "UPDATE transactions SET decision = ?, reason = ?, decided = ? "
            "WHERE id = ? AND outcome IS NULL AND decision IS NOT 'rollback'"
        )
        self._write(sql, (decision, reason, time.time(), transaction), head)

    def settle(self, transaction: str, outcome: Outcome, head: Checkpoint) -> None:
        """Write down that every device is known to be new, or old; only the devices' own records are left to clear."""
        sql = "UPDATE transactions SET outcome = ?, settled = ? WHERE id = ?"
        self._write(sql, (outcome, time.time(), transaction), head)

    def finish(self, transaction: str, head: Checkpoint) -> None:
        """Close a transaction."""
        self._write("UPDATE transactions SET finished = ? WHERE id = ?", (time.time(), transaction), head)

    def keep_head(self, head: Checkpoint) -> None:
        """Remember the audit log's head, where no other write does it."""
        self._write("SELECT 1", (), head)

    def head(self) -> Checkpoint | None:
        """Return the audit log's head as last remembered."""
        row = self._database.execute("SELECT size, root FROM audit_head").fetchone()
        return Checkpoint("journal", row[0], bytes.fromhex(row[1])) if row else None

    def unfinished(self) -> list[Entry]:
        """Return the transactions a crash or an unreachable device left open, the oldest first."""
        return [_entry(row) for row in self._database.execute(_SELECT + " WHERE finished IS NULL ORDER BY begun")]

    def all(self) -> list[Entry]:
        """Return every transaction, the oldest first."""
        return [_entry(row) for row in self._database.execute(_SELECT + " ORDER BY begun")]

    def done(self, transaction: str, step: str) -> set[str]:
        """Return the devices on which a step is known to be done."""
        sql = "SELECT device FROM steps WHERE txn = ? AND step = ? AND done IS NOT NULL AND error IS NULL"
        return {row[0] for row in self._database.execute(sql, (transaction, step))}

    def steps(self, transaction: str) -> list[tuple[str, str, bool, str | None]]:
        """Return a transaction's steps in order: step, device, done, error."""
        sql = "SELECT step, device, done IS NOT NULL, error FROM steps WHERE txn = ? ORDER BY number"
        return [
            (step, device, bool(done), error)
            for step, device, done, error in self._database.execute(sql, (transaction,))
        ]

    def _write(self, sql: str, values: tuple[object, ...], head: Checkpoint) -> int | None:
        with faultpoint.write("journal"):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                number = self._database.execute(sql, values).lastrowid
                self._database.execute(
                    "INSERT OR REPLACE INTO audit_head VALUES (1, ?, ?)", (head.size, head.root.hex())
                )
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        return number


_SELECT = "SELECT id, plan, begun, decision, reason, outcome, finished FROM transactions"


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused("another replay is under way here; wait until it has ended") from None


def _entry(row: tuple[str, str, float, Decision | None, str | None, Outcome | None, float | None]) -> Entry:
    identity, plan, begun, decision, reason, outcome, finished = row
    return Entry(
        identity, Plan.model_validate(json.loads(plan)), begun, decision, reason or "", outcome, finished is not None
    )
