"""Where a test may kill this process: every durable write of journal and audit log passes here.

`TESTBED_KILL_AT=journal:7:before` ends the process with SIGKILL right before the seventh journal write of its life;
`after` does so right after it. Without the variable nothing happens.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_passed: Counter[str] = Counter()


@contextmanager
def write(kind: str) -> Iterator[None]:
    """Surround one durable write of `kind` (`journal` or `audit`)."""
    _passed[kind] += 1
    _kill_if_asked(kind, "before")
    yield
    _kill_if_asked(kind, "after")


def passed(kind: str) -> int:
    """Return how many writes of `kind` this process has made."""
    return _passed[kind]


def restart() -> None:
    """Count from nothing again, as a new process does."""
    _passed.clear()


def _kill_if_asked(kind: str, moment: str) -> None:
    if os.environ.get("TESTBED_KILL_AT") == f"{kind}:{_passed[kind]}:{moment}":
        os.kill(os.getpid(), signal.SIGKILL)
