"""Notices of links: what is told is heard at once, what ends is no notice, and nothing stays behind."""

import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from testbed.errors import DeviceError
from testbed.processes import alive, identify
from testbed.twin.notices import COMMAND, Ears, Notices


class Line:
    """A stream over a socket pair: `device` is the far end."""

    def __init__(self):
        self.ours, self.device = socket.socketpair()

    def fileno(self):
        return self.ours.fileno()

    def read(self):
        data = self.ours.recv(65536)
        if not data:
            raise EOFError("the channel is closed")
        return data

    def close(self):
        self.ours.close()


@pytest.fixture
def line():
    made = Line()
    yield made
    made.ours.close()
    made.device.close()


@pytest.fixture
def notices(line):
    made = Notices("r1", lambda: line)
    yield made
    made.close()


@pytest.fixture
def ears(notices):
    made = Ears([notices])
    yield made
    made.close()


def test_what_a_device_tells_ends_the_waiting_at_once(notices, ears, line):
    notices.listen()
    assert notices.heard
    line.device.sendall(b"3: eth1: <NO-CARRIER>\n")
    assert ears.wait(30)
    started = time.monotonic()
    assert not ears.wait(0.05)
    assert time.monotonic() - started >= 0.05


def test_what_is_no_reason_to_look_does_not_end_the_waiting(notices, ears, line):
    class Chatter(Notices):
        heard_so_far = 0

        def hear(self):
            super().hear()
            self.heard_so_far += 1
            return self.heard_so_far == 3

    chatter = Chatter("r1", lambda: line)
    chatter.listen()
    listening = Ears([notices, chatter])
    for delay in (0.02, 0.06, 0.1):
        threading.Timer(delay, line.device.sendall, (b"[1.0] 64 bytes\n",)).start()
    assert listening.wait(30)
    assert chatter.heard_so_far == 3
    chatter.close()
    listening.close()


def test_a_line_that_ends_is_no_notice_and_is_not_tried_again_until_the_device_was_away(line):
    again = Line()
    lines = [line, again]
    notices = Notices("r1", lambda: lines.pop(0))
    ears = Ears([notices])
    notices.listen()
    line.device.close()
    assert not ears.wait(0.2)
    notices.listen()
    assert not notices.heard
    notices.lost()
    notices.listen()
    assert (notices.heard, lines) == (True, [])
    notices.close()
    ears.close()
    again.device.close()


def test_a_device_that_allows_no_channel_is_left_to_the_polls(line):
    def refused():
        raise DeviceError("r1: administratively prohibited")

    notices = Notices("r1", refused)
    notices.listen()
    assert not notices.heard
    assert not notices.filenos()
    notices.close()


def test_waking_ends_the_waiting_for_good(ears):
    threading.Timer(0.05, ears.wake).start()
    assert not ears.wait(30)
    assert not ears.wait(30)


def test_the_command_on_the_device_ends_with_its_channel():
    ours, theirs = socket.socketpair()
    shell = subprocess.Popen(
        ["/bin/sh", "-c", COMMAND], stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True
    )
    theirs.close()
    monitor = None
    deadline = time.monotonic() + 10
    while monitor is None:
        assert time.monotonic() < deadline
        children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
        monitor = identify(int(children[0])) if children else None
    ours.shutdown(socket.SHUT_WR)
    shell.wait(timeout=10)
    while alive(monitor):
        assert time.monotonic() < deadline
    ours.close()


def test_nothing_stays_open(line):
    before = len(os.listdir("/proc/self/fd"))
    notices = Notices("r1", lambda: line)
    Ears([notices]).close()
    notices.close()
    assert len(os.listdir("/proc/self/fd")) == before
