"""Between commit and confirm something dies: the old configuration comes back by itself, on both families' devices.

`frr` is a router in namespaces of this machine, `linux` a Debian device that systemd boots. The rack's tests do the
same in a kernel of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from adapters.base import Adapter, TransactionState
from adapters.registry import find
from adapters.ssh import SshTransport
from testbed.errors import DeviceError, Refused
from testbed.model.change import InterfaceStep
from tests.adapters.native_devices import NativeDevice, target_of, wait_for

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = 4.0
"""Seconds until the device reverts: time enough to kill somebody."""

_number = count(1)


@dataclass
class Victim:
    """A device with a change committed on it, and nothing confirmed."""

    device: NativeDevice
    adapter: Adapter
    folder: Path
    before: str
    transaction: str

    def lines(self) -> str:
        return self.adapter.render([InterfaceStep(device=self.adapter.name, interface="eth1", description="doomed")])

    def commit(self, revert_after: float) -> None:
        self.adapter.load(self.transaction, self.lines())
        self.adapter.commit(self.transaction, revert_after)
        assert self.on_the_device() != self.before

    def on_the_device(self) -> str:
        """The configuration that a session of its own reads."""
        with closing(self.session()) as session:
            return session.running_config()

    def session(self) -> Adapter:
        return find(self.adapter.family)(SshTransport(self.device.name, target_of(self.device, self.folder)))


@pytest.fixture(params=["frr", "linux"])
def victim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Victim]:
    device = request.getfixturevalue("devices")[0] if request.param == "frr" else request.getfixturevalue("debian")
    adapter = find(request.param)(SshTransport(device.name, target_of(device, tmp_path)))
    victim = Victim(device, adapter, tmp_path, adapter.running_config(), f"kill-{os.getpid()}-{next(_number)}")
    with closing(adapter):
        yield victim
        assert adapter.state(victim.transaction) is TransactionState.REVERTED
        with pytest.raises(Refused):
            adapter.confirm(victim.transaction)
        assert adapter.running_config() == victim.before
        adapter.forget(victim.transaction)


def test_a_lost_connection_reverts(victim: Victim) -> None:
    victim.commit(PATIENCE)
    victim.device.cut_connections()
    with pytest.raises(DeviceError, match="the connection is dropped"):
        victim.adapter.running_config()
    wait_for(lambda: victim.on_the_device() == victim.before, "the old configuration is back", 30.0)


CONTROLLER = """
import sys
from pathlib import Path
from adapters.registry import find
from adapters.secrets import private_key
from adapters.ssh import SshTarget, SshTransport
family, name, port, folder, transaction, lines, patience = sys.argv[1:]
key = private_key(sys.stdin.readline().replace("|", chr(10)), "key")
target = SshTarget("127.0.0.1", int(port), "admin", Path(folder, "known_hosts"), key)
adapter = find(family)(SshTransport(name, target))
adapter.load(transaction, lines)
adapter.commit(transaction, revert_after=float(patience))
print("committed", flush=True)
sys.stdin.read()
"""


def test_a_killed_controller_reverts(victim: Victim) -> None:
    place = (victim.adapter.family, victim.device.name, str(victim.device.port), str(victim.folder))
    command = [sys.executable, "-c", CONTROLLER, *place, victim.transaction, victim.lines(), str(PATIENCE)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as controller:
        assert controller.stdin is not None
        assert controller.stdout is not None
        print(victim.device.key.replace("\n", "|"), file=controller.stdin, flush=True)
        assert controller.stdout.readline() == "committed\n"
        controller.send_signal(signal.SIGKILL)
    assert victim.on_the_device() != victim.before
    wait_for(lambda: victim.on_the_device() == victim.before, "the old configuration is back", 30.0)


def test_a_device_that_loses_power_boots_with_the_old_configuration(victim: Victim) -> None:
    victim.commit(600.0)
    victim.device.power_off()
    with pytest.raises(DeviceError):
        victim.adapter.running_config()
    victim.device.power_on()
    wait_for(lambda: victim.on_the_device() == victim.before, "the old configuration is back", 30.0)


def test_a_timer_that_was_killed_is_made_good_by_the_next_look(victim: Victim) -> None:
    victim.commit(600.0)
    place = kill_timer(victim)
    assert victim.on_the_device() != victim.before
    assert victim.device.inside("sh", f"{place}/txn.sh", "state").strip() == "reverted"


def test_a_dead_timer_is_not_taken_for_who_has_its_number_now(victim: Victim) -> None:
    victim.commit(600.0)
    place = kill_timer(victim)
    look = f"echo $$ >{place}/timer; exec sh {place}/txn.sh state"
    assert victim.device.inside("sh", "-c", look).strip() == "reverted"


def kill_timer(victim: Victim) -> str:
    """Kill the timer on the device; returns the transaction's folder there."""
    place = f"/var/lib/testbed/txn/{victim.transaction}"
    timer = victim.device.inside("cat", f"{place}/timer").strip()
    victim.device.inside("kill", "-9", "--", f"-{timer}")
    return place
