"""Devices that adapters talk to, started once."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from native_devices import NativeDevice, known_hosts_line, pair, private_key_of

from adapters.ssh import SshTarget, SshTransport


@pytest.fixture(scope="session")
def devices() -> Iterator[tuple[NativeDevice, NativeDevice]]:
    """Two routers r1 and r2 with one link, in namespaces of this machine."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces with an sshd of their own (the rack's tests need none)")
    missing = [program for program in ("/usr/lib/frr/zebra", "/usr/sbin/sshd") if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install frr openssh-server")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, pair(Path(folder)) as both:
        yield both


@pytest.fixture(scope="session")
def target(devices: tuple[NativeDevice, NativeDevice], tmp_path_factory: pytest.TempPathFactory) -> SshTarget:
    """How r1 is reached."""
    known_hosts = tmp_path_factory.mktemp("ssh") / "known_hosts"
    known_hosts.write_text(known_hosts_line(devices[0]))
    return SshTarget("127.0.0.1", devices[0].port, "admin", known_hosts, private_key_of(devices[0]), timeout=5.0)


@pytest.fixture
def transport(target: SshTarget) -> Iterator[SshTransport]:
    """A session with r1."""
    transport = SshTransport("r1", target)
    yield transport
    transport.close()
