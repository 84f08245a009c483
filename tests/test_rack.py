"""A rack on this machine's own kernel: managed over SSH like any other, and found, looked at and taken away."""

from __future__ import annotations

import json
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from adapters.inventory import close_all, target
from adapters.ssh import SshTransport
from testbed import rack as racks
from testbed.errors import AddressInUse, BadInput
from testbed.lab import Lab
from testbed.rack import PORT, RackHandle, bench, open_rack, rack_down, rack_up
from testbed.rack_view import plan, state
from testbed.substrate import probe
from testbed.twin.discover import infer, survey
from tests.adapters.native_devices import plain_pair
from tests.cli.commands import call
from tests.substrate.leftovers import assert_gone, traces

NAME = "native-rack"


@pytest.fixture(scope="module")
def needs_native(testbed_home: Path) -> None:
    missing = [program for program in ("/usr/lib/frr/zebra", "/usr/sbin/sshd") if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install frr openssh-server")
    if not (allowed := probe.run("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")


@pytest.fixture(scope="module")
def native_rack(needs_native: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RackHandle]:
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
    assert native_rack.lab().folder.record().endpoints == ()
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


# --- looked at ---


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(testbed_home: Path, tmp_path: Path) -> None:
    would = plan(plain_pair(tmp_path, "planned"), base="127.77.203", substrate="native")
    assert (would.substrate, would.memory) == ("native", None)
    assert [(device.ssh, device.management, device.interfaces) for device in would.devices] == [
        ("127.77.203.1:2022", "10.0.2.101", ("eth1",)),
        ("127.77.203.2:2022", "10.0.2.102", ("eth1",)),
    ]
    assert not Path(would.folder).exists()
    assert "planned" not in {lab.name for lab in Lab.all()}


def test_a_dry_run_is_refused_where_bringing_up_would_be(native_rack: RackHandle, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="exists already"):
        plan(plain_pair(tmp_path, NAME), substrate="native")
    with pytest.raises(BadInput, match="loopback"):
        plan(plain_pair(tmp_path, "elsewhere"), base="10.0.0", substrate="native")


def test_a_rack_s_state_names_the_device_that_is_silent(native_rack: RackHandle) -> None:
    assert state(native_rack).well
    bench(native_rack.name, "power-off", "r2")
    seen = state(native_rack)
    bench(native_rack.name, "power-on", "r2")
    assert {device.name: device.answers for device in seen.devices} == {"r1": True, "r2": False}
    assert not seen.well
    assert "r2" in seen.devices[1].said
    poll, deadline = threading.Event(), time.monotonic() + 30
    while not all(device.full for device in state(native_rack).devices):
        assert time.monotonic() < deadline, "r2 came back, and its neighbour did not become full"
        poll.wait(0.2)


def test_the_commands_of_a_rack_speak_json(native_rack: RackHandle) -> None:
    listed = json.loads(call("rack", "list", "--json").stdout)["racks"]
    seen = {each["rack"]: (each["substrate"], each["liveness"]["alive"]) for each in listed}
    assert seen[NAME] == ("native", True)
    told = json.loads(call("rack", "status", NAME, "--json").stdout)
    assert [device["said"].split()[0] for device in told["devices"]] == ["FRRouting", "FRRouting"]
    said = json.loads(call("rack", "bench", NAME, "status", "--json").stdout)["said"]
    assert "r1 on" in said


# --- addresses that others take ---


def test_two_racks_brought_up_at_once_get_addresses_of_their_own(needs_native: None, tmp_path: Path) -> None:
    names = ("twin-a", "twin-b")
    start = threading.Barrier(len(names))

    def up(name: str) -> RackHandle:
        (tmp_path / name).mkdir()
        file = plain_pair(tmp_path / name, name)
        start.wait(10)
        return rack_up(file, substrate="native")

    with ThreadPoolExecutor() as pool, ExitStack() as undo:
        racks = [pool.submit(up, name) for name in names]
        undo.callback(lambda: [rack_down(rack.result().name) for rack in racks if not rack.exception()])
        bases = [rack.result().inventory().devices["r1"].address for rack in racks]
        assert len(set(bases)) == 2


def test_a_base_taken_between_looking_and_listening_is_passed_over(
    needs_native: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another user's rack comes up in that moment: it looked free, and is not."""
    with socket.create_server(("127.77.200.2", PORT)):
        monkeypatch.setattr(racks, "_free_bases", lambda count: iter(["127.77.200", "127.77.201"]))
        handle = rack_up(plain_pair(tmp_path, "passed-over"), substrate="native")
        try:
            assert handle.inventory().devices["r1"].address == "127.77.201.1"
        finally:
            rack_down(handle.name)


def test_a_base_that_was_asked_for_and_is_taken_is_refused_and_nothing_is_left(
    needs_native: None, tmp_path: Path
) -> None:
    with (
        socket.create_server(("127.77.202.250", PORT)),
        pytest.raises(AddressInUse, match=r"127.77.202.250:2022.*--base"),
    ):
        rack_up(plain_pair(tmp_path, "refused"), base="127.77.202", substrate="native")
    assert "refused" not in {rack.name for rack in racks.racks()} | {lab.name for lab in Lab.all()}
