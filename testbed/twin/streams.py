"""A command that stays on a device, over the connection that its adapter uses."""

from __future__ import annotations

import secrets
import shlex

import paramiko

from adapters.base import Completed
from adapters.ssh import SshTransport
from testbed.dialogue import Lines
from testbed.errors import DeviceError

_READER = (
    'while IFS= read -r file; do IFS= read -r mark; lines=(); mapfile lines <"$file"; code=$?; '
    'printf %s "${lines[@]}"; printf "\\n%s %d\\n" "$mark" "$code"; done'
)
"""bash reads a file by itself (`mapfile`): 4 ms in a User-Mode Linux guest, against 34 ms for a `cat` in a subshell."""


class ChannelStream:
    """A command on a channel of its own: its output, and lines for it."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def read(self) -> bytes:
        """What has come, without waiting.

        Raises:
            EOFError: nothing more will come.
        """
        pieces = []
        while self._channel.recv_ready():
            pieces.append(self._channel.recv(65536))
        if not pieces and (self._channel.eof_received or self._channel.closed):
            raise EOFError("the channel is closed")
        return b"".join(pieces)

    def fileno(self) -> int:
        """A descriptor that is readable when output has come, or will not come any more."""
        return self._channel.fileno()

    def send(self, line: str) -> None:
        """Write a line to the command.

        Raises:
            OSError: the channel is closed, or takes nothing any more.
        """
        self._channel.sendall(line.encode() + b"\n")

    def close(self) -> None:
        """Close the channel; the command ends with its next line (SIGPIPE)."""
        self._channel.close()


class _Reader:
    """A bash that reads files, on a connection; `channel` None where there is none to be had."""

    def __init__(self, ssh: paramiko.Transport) -> None:
        self.ssh = ssh
        self.channel: paramiko.Channel | None = None
        try:
            channel = ssh.open_session(timeout=10.0)
        except paramiko.ChannelException:
            return  # sshd's MaxSessions: the pings come first
        channel.set_combine_stderr(True)
        channel.exec_command(f"command -v bash >/dev/null && exec bash --norc -c {shlex.quote(_READER)}")
        self.channel, self._lines = channel, Lines(channel)

    def read(self, path: str, timeout: float) -> Completed:
        mark = secrets.token_hex(6)
        self._lines.send(f"{path}\n{mark}\n", timeout)
        out, code = self._lines.until(f"\n{mark} ", timeout)
        return Completed(int(code), out)


class StreamingTransport(SshTransport):
    """An `SshTransport` that can also keep commands running."""

    _reader: _Reader | None = None

    def read_file(self, path: str) -> Completed:
        """Read a text file of the device without starting a program for it, where the device has a bash.

        Raises:
            DeviceError: no connection, it broke, or no answer within ten seconds.
        """
        return self._guard(f"reading {path}", lambda: self._read(path)) or self.run(f"exec cat {shlex.quote(path)}")

    def _read(self, path: str) -> Completed | None:
        ssh = self._connected().get_transport()
        if ssh is None:
            raise EOFError("connection lost")
        if self._reader is None or self._reader.ssh is not ssh:
            self._reader = _Reader(ssh)
        try:
            return self._reader.read(path, 10.0) if self._reader.channel else None
        except (EOFError, OSError) as error:
            if isinstance(error, TimeoutError) or not ssh.is_active():
                raise
            self._reader.channel = None  # no bash here, or it was killed: the connection is good
            return None

    def stream(self, command: str) -> ChannelStream:
        """Start a command and leave it running.

        Raises:
            DeviceError: no connection, or the device allows no further channel (sshd's MaxSessions).
        """
        return self._guard(f"starting `{command}`", lambda: self._open(command))

    def _open(self, command: str) -> ChannelStream:
        ssh = self._connected().get_transport()
        if ssh is None:
            raise DeviceError(f"{self.name}: the connection was lost")
        channel = ssh.open_session(timeout=10.0)
        channel.settimeout(10.0)
        channel.set_combine_stderr(True)
        channel.exec_command(command)
        return ChannelStream(channel)
