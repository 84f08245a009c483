"""The tests' other machine: this one behind an sshd of the tests' own, where labs have another state folder."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adapters.keys import new_key
from testbed.substrate.folder import home
from tests.adapters.native_devices import wait_for

PROJECT = Path(__file__).parents[2]
SSHD = "/usr/sbin/sshd"
_CONFIGURATION = """ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized
PidFile none
UsePAM no
PasswordAuthentication no
StrictModes no
PermitRootLogin prohibit-password
MaxSessions 100
SetEnv TESTBED_HOME={state} PYTHONPATH={project}
"""


def state() -> Path:
    """Return the other machine's `TESTBED_HOME`."""
    return home() / "there"


@dataclass(frozen=True)
class Host:
    """`folder`: what the sshd has, and below it a checkout."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def substrate(self, scheme: str = "ssh", checkout: str | None = None) -> str:
        login = pwd.getpwuid(os.getuid()).pw_name
        return f"{scheme}:{login}@127.0.0.1:{self.port}{self.folder / 'checkout' if checkout is None else checkout}"

    def signal_connections(self, number: signal.Signals) -> None:
        """Send a signal to the sshd's process of each connection."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), number)


@contextmanager
def running(folder: Path) -> Iterator[Host]:
    """Start it, trusted and let in by the `ssh_config` of the tests' own state folder."""
    folder.mkdir(mode=0o700)
    host_key, host_public = new_key()
    key, public = new_key()
    for name, text in (("host_key", host_key), ("key", key), ("authorized", public + "\n")):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
    port = _free_port()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_public}\n")
    (home() / "ssh_config").write_text(
        f"IdentityFile {folder}/key\nIdentitiesOnly yes\nIdentityAgent none\n"
        f"UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\n"
    )
    set_up(folder / "checkout")
    configuration = _CONFIGURATION.format(port=port, folder=folder, state=state(), project=PROJECT)
    (folder / "sshd_config").write_text(configuration)
    separate()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", f"{folder}/sshd_config"], stderr=log)
    try:
        wait_for(lambda: "Server listening" in (folder / "log").read_text(), "sshd listens")
        yield Host(folder, port, process)
    finally:
        process.terminate()
        process.wait()
        (home() / "ssh_config").unlink()


def separate() -> None:
    """Make the folder that sshd, when root runs it, gives up its rights in; the machine's ssh service does, if started.

    It stays, as that service's does: tests run side by side.
    """
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)


def set_up(checkout: Path, before: str = "") -> None:
    """Make a checkout with testbed set up in it; `before`: Python that runs first."""
    program = checkout / ".venv/bin/testbed"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\n{before}\nfrom testbed.cli import main\nmain()\n")
    program.chmod(0o755)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
