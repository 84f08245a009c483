import signal
import subprocess
import sys

import pytest

from testbed.substrate.processes import belongs, marked, sweep

MARKER = "testbed-0123456789ab"


@pytest.mark.parametrize(
    "argv",
    [
        ["linux.uml", "mem=1M", f"umid={MARKER}"],
        ["python", "-m", "testbed.substrate.keeper", "/x/labs/a", MARKER, "5"],
        ["python", "-S", "-m", "testbed.substrate.launch", MARKER, "{}"],
        ["python", "-m", "testbed.emulator.agent", "--endpoint", f"ipc:///dev/shm/{MARKER}/agent"],
    ],
)
def test_what_we_start_belongs_to_its_lab(argv):
    assert belongs(argv, MARKER)
    assert not belongs(argv, "testbed-ba9876543210")


@pytest.mark.parametrize(
    "argv", [["grep", MARKER], ["vim", f"/dev/shm/{MARKER}/owner"], ["bash", "-c", f"ls {MARKER}"], []]
)
def test_what_only_mentions_a_lab_does_not_belong_to_it(argv):
    assert not belongs(argv, MARKER)


def test_a_sweep_kills_the_lab_s_processes_and_no_other():
    code = "import signal; print(flush=True); signal.pause()"
    command = [sys.executable, "-c", code, "testbed.substrate.keeper", MARKER]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as ours,
        subprocess.Popen([sys.executable, "-c", code, MARKER], stdout=subprocess.PIPE) as other,
    ):
        for child in (ours, other):
            assert child.stdout is not None
            child.stdout.readline()
        assert [process.pid for process in marked(MARKER)] == [ours.pid]
        assert sweep(MARKER) == []
        assert ours.wait(5) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()
