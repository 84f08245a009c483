"""A device's shell over SSH: one connection, one `/bin/sh` and one `vtysh` kept open on it.

Starting a program on a device is dear (0.7 s for a vtysh in a User-Mode Linux guest), asking one that runs is cheap
(5 ms), so both channels live as long as the connection. A connection that fails is dropped and the call raises; the
next call connects anew. Nothing here retries: what a lost answer means is the caller's to decide.
"""

from __future__ import annotations

import base64
import logging
import secrets as random
import shlex
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import paramiko

from adapters import host_keys
from adapters.base import Completed
from testbed.dialogue import Lines, ask_vtysh
from testbed.errors import BadInput, DeviceError

_T = TypeVar("_T")

KEEPALIVE = 5
"""Seconds between keep-alive messages on an idle connection."""

logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class SshTarget:
    """Where a device is and what proves who is who. `key` and `password` never show in a `repr`.

    `timeout`: seconds for connecting, and again for authenticating. `known_hosts`: OpenSSH's format.
    """

    address: str
    port: int
    user: str
    known_hosts: Path
    key: paramiko.PKey | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    timeout: float = 10.0

    def host(self) -> str:
        """The name this host has in a known_hosts file."""
        return host_keys.host_name(self.address, self.port)


class SshTransport:
    """The `Transport` of real devices. Safe to call from several threads; calls take turns."""

    def __init__(self, name: str, target: SshTarget) -> None:
        self.name = name
        self._target = target
        self._lock = threading.RLock()
        self._client: paramiko.SSHClient | None = None
        self._shell: _Program | None = None
        self._vtysh: _Program | None = None

    def run(self, command: str, timeout: float = 10.0) -> Completed:
        """Run a POSIX shell command line in a subshell, without input.

        Args:
            command: one or more lines of sh; a leading `exec` saves a fork.
            timeout: seconds; when they pass the connection is dropped, and with it the command.

        Raises:
            DeviceError: no connection, it broke, or the time passed.
        """
        return self._guard("running a command", lambda: self._run(command, timeout))

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Write a file on the device, synced, replaced atomically; its folder must exist."""
        new, old = shlex.quote(path + ".new"), shlex.quote(path)
        text = base64.encodebytes(data).decode()
        done = self.run(
            f"umask 077; base64 -d >{new} <<'END-OF-FILE' && chmod {mode:o} {new} && sync {new} && mv -f {new} {old}\n"
            f"{text}END-OF-FILE\n",
            timeout=30.0,
        )
        if done.code:
            raise DeviceError(f"{self.name}: cannot write {path}: {done.out.strip()}")

    def vtysh(self, commands: Sequence[str], timeout: float = 10.0) -> list[str]:
        """Ask the vtysh kept open; all commands travel together.

        Returns:
            One output a command.

        Raises:
            DeviceError: a command was rejected (`% Unknown command` and its like), or the connection failed.
        """
        outputs = self._guard("asking vtysh", lambda: self._ask(commands, timeout))
        for command, output in zip(commands, outputs, strict=True):
            check_accepted(self.name, command, output)
        return outputs

    def host_key(self) -> str:
        """The host key this connection was made with, checked strictly: its type and OpenSSH's SHA-256 fingerprint."""
        return self._guard("asking for the host key", self._host_key)

    def close(self) -> None:
        """Drop the connection; a later call would connect anew."""
        with self._lock:
            client, self._client, self._shell, self._vtysh = self._client, None, None, None
        if client is not None:
            client.close()

    def _guard(self, doing: str, act: Callable[[], _T]) -> _T:
        with self._lock:
            try:
                return act()
            except (OSError, EOFError, paramiko.SSHException) as error:
                self.close()
                why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
                where = f"{self.name} ({self._target.host()})"
                raise DeviceError(f"{where}: {doing} failed: {why}; the connection is dropped") from None

    def _run(self, command: str, timeout: float) -> Completed:
        if self._shell is None:
            self._shell = _Program(self._connected(), "exec /bin/sh", self._target.timeout)
        marker = random.token_hex(12)
        self._shell.send(
            f"( eval {shlex.quote(command)} ) </dev/null 2>&1; printf '\\n%s %d\\n' {marker} $?\n", timeout
        )
        out, code = self._shell.until(f"\n{marker} ", timeout)
        return Completed(int(code), out)

    def _ask(self, commands: Sequence[str], timeout: float) -> list[str]:
        if self._vtysh is None:
            self._vtysh = _Program(self._connected(), "VTYSH_PAGER=cat exec vtysh", self._target.timeout)
            ask_vtysh(self._vtysh, ("terminal length 0",), timeout)
        return ask_vtysh(self._vtysh, commands, timeout).outputs

    def _host_key(self) -> str:
        transport = self._connected().get_transport()
        if transport is None:
            raise EOFError("connection lost")
        return host_keys.describe(transport.get_remote_server_key())

    def _connected(self) -> paramiko.SSHClient:
        transport = self._client.get_transport() if self._client else None
        if self._client is None or transport is None or not transport.is_active():
            self.close()
            self._client = _connect(self.name, self._target)
        return self._client


