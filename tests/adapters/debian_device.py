"""A Debian device: systemd as process 1 and systemd-networkd for its network, in namespaces of this machine.

Its units are Debian's own files, but only those of the boot and of networkd; whatever else this machine has is hidden
from it. What it writes to /etc/systemd and /var/lib lasts over a loss of power; /run and its kernel's settings do not.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.adapters.native_devices import NativeDevice, wait_for

SYSTEMD = Path("/lib/systemd/systemd")
_UNITS = (
    "basic.target", "multi-user.target", "network-online.target", "network-pre.target", "network.target",
    "shutdown.target", "sysinit.target", "systemd-networkd-wait-online.service", "systemd-networkd.service",
    "systemd-networkd.socket",
)  # fmt: skip
_WANTED = {
    "multi-user.target.wants": "systemd-networkd.service",
    "network-online.target.wants": "systemd-networkd-wait-online.service",
}
_NETWORK = "[Match]\nName=eth1\n[Network]\nAddress=10.7.0.1/24\nLinkLocalAddressing=no\n"
_HARDWARE = "ip link add eth1 type veth peer name wire; ip link set wire up\n"
_BOOT = r"""
set -e
echo 0 >{cgroup}/cgroup.procs
exec unshare -C sh -ec '
mount -t tmpfs none /run
mount -t tmpfs none /tmp
mount -t sysfs -o ro none /sys
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/sshd /run/lock
for place in /etc/init.d /lib/systemd/system-generators; do mount -t tmpfs none $place; done
mount --bind {folder}/units /lib/systemd/system
mount --bind {folder}/etc /etc/systemd
mount --bind {folder}/lib /var/lib
sed "s/^root:.*/admin:*:0:0::\/:\/bin\/sh/" /etc/passwd >/run/passwd
mount --bind /run/passwd /etc/passwd
hostname {name}
ip link set lo up
sh {folder}/hardware
touch {folder}/ready
exec env -i container=testbed PATH=/usr/sbin:/usr/bin:/sbin:/bin {systemd} --system --unit=multi-user.target
'
"""


class DebianDevice(NativeDevice):
    """A device without routing daemons, whose eth1 has 10.7.0.1/24 from networkd; `config` is not used."""

    def boot(self) -> None:
        self.reset()
        self.power_on()

    def power_on(self) -> None:
        self._cgroup.mkdir(exist_ok=True)
        (self.folder / "ready").unlink(missing_ok=True)
        self.run(_BOOT.format(folder=self.folder, name=self.name, cgroup=self._cgroup, systemd=SYSTEMD))
        wait_for((self.folder / "ready").exists, f"{self.name} starts systemd")
        wait_for(self._has_booted, f"{self.name} boots", 40.0)

    def power_off(self) -> None:
        self.cut_connections()
        self.kill()

    def stop(self) -> None:
        super().stop()
        wait_for(lambda: "populated 0" in (self._cgroup / "cgroup.events").read_text(), f"{self.name} is dead")
        for folder in sorted((path for path in self._cgroup.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        self._cgroup.rmdir()

    def reset(self) -> None:
        """Bring the device, while it is off, to the state in which it left the factory."""
        for name in ("units", "etc", "lib"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / "hardware").write_text(_HARDWARE)
        for name in ("units", "etc/system", "etc/network", "lib/testbed"):
            (self.folder / name).mkdir(parents=True)
        for unit in _UNITS:
            shutil.copy(Path("/lib/systemd/system", unit), self.folder / "units")
        for target, unit in _WANTED.items():
            wants = self.folder / "etc/system" / target
            wants.mkdir()
            (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")
        (self.folder / "etc/network/eth1.network").write_text(_NETWORK)

    def plug_in(self, commands: str) -> None:
        """More hardware, there from the next boot on."""
        with (self.folder / "hardware").open("a") as file:
            file.write(f"{commands}\n")

    def _has_booted(self) -> bool:
        return self.inside("systemctl", "is-system-running", check=False).strip() in {"running", "degraded"}

    @property
    def _cgroup(self) -> Path:
        place = cgroups()
        assert place is not None
        return place / f"{self.folder.parent.name}-{self.name}"


def cgroups() -> Path | None:
    """Where cgroup2 is mounted here."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return next((Path(words[1]) for words in mounts if words[2] == "cgroup2"), None)
