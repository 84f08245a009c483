"""Commands in processes that are forked from one that has imported everything: fifty of them are killed in a minute."""

from __future__ import annotations

import os
import sys
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from testbed.cli import main

_FORKED = get_context("forkserver")
_FORKED.set_forkserver_preload(["testbed.cli", "testbed.lab", "testbed.substrate.native", __name__])


def _run(home: Path, words: tuple[str, ...], log: Path) -> None:
    os.environ["TESTBED_HOME"] = str(home)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.setsid()
    sys.argv = ["testbed", *words]
    main()


def begin(home: Path, *words: object, log: Path) -> ForkServerProcess:
    """Start a command as the user whose labs are in `home`; it exits as the command does."""
    process = _FORKED.Process(target=_run, args=(home, tuple(map(str, words)), log))
    process.start()
    return process


def finish(process: ForkServerProcess, seconds: float = 50.0) -> int:
    """Wait for its end and return its exit code; negative: the signal that ended it."""
    process.join(seconds)
    assert process.exitcode is not None, f"no end within {seconds} s"
    return process.exitcode
