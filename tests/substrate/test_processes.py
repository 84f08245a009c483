import os
import signal
import subprocess
import sys

import pytest

from testbed.substrate import processes
from testbed.substrate.processes import Process, alive, belongs, identify, kill, marked, state

MARKER = "testbed-0123456789ab"


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def test_a_process_is_known_by_its_start_time_too(sleeper):
    known = identify(sleeper.pid)
    assert known is not None
    assert alive(known)
    assert not alive(Process(known.pid, known.started - 1))


def test_a_zombie_is_not_alive(sleeper):
    known = identify(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(known)


def test_a_stopped_process_says_so(sleeper):
    known = identify(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
    assert state(known) == "T"


def test_kill_never_hits_a_later_owner_of_a_pid(sleeper):
    known = identify(sleeper.pid)
    assert known is not None
    assert kill([Process(known.pid, known.started - 1)]) == []
    assert alive(known)


def test_kill_returns_when_the_process_has_ended(sleeper):
    known = identify(sleeper.pid)
    assert known is not None
    assert kill([known]) == []
    assert not alive(known)


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


def test_a_sweep_kills_the_lab_s_processes_and_no_other(sleeper):
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
        assert processes.sweep(MARKER) == []
        assert ours.wait(5) == -signal.SIGKILL
        assert other.poll() is None
        other.kill()
