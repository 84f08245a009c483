"""A command that stays on a device, over the connection that its adapter uses."""

from __future__ import annotations

import paramiko

from adapters.ssh import SshTransport
from testbed.errors import DeviceError


class ChannelStream:
    """Output of a command on a channel of its own."""

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

    def close(self) -> None:
        """Close the channel; the command ends with its next line (SIGPIPE)."""
        self._channel.close()


class StreamingTransport(SshTransport):
    """An `SshTransport` that can also keep commands running."""

    def stream(self, command: str) -> ChannelStream:
        """Start a command and leave it running.

        Raises:
            DeviceError: no connection, or the device allows no further channel (sshd's MaxSessions).
        """
        return self._guard(f"starting {command.split()[1]!r}", lambda: self._open(command))

    def _open(self, command: str) -> ChannelStream:
        ssh = self._connected().get_transport()
        if ssh is None:
            raise DeviceError(f"{self.name}: the connection was lost")
        channel = ssh.open_session(timeout=10.0)
        channel.set_combine_stderr(True)
        channel.exec_command(command)
        return ChannelStream(channel)
