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
from typing import Any, Literal

from testbed.errors import BadInput, Refused, Unable
from testbed.model.plan import Plan
from testbed.replay import canonical, faultpoint
from testbed.replay.audit import without_secrets
from testbed.replay.note import Checkpoint

Decision = Literal["confirm", "rollback"]
Outcome = Literal["confirmed", "rolled-back"]

FORMAT = 1
"""Of the file; kept in SQLite's user_version. A file of a later one is never touched."""

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
    """One process's connection to the journal file. Every method raises Unable when the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._file():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(0o600)
            self._database = sqlite3.connect(path, isolation_level=None, timeout=10.0)
        try:
            with self._file():
                self._prepare()
        except BaseException:
            self._database.close()
            raise

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open or make the journal file.

        Raises:
            Unable: it is damaged, or cannot be written. Refused: a later version of this product wrote it.
        """
        return cls(path)

    def _prepare(self) -> None:
        (written,) = self._database.execute("PRAGMA user_version").fetchone()
        if written > FORMAT:
            raise Refused(
                f"the journal {self.path} has format {written}, this version knows {FORMAT}: a later version wrote it; "
                "use that one"
            )
        (found,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found.splitlines()[-1])
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        if written < FORMAT:
            self._database.executescript(f"{_SCHEMA} PRAGMA user_version = {FORMAT};")

    @contextmanager
    def _file(self) -> Iterator[None]:
        """Turn what SQLite says into an error to act on."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.OperationalError, OSError) as error:  # full, locked, not writable: the file itself is good
            raise Unable(
                f"cannot use the journal {self.path}: {error}; what cannot be written down is not done. "
                "Mend that, then: testbed recover"
            ) from None
        except sqlite3.Error as error:
            raise Unable(
                f"the journal {self.path} is damaged ({error}); put it back from a copy. Without one: see that no "
                "device is in the middle of a replay (its own timer ends one), and move the file aside"
            ) from None

    def _rows(self, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._file():
            return self._database.execute(sql, values).fetchall()

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
        rows = self._rows("SELECT id FROM transactions WHERE plan_id = ?", (plan_id,))
        return rows[0][0] if rows else None

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
        said = without_secrets(error)
        self._write("UPDATE steps SET done = ?, error = ? WHERE number = ?", (time.time(), said, number), head)

    def decide(self, transaction: str, decision: Decision, reason: str, head: Checkpoint) -> None:
        """Write down the decision. `rollback` is final; a later `confirm` changes nothing."""
        sql = (
            "UPDATE transactions SET decision = ?, reason = ?, decided = ? "
            "WHERE id = ? AND outcome IS NULL AND decision IS NOT 'rollback'"
        )
        self._write(sql, (decision, without_secrets(reason), time.time(), transaction), head)

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
        rows = self._rows("SELECT size, root FROM audit_head")
        return Checkpoint("journal", rows[0][0], bytes.fromhex(rows[0][1])) if rows else None

    def unfinished(self) -> list[Entry]:
        """Return the transactions a crash or an unreachable device left open, the oldest first."""
        return [self._entry(row) for row in self._rows(_SELECT + " WHERE finished IS NULL ORDER BY rowid")]

    def all(self) -> list[Entry]:
        """Return every transaction, the oldest first."""
        return [self._entry(row) for row in self._rows(_SELECT + " ORDER BY rowid")]

    def done(self, transaction: str, step: str) -> set[str]:
        """Return the devices on which a step is known to be done."""
        sql = "SELECT device FROM steps WHERE txn = ? AND step = ? AND done IS NOT NULL AND error IS NULL"
        return {row[0] for row in self._rows(sql, (transaction, step))}

    def steps(self, transaction: str) -> list[tuple[str, str, bool, str | None]]:
        """Return a transaction's steps in order: step, device, done, error."""
        sql = "SELECT step, device, done IS NOT NULL, error FROM steps WHERE txn = ? ORDER BY number"
        return [(step, device, bool(done), error) for step, device, done, error in self._rows(sql, (transaction,))]

    def _entry(self, row: _Row) -> Entry:
        identity, plan, begun, decision, reason, outcome, finished = row
        try:
            read = Plan.model_validate(json.loads(plan))
        except ValueError as error:
            why = " ".join(str(error).splitlines()[:3])
            raise BadInput(
                f"the journal {self.path} holds a transaction {identity} whose plan cannot be read ({why}); end it "
                "with the version that began it"
            ) from None
        return Entry(identity, read, begun, decision, reason or "", outcome, finished is not None)

    def _write(self, sql: str, values: tuple[object, ...], head: Checkpoint) -> int | None:
        with self._file(), faultpoint.write("journal"):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                number = self._database.execute(sql, values).lastrowid
                self._database.execute(
                    "INSERT OR REPLACE INTO audit_head VALUES (1, ?, ?)", (head.size, head.root.hex())
                )
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # some errors, such as a full disk, have ended it already
                    self._database.execute("ROLLBACK")
                raise
        return number


_Row = tuple[str, str, float, Decision | None, str | None, Outcome | None, float | None]
_SELECT = "SELECT id, plan, begun, decision, reason, outcome, finished FROM transactions"


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused("another replay is under way here; wait until it has ended") from None