def execute(name: str, target: SshTarget, command: str, timeout: float = 30.0) -> Completed:
    """Run one command over a connection of its own, for hosts that do not give a shell.

    Raises:
        DeviceError: it cannot be reached, or did not end within `timeout` seconds.
    """
    client = _connect(name, target)
    try:
        channel = _Program(client, command, timeout)
        out, code = channel.end(timeout)
        return Completed(code, out)
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise DeviceError(
            f"{name} ({target.host()}): {command!r} failed: {str(error) or 'no answer in time'}"
        ) from None
    finally:
        client.close()


def check_accepted(device: str, command: str, output: str) -> None:
    """Raise DeviceError when vtysh's output says that it did not take the command."""
    for line in output.splitlines():
        if line.startswith("% "):
            raise DeviceError(f"{device}: vtysh rejected {command!r}: {line[2:].strip()}")


class _Program(Lines):
    """A program on a channel of its own."""

    def __init__(self, client: paramiko.SSHClient, command: str, timeout: float) -> None:
        transport = client.get_transport()
        if transport is None:
            raise EOFError("connection lost")
        self._channel = transport.open_session(timeout=timeout)
        self._channel.settimeout(timeout)
        self._channel.set_combine_stderr(True)
        self._channel.exec_command(command)
        super().__init__(self._channel)

    def end(self, timeout: float) -> tuple[str, int]:
        """Read to the end; return what was said, and the exit status."""
        deadline = time.monotonic() + timeout
        while self.receive(deadline, ending=True):
            pass
        if not self._channel.status_event.wait(max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        return self.pending, self._channel.recv_exit_status()


class _Enrol(paramiko.MissingHostKeyPolicy):
    """Refuses a host whose key nobody enrolled, and says how to."""

    def __init__(self, name: str, target: SshTarget) -> None:
        self._name, self._target = name, target

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        target = self._target
        raise DeviceError(
            f"{self._name}: the host key of {target.host()} is not in {target.known_hosts}; it offered "
            f"{host_keys.describe(key)}. `testbed rack enrol INVENTORY {self._name}` enrols it, once you have compared "
            "that with what the device's own console prints"
        )


def _connect(name: str, target: SshTarget) -> paramiko.SSHClient:
    client = paramiko.SSHClient()
    _load_host_keys(client, name, target)
    client.set_missing_host_key_policy(_Enrol(name, target))
    try:
        client.connect(
            target.address, target.port, target.user, pkey=target.key, password=target.password, allow_agent=False,
            look_for_keys=False, timeout=target.timeout, banner_timeout=target.timeout, auth_timeout=target.timeout,
            channel_timeout=target.timeout,
        )  # fmt: skip
        transport = client.get_transport()
        if transport is None:
            raise EOFError("closed while connecting")
        transport.set_keepalive(KEEPALIVE)
    except BaseException as error:
        client.close()
        raise _explained(error, name, target) from None
    return client


def _load_host_keys(client: paramiko.SSHClient, name: str, target: SshTarget) -> None:
    try:
        client.load_host_keys(str(target.known_hosts))
    except FileNotFoundError:
        raise BadInput(
            f"{name}: there is no known_hosts file {target.known_hosts}; `testbed rack enrol INVENTORY` makes it"
        ) from None
    except OSError as error:
        raise BadInput(f"{name}: cannot read the known_hosts file {target.known_hosts}: {error.strerror}") from None


def _explained(error: BaseException, name: str, target: SshTarget) -> BaseException:
    where = f"{name} ({target.host()})"
    match error:
        case paramiko.BadHostKeyException():
            return DeviceError(
                f"{where}: THE HOST KEY HAS CHANGED. In {target.known_hosts} is "
                f"{host_keys.describe(error.expected_key)}, offered was {host_keys.describe(error.key)}. Either the "
                "device was replaced or somebody stands in between; nothing was sent. Compare with the device's "
                f"console, then `testbed rack enrol INVENTORY {name} --replace --fingerprint SHA256:...`"
            )
        case paramiko.AuthenticationException():
            return DeviceError(f"{where}: it refused user {target.user!r} with the credential of the inventory")
        case TimeoutError() | socket.gaierror() | OSError() | paramiko.SSHException() | EOFError():
            return DeviceError(f"{where}: cannot connect: {str(error) or 'no answer in time'}")
        case _:
            return error
