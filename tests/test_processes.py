import os
import signal
import subprocess
import sys
import time

import pytest

from testbed import processes
from testbed.processes import Process, alive, end, identify, kill, starved, state, wait


@pytest.fixture
def sleeper():
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def known_as(child: subprocess.Popen) -> Process:
    process = identify(child.pid)
    assert process is not None
    return process


def test_a_process_is_known_by_its_start_time_too(sleeper):
    known = known_as(sleeper)
    assert alive(known)
    assert not alive(Process(known.pid, known.started - 1))


def test_a_zombie_is_not_alive(sleeper):
    known = known_as(sleeper)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not alive(known)


def test_a_stopped_process_says_so(sleeper):
    known = known_as(sleeper)
    os.kill(sleeper.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)
    assert state(known) == "T"


def test_kill_never_hits_a_later_owner_of_a_pid(sleeper):
    known = known_as(sleeper)
    assert kill([Process(known.pid, known.started - 1)]) == []
    assert alive(known)


def test_kill_returns_when_the_process_has_ended(sleeper):
    known = known_as(sleeper)
    assert kill([known]) == []
    assert not alive(known)


def test_what_ends_between_the_check_and_the_signal_counts_as_ended(sleeper, monkeypatch):
    known = known_as(sleeper)

    def seen_alive_for_the_last_time(process):
        assert alive(process)
        sleeper.kill()
        sleeper.wait()
        return True

    monkeypatch.setattr(processes, "alive", seen_alive_for_the_last_time)
    assert kill([known]) == []


def test_what_has_not_ended_in_time_is_named(sleeper):
    known = known_as(sleeper)
    assert wait([known], 0.01) == [known]
    sleeper.kill()
    assert wait([known], 5.0) == []


def test_a_process_is_asked_to_end_before_it_is_killed(sleeper):
    end(known_as(sleeper), 5.0)
    assert sleeper.wait(0) == -signal.SIGTERM


def test_a_process_that_will_not_end_is_killed():
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        end(known_as(child), 0.1)
        assert child.wait(0) == -signal.SIGKILL


def test_the_end_of_a_later_owner_of_a_pid_is_not_asked_for(sleeper):
    known = known_as(sleeper)
    end(Process(known.pid, known.started - 1), 0.1)
    assert alive(known)


def test_what_waits_for_a_processor_says_so_and_what_sleeps_does_not(sleeper):
    spin = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(flush=True)\nwhile True: pass"
    argv = [sys.executable, "-c", spin]
    children = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        one, other = map(known_as, children)
        deadline = time.monotonic() + 20
        while starved(one) + starved(other) < 0.5:  # two on one processor: one of them waits at any time
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert starved(known_as(sleeper)) < 0.5
    finally:
        for child in children:
            child.kill()
            child.communicate()


def test_what_has_ended_does_not_wait_for_a_processor(sleeper):
    known = known_as(sleeper)
    sleeper.kill()
    sleeper.wait()
    assert starved(known) == 0.0
