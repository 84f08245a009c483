"""The command as a user types it: in a process of its own, or, twenty times faster, in this one."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from testbed.cli import main


def run(*words: object, stdin: bytes = b"", timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    """Run `testbed WORDS...` in a process of its own and return how it ended."""
    argv: Sequence[str] = (sys.executable, "-m", "testbed", *map(str, words))
    done = subprocess.run(argv, input=stdin, capture_output=True, timeout=timeout, check=False)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


def call(*words: object, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """The same in this process, for commands that leave nothing of their own in it."""
    argv = ["testbed", *map(str, words)]
    said, complained = io.StringIO(), io.StringIO()
    given = patch.multiple(sys, argv=argv, stdin=io.TextIOWrapper(io.BytesIO(stdin)))
    code: object = None
    with given, redirect_stdout(said), redirect_stderr(complained):
        try:
            main()
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int), f"{argv} did not end with an exit code but with {code!r}"
    return subprocess.CompletedProcess(argv, code, said.getvalue(), complained.getvalue())
