"""A rack on this machine's own kernel: managed over SSH like any other, and found, looked at and taken away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters.inventory import close_all, target
from adapters.ssh import SshTransport
from testbed.rack import RackHandle, bench, open_rack, rack_down, rack_up
from testbed.substrate import probe
from testbed.twin.discover import infer, survey
from tests.adapters.native_devices import plain_pair
from tests.substrate.leftovers import assert_gone, traces

NAME = "native-rack"


@pytest.fixture(scope="module")
def native_rack(testbed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RackHandle]:
    missing = [program for program in ("/usr/lib/frr/zebra", "/usr/sbin/sshd") if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install frr openssh-server")
    if not (allowed := probe.run("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    handle = rack_up(plain_pair(tmp_path_factory.mktemp(NAME), NAME), substrate="native")
    yield handle
    seen = traces(handle.lab().folder)
    rack_down(handle.name)
    assert_gone(seen)


def interfaces() -> list[str]:
    """What this machine's own network is made of."""
    return Path("/proc/net/dev").read_text().split("\n")[2:]


def test_a_native_rack_is_discovered_over_ssh(native_rack: RackHandle) -> None:
    assert native_rack.lab().substrate == "native"
    assert native_rack.lab().liveness().alive
    assert native_rack.lab().folder.endpoint is None
    sessions = native_rack.adapters()
    try:
        facts = survey(sessions)
        found = infer(facts, native_rack.inventory())
    finally:
        close_all(sessions)
    assert set(found.topology.links) == {"r1-r2"}
    assert all(neighbour.full for said in facts.values() for neighbour in said.neighbours)


def test_frames_longer_than_the_wire_s_reach_a_native_device_and_come_back(native_rack: RackHandle) -> None:
    """The kernel hands over TCP in long segments without checksums; what is carried must be whole."""
    long = "0123456789" * 10_000
    with closing(SshTransport("r1", target(native_rack.inventory(), "r1"))) as device:
        assert device.run(f"echo {long}").out == f"{long}\n"


def test_the_bench_of_a_native_rack_cuts_and_mends(native_rack: RackHandle) -> None:
    bench(native_rack.name, "cut", "r1-r2")
    assert "r1-r2 down" in bench(native_rack.name, "status")
    bench(native_rack.name, "mend", "r1-r2")
    assert "r1-r2 up" in bench(native_rack.name, "status")
    assert open_rack(NAME).lab().liveness().alive


def test_a_native_rack_adds_nothing_to_this_machine_s_network(native_rack: RackHandle) -> None:
    names = {line.split(":")[0].strip() for line in interfaces()}
    assert not names & {"mgmt", "uplink", "uplink-wire"}
    assert "10.0.2." not in Path("/proc/net/fib_trie").read_text()
