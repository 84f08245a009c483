"""Devices that adapters talk to, each kind started once for all tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import inventory as inventories
from adapters.keys import new_key
from adapters.ssh import SshTarget, SshTransport
from testbed.emulator.client import Client
from testbed.emulator.lower import build_of
from testbed.emulator.messages import WaitReady
from testbed.lab import Lab
from testbed.model.load import load_topology
from testbed.rack import RackHandle, rack_down, rack_up
from tests.adapters.debian_device import SYSTEMD, DebianDevice, cgroups
from tests.adapters.native_devices import NativeDevice, configuration, pair, target_of


@pytest.fixture(scope="session")
def needs_native() -> None:
    """Skip, naming what lacks, where no device can run in namespaces of this machine."""
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces with an sshd of their own (the rack's tests need none)")
    missing = [program for program in ("/usr/lib/frr/zebra", "/usr/sbin/sshd") if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install frr openssh-server")


@pytest.fixture(scope="session")
def devices(needs_native: None) -> Iterator[tuple[NativeDevice, NativeDevice]]:
    """Two routers r1 and r2 with one link, in namespaces of this machine."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, pair(Path(folder)) as both:
        yield both


@pytest.fixture(scope="session")
def debian() -> Iterator[DebianDevice]:
    """A device that systemd boots, without routing daemons."""
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces in which systemd is process 1")
    if not SYSTEMD.exists() or cgroups() is None:
        pytest.skip("needs systemd and cgroup2: apt-get install systemd; mount -t cgroup2 none /sys/fs/cgroup")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        device = DebianDevice("debian", Path(folder, "debian"), "", *new_key())
        try:
            device.start()
            yield device
        finally:
            device.stop()


@pytest.fixture(scope="session")
def target(devices: tuple[NativeDevice, NativeDevice], tmp_path_factory: pytest.TempPathFactory) -> SshTarget:
    """How r1 is reached."""
    return target_of(devices[0], tmp_path_factory.mktemp("ssh"))


@pytest.fixture
def transport(target: SshTarget) -> Iterator[SshTransport]:
    """A session with r1."""
    transport = SshTransport("r1", target)
    yield transport
    transport.close()


@pytest.fixture(scope="session")
def pair_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same two routers as a topology, with 1 ms of fibre between them."""
    folder = tmp_path_factory.mktemp("pair")
    for number in (1, 2):
        (folder / f"r{number}.conf").write_text(configuration(f"r{number}", number))
    path = folder / "pair.yaml"
    path.write_text(
        "name: pair\n"
        "nodes:\n"
        "  r1: {kind: router, config_file: r1.conf}\n"
        "  r2: {kind: router, config_file: r2.conf}\n"
        "links:\n"
        "  r1-r2: {endpoints: [r1:eth1, r2:eth1], impairment: {delay: 1ms}}\n"
    )
    return path


@pytest.fixture(scope="session")
def rack(uml_works: None, testbed_home: Path, pair_file: Path) -> Iterator[RackHandle]:
    """Those routers as a rack in a guest, reached by SSH alone."""
    handle = rack_up(pair_file, name="pair-rack", substrate="uml", ready_timeout=120.0)
    yield handle
    rack_down(handle.name)


@pytest.fixture(scope="session")
def rack_transport(rack: RackHandle) -> Iterator[SshTransport]:
    """A session with the rack's r1, kept for all tests."""
    transport = SshTransport("r1", inventories.target(rack.inventory(), "r1"))
    yield transport
    transport.close()


@pytest.fixture(scope="module")
def twin_client(guest_lab: Lab, pair_file: Path) -> Iterator[Client]:
    """Those routers as nodes of a lab, reached through the agent."""
    with guest_lab.agent() as client:
        client.call(build_of(load_topology(pair_file)))
        client.call(WaitReady(deadline=60.0))
        yield client
