"""A rack of real routers, and what happens to a change when its connection, its controller or its device dies."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from adapters.base import Adapter, Facts, TransactionState
from adapters.frr import FrrAdapter
from adapters.inventory import connect
from adapters.inventory import target as target_of
from adapters.ssh import SshTransport
from testbed.errors import BadInput, DeviceError, Refused, Unable
from testbed.model.change import InterfaceStep
from testbed.rack import RackHandle, bench, open_rack, rack_up, racks

PROJECT = Path(__file__).resolve().parents[2]
LINES = "interface eth1\n ip ospf cost 77\nexit\n"

pytestmark = [pytest.mark.guest, pytest.mark.timeout(300)]


@contextmanager
def session(rack: RackHandle, device: str = "r1") -> Iterator[Adapter]:
    with closing(connect(rack.inventory(), device)) as adapter:
        yield adapter


def until(holds, what: str, seconds: float = 60.0) -> None:
    """Poll `holds()`; a device that does not answer yet is asked again."""
    pause, deadline = threading.Event(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except DeviceError:
            pass
        pause.wait(0.3)
    pytest.fail(f"not within {seconds} s: {what}")


def full(facts: Facts) -> bool:
    return bool(facts.neighbours) and all(neighbour.full for neighbour in facts.neighbours)


def test_the_only_way_in_is_ssh(rack: RackHandle) -> None:
    with pytest.raises(Unable, match="SSH alone"):
        rack.lab().agent()
    with session(rack) as r1, session(rack, "r2") as r2:
        assert full(r1.collect())
        assert full(r2.collect())


def test_secrets_are_kept_and_the_inventory_has_none(rack: RackHandle) -> None:
    assert stat.S_IMODE(rack.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in rack.folder.iterdir()} == {0o600}
    text = rack.inventory_path.read_text()
    assert "PRIVATE" not in text
    assert "bench" not in text
    assert [found.name for found in racks()] == ["pair-rack"]


def test_what_delays_the_wire_delays_the_packets(rack: RackHandle) -> None:
    with session(rack) as r1:
        assert all(0.002 <= rtt < 0.1 for rtt in r1.ping("10.255.0.2", count=10).rtt)


def test_a_cut_wire_takes_carrier_and_neighbour_and_a_mended_one_gives_them_back(rack: RackHandle) -> None:
    with session(rack) as r1:
        bench(rack.name, "cut", "r1-r2")
        until(lambda: not next(i for i in r1.counters().interfaces if i.name == "eth1").carrier, "carrier lost")
        until(lambda: not r1.counters().neighbours, "neighbour lost")
        bench(rack.name, "mend", "r1-r2")
        until(lambda: full(r1.collect()), "neighbour full again")


def test_the_bench_names_what_it_does_not_know(rack: RackHandle) -> None:
    with pytest.raises(BadInput, match="did you mean 'r1-r2'"):
        bench(rack.name, "cut", "r1-r")
    with pytest.raises(BadInput, match="the bench does not know"):
        bench(rack.name, "explode")


def test_a_rack_of_the_same_name_is_refused(rack: RackHandle, pair_file: Path) -> None:
    with pytest.raises(BadInput, match="exists already"):
        rack_up(pair_file, name=rack.name)
    with pytest.raises(BadInput, match="did you mean 'pair-rack'"):
        open_rack("pair-rak")


def test_losing_the_connection_reverts_by_itself(rack: RackHandle) -> None:
    transport = SshTransport("r1", target_of(rack.inventory(), "r1"))
    adapter = FrrAdapter(transport)
    before = adapter.config_hash()
    adapter.load("lost-connection", LINES)
    adapter.commit("lost-connection", revert_after=10.0)
    server = transport.run("echo $PPID").out.strip()
    with session(rack) as other:
        assert other.config_hash() != before
        assert isinstance(other, FrrAdapter)
        other._transport.run(f"kill -9 {server}")
        with pytest.raises(DeviceError, match="the connection is dropped"):
            transport.run("true")
        until(lambda: other.config_hash() == before, "the old configuration is back")
        assert other.state("lost-connection") is TransactionState.REVERTED
        with pytest.raises(Refused):
            other.confirm("lost-connection")
        other.forget("lost-connection")
    transport.close()


CONTROLLER = """
import sys
from adapters.inventory import connect
from testbed.rack import open_rack
adapter = connect(open_rack(sys.argv[1]).inventory(), "r1")
adapter.load("killed-controller", sys.argv[2])
adapter.commit("killed-controller", revert_after=10.0)
print("committed", flush=True)
sys.stdin.read()
"""


def test_killing_the_controller_reverts_by_itself(rack: RackHandle) -> None:
    with session(rack) as adapter:
        before = adapter.config_hash()
        command = [sys.executable, "-c", CONTROLLER, rack.name, LINES]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=PROJECT
        ) as controller:
            assert controller.stdout is not None
            assert controller.stdout.readline() == b"committed\n"
            controller.send_signal(signal.SIGKILL)
            controller.wait()
        assert adapter.config_hash() != before
        until(lambda: adapter.config_hash() == before, "the old configuration is back")
        assert adapter.state("killed-controller") is TransactionState.REVERTED
        adapter.forget("killed-controller")


def test_a_device_that_loses_power_comes_back_with_the_old_configuration(rack: RackHandle) -> None:
    with session(rack) as adapter:
        before = adapter.config_hash()
        adapter.load("lost-power", LINES)
        adapter.commit("lost-power", revert_after=600.0)
        assert adapter.config_hash() != before
        bench(rack.name, "power-off", "r1")
        with pytest.raises(DeviceError):
            adapter.config_hash()
        bench(rack.name, "power-on", "r1")
        until(lambda: adapter.config_hash() == before, "r1 is back with its old configuration", 120.0)
        assert adapter.state("lost-power") is TransactionState.REVERTED
        with pytest.raises(Refused):
            adapter.confirm("lost-power")
        adapter.forget("lost-power")
        until(lambda: full(adapter.collect()), "neighbour full again", 120.0)


def test_a_confirmed_change_survives_a_loss_of_power(rack: RackHandle) -> None:
    with session(rack) as adapter:
        before = adapter.config_hash()
        adapter.load("kept", adapter.render([InterfaceStep(device="r1", interface="eth1", cost=78)]))
        adapter.commit("kept", revert_after=60.0)
        adapter.confirm("kept")
        after = adapter.config_hash()
        bench(rack.name, "power-off", "r1")
        bench(rack.name, "power-on", "r1")
        until(lambda: adapter.config_hash() == after, "r1 is back with its new configuration", 120.0)
        assert adapter.state("kept") is TransactionState.CONFIRMED
        adapter.rollback("kept")
        assert adapter.config_hash() == before
        adapter.forget("kept")


@pytest.mark.parametrize("base", ["10.0.0", "127.77", "127.77.300", "localhost"])
def test_a_rack_listens_on_loopback_only(testbed_home: Path, pair_file: Path, base: str) -> None:
    with pytest.raises(BadInput, match="expected the first three numbers of a loopback network"):
        rack_up(pair_file, name="elsewhere", base=base)
    assert "elsewhere" not in [found.name for found in racks()]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("interface eth1\\n ip address 10.0.2.1/30\\n", "10.0.2.0/24 is the rack's management network"),
        ("", "a rack has a bench of its own"),
    ],
)
def test_a_topology_that_cannot_be_a_rack_is_refused(
    testbed_home: Path, tmp_path: Path, config: str, message: str
) -> None:
    node = "r1" if config else "bench"
    file = tmp_path / "rack.yaml"
    file.write_text(f'name: no-rack\nnodes:\n  {node}: {{kind: router, config: "{config or "hostname x"}"}}\n')
    with pytest.raises(BadInput, match=message):
        rack_up(file)
    assert "no-rack" not in [found.name for found in racks()]
