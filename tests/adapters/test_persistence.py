"""What a restart brings back on a Debian device: systemd, networkd, and the unit that the `linux` adapter installs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from adapters import linux_boot
from adapters.base import Capability, TransactionState
from adapters.linux import LinuxAdapter
from adapters.ssh import SshTransport
from testbed.errors import DeviceError, Refused
from tests.adapters.debian_device import DebianDevice
from tests.adapters.native_devices import target_of

LINES = """link set dev eth1 mtu 1400
link set dev eth1 alias "changed by a test"
address add 10.8.0.1/24 dev eth1
address del 10.7.0.1/24 dev eth1
route add 10.9.0.0/16 via 10.8.0.2 dev eth1
"""


@pytest.fixture
def device(debian: DebianDevice) -> DebianDevice:
    """As it left the factory: nothing was ever changed on it."""
    debian.power_off()
    debian.reset()
    debian.power_on()
    return debian


@pytest.fixture
def adapter(device: DebianDevice, tmp_path: Path) -> Iterator[LinuxAdapter]:
    with closing(LinuxAdapter(SshTransport("debian", target_of(device, tmp_path)))) as adapter:
        yield adapter


def restart(device: DebianDevice, adapter: LinuxAdapter) -> None:
    device.power_off()
    with pytest.raises(DeviceError):
        adapter.running_config()
    device.power_on()


def confirmed(adapter: LinuxAdapter, transaction: str) -> str:
    adapter.load(transaction, LINES)
    adapter.commit(transaction, revert_after=60.0)
    adapter.confirm(transaction)
    return adapter.running_config()


def test_persistence_is_declared(adapter: LinuxAdapter) -> None:
    assert Capability.PERSISTENCE in adapter.capabilities


def test_a_confirmed_change_is_there_after_a_restart_and_still_when_forgotten(
    device: DebianDevice, adapter: LinuxAdapter
) -> None:
    before, after = adapter.running_config(), confirmed(adapter, "kept")
    assert before != after
    restart(device, adapter)
    assert adapter.running_config() == after
    assert adapter.state("kept") is TransactionState.CONFIRMED
    adapter.forget("kept")
    restart(device, adapter)
    assert adapter.running_config() == after


def test_power_lost_before_the_confirmation_brings_the_old_configuration(
    device: DebianDevice, adapter: LinuxAdapter
) -> None:
    before = adapter.running_config()
    adapter.load("lost", LINES)
    adapter.commit("lost", revert_after=600.0)
    assert adapter.running_config() != before
    restart(device, adapter)
    assert adapter.running_config() == before
    assert adapter.state("lost") is TransactionState.REVERTED
    with pytest.raises(Refused):
        adapter.confirm("lost")
    adapter.forget("lost")
    assert traces(device) == []


def test_what_was_never_confirmed_leaves_nothing_on_the_device(device: DebianDevice, adapter: LinuxAdapter) -> None:
    before = adapter.running_config()
    confirmed(adapter, "rolled-back")
    assert len(traces(device)) == 5
    adapter.rollback("rolled-back")
    assert adapter.running_config() == before
    adapter.forget("rolled-back")
    assert traces(device) == []
    restart(device, adapter)
    assert adapter.running_config() == before


def test_forgetting_a_reverted_transaction_keeps_what_another_has_confirmed(
    device: DebianDevice, adapter: LinuxAdapter
) -> None:
    adapter.load("first", LINES)
    adapter.commit("first", revert_after=60.0)
    adapter.rollback("first")
    after = confirmed(adapter, "second")
    adapter.forget("first")
    adapter.forget("second")
    restart(device, adapter)
    assert adapter.running_config() == after


def test_a_restart_leaves_interfaces_alone_that_came_after_the_confirmation(
    device: DebianDevice, adapter: LinuxAdapter
) -> None:
    confirmed(adapter, "older")
    device.plug_in(
        "ip link add eth2 type veth peer name wire2; ip address add 10.99.0.1/24 dev eth2; ip link set eth2 up"
    )
    restart(device, adapter)
    assert "address add 10.99.0.1/24 dev eth2" in adapter.running_config()
    assert "address add 10.8.0.1/24 dev eth1" in adapter.running_config()


def test_what_a_restart_could_not_restore_is_said_by_the_unit(device: DebianDevice, adapter: LinuxAdapter) -> None:
    confirmed(adapter, "spoilt")
    device.inside("sh", "-c", f"echo 'route add 10.66.0.0/16 via 192.0.2.1 dev eth1' >>{linux_boot.STARTUP}")
    restart(device, adapter)
    assert device.inside("systemctl", "is-failed", linux_boot.UNIT).strip() == "failed"
    assert "address add 10.8.0.1/24 dev eth1" in adapter.running_config()


def traces(device: DebianDevice) -> list[str]:
    """What the adapter has put on the device, outside of transactions."""
    wants = "/etc/systemd/system/multi-user.target.wants"
    names = ("startup.ip", "restore", "now", "kept")
    places = [f"/etc/systemd/system/{linux_boot.UNIT}", f"{wants}/{linux_boot.UNIT}"]
    places += [f"{linux_boot.FOLDER}/{name}" for name in names]
    return device.inside("sh", "-c", f"ls -d {' '.join(places)} 2>/dev/null", check=False).split()
