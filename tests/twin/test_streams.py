"""Reading a device's files by a program that stays: the lines a device's bash gets, and what is done without one."""

import socket
import subprocess
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest

from adapters.base import Completed
from adapters.device_tools import ReadsFiles, read_counters
from adapters.ssh import SshTarget
from testbed.errors import DeviceError
from testbed.twin.streams import StreamingTransport


class Connection:
    """A connection whose channels are programs of this machine; `refuse` as at sshd's MaxSessions."""

    def __init__(self, path: str | None = None, refuse: bool = False):
        self.path, self.refuse = path, refuse
        self.started: list[subprocess.Popen[bytes]] = []
        self.ends: list[socket.socket] = []

    def is_active(self):
        return True

    def open_session(self, timeout: float) -> Any:
        if self.refuse:
            raise paramiko.ChannelException(1, "administratively prohibited")
        ours, theirs = socket.socketpair()
        self.ends.append(ours)

        def start(command: str) -> None:
            environment = {"PATH": self.path or "/usr/bin:/bin"}
            argv, end = ["/bin/sh", "-c", command], theirs.fileno()
            self.started.append(subprocess.Popen(argv, stdin=end, stdout=end, stderr=end, env=environment))
            theirs.close()

        return SimpleNamespace(
            exec_command=start, set_combine_stderr=lambda _: None, settimeout=ours.settimeout, sendall=ours.sendall,
            recv=ours.recv, close=ours.close,
        )  # fmt: skip


@pytest.fixture
def made(tmp_path, monkeypatch):
    opened: list[Connection] = []

    def make(**options: Any) -> tuple[Any, Connection]:
        transport = StreamingTransport("r1", SshTarget("127.0.0.1", 9, "admin", tmp_path / "known_hosts"))
        connection = Connection(**options)
        opened.append(connection)
        monkeypatch.setattr(transport, "_connected", lambda: SimpleNamespace(get_transport=lambda: connection))
        monkeypatch.setattr(transport, "run", lambda command: Completed(0, f"ran {command}"))
        return transport, connection

    yield make
    for connection in opened:
        for program in connection.started:
            program.kill()
            program.wait()
        for end in connection.ends:
            end.close()


def test_one_program_reads_files_again_and_again(made, tmp_path):
    transport, connection = made()
    file = tmp_path / "some"
    for text in ("one\n", "", "two\nlines, % and \\n in them"):
        file.write_text(text)
        assert transport.read_file(str(file)) == Completed(0, text)
    assert len(connection.started) == 1
    gone = transport.read_file(str(tmp_path / "gone"))
    assert gone.code != 0
    assert "No such file" in gone.out


def test_counters_are_read_by_it(made):
    transport, connection = made()
    _, counters = read_counters(transport)
    assert isinstance(transport, ReadsFiles)
    assert "lo" in counters
    assert len(connection.started) == 1


def test_a_file_that_cannot_be_read_is_an_error_not_zero_traffic(made, monkeypatch):
    transport, _ = made()
    monkeypatch.setattr(transport, "read_file", lambda path: Completed(1, "no such file"))
    with pytest.raises(DeviceError, match="no such file"):
        read_counters(transport)


@pytest.mark.parametrize("options", [{"path": "/nowhere"}, {"refuse": True}])
def test_without_a_bash_or_a_channel_for_it_a_command_is_run(made, options):
    transport, connection = made(**options)
    for _ in range(2):
        assert transport.read_file("/proc/net/dev").out == "ran exec cat /proc/net/dev"
    assert len(connection.started) <= 1
