"""A command that is asked to end undoes what it has begun, and says by its exit code who asked."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.lab import Lab
from testbed.substrate.guest_init import PROJECT

TOPOLOGY = "name: asked-to-end\nnodes:\n  a: {kind: host}\n"
ASKED = (
    "import signal, sys\n"
    "from testbed import cli\n"
    "from testbed.emulator.client import AgentClient\n"
    "number = int(sys.argv.pop())\n"
    # While the lab is being built: sent to this thread, for another might take it and this one wait for ever.
    "AgentClient.call = lambda *a, **k: (signal.raise_signal(number), signal.pause())\n"
    "sys.argv[1:1] = ['up']\n"
    "cli.main()\n"
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_command_that_is_asked_to_end_takes_away_what_it_had_begun(tmp_path, number):
    file = tmp_path / "asked.yaml"
    file.write_text(TOPOLOGY)
    asked = _run("-c", ASKED, file, "--substrate", "native", int(number))
    assert "testbed: interrupted" in asked.stderr
    assert asked.returncode == 128 + number
    assert "asked-to-end" not in {lab.name for lab in Lab.all()}


def _run(*words: object) -> subprocess.CompletedProcess[str]:
    def as_in_the_foreground() -> None:
        # A shell starts what runs in its background with SIGINT ignored, and nohup with SIGHUP; both are inherited.
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)

    return subprocess.run(
        [sys.executable, *map(str, words)], cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(Path(PROJECT))},
        capture_output=True, text=True, timeout=50, check=False, preexec_fn=as_in_the_foreground,
    )  # fmt: skip
