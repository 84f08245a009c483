"""The command as a user types it, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence


def run(*words: object, stdin: bytes = b"", timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run `testbed WORDS...` and return how it ended."""
    argv: Sequence[str] = (sys.executable, "-m", "testbed", *map(str, words))
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())
