"""Where batches of samples go: the contract, the ring in memory and the SQLite file."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from testbed.errors import Unable
from testbed.telemetry.sample import Sample


class Sink(Protocol):
    """Takes batches of samples; used by one thread at a time."""

    def write(self, batch: Sequence[Sample]) -> None: ...

    def close(self) -> None: ...


class Ring:
    """The newest samples, in memory."""

    def __init__(self, capacity: int) -> None:
        self._samples: deque[Sample] = deque(maxlen=capacity)

    def write(self, batch: Sequence[Sample]) -> None:
        self._samples.extend(batch)

    def __iter__(self) -> Iterator[Sample]:
        return iter(tuple(self._samples))

    def close(self) -> None:
        self._samples.clear()


_COLUMNS = "entity, metric, value, unit, measured, received, source"


class SqliteFile:
    """Appends to a SQLite file, one transaction a batch.

    WAL with `synchronous=NORMAL`: a killed process loses nothing committed, a power cut may lose the last batches;
    telemetry can bear that, a journal could not.
    """

    def __init__(self, path: Path) -> None:
        """Open it, or make it.

        Raises:
            Unable: it is no such file, or cannot be written.
        """
        try:
            self._open(path)
        except sqlite3.Error as error:
            raise Unable(f"{path}: cannot keep samples there: {error}") from None

    def _open(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS sample (entity TEXT NOT NULL, metric TEXT NOT NULL, value REAL, "
            "unit TEXT NOT NULL, measured REAL NOT NULL, received REAL NOT NULL, source TEXT NOT NULL)"
        )
        self._connection.execute("CREATE INDEX IF NOT EXISTS by_field ON sample (entity, metric, measured)")

    def write(self, batch: Sequence[Sample]) -> None:
        rows = [(s.entity, s.metric, s.value, s.unit, s.measured, s.received, s.source) for s in batch]
        self._connection.execute("BEGIN")
        try:
            self._connection.executemany(f"INSERT INTO sample ({_COLUMNS}) VALUES (?,?,?,?,?,?,?)", rows)  # noqa: S608
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def forget_before(self, moment: float) -> int:
        """Delete samples measured before `moment` (Unix seconds); returns how many."""
        return self._connection.execute("DELETE FROM sample WHERE measured < ?", (moment,)).rowcount

    def close(self) -> None:
        self._connection.close()


def read(path: Path, entity: str | None = None, since: float = 0.0) -> list[Sample]:
    """Read samples of a SQLite sink, oldest first, while it may be written.

    Args:
        path: the file. entity: only this one, or all. since: Unix seconds.
    """
    query = f"SELECT {_COLUMNS} FROM sample WHERE measured >= ? AND (? IS NULL OR entity = ?) ORDER BY measured"  # noqa: S608
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return [Sample(*row) for row in connection.execute(query, (since, entity, entity))]
