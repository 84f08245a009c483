"""The first process of a guest: it mounts, loads modules, sets the management network up, and becomes the agent.

Run by the guest's init as `python -m testbed.substrate.guest_start SETTING_OUT` (JSON, see `SettingOut`). Starting a
program takes a guest 40 ms, so all is done by system calls, in the process that goes on as the agent.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from testbed import kernel
from testbed.emulator import agent
from testbed.emulator.netlink import Netlink, address, bridge, set_link
from testbed.emulator.uplink import BRIDGE
from testbed.substrate.guest_init import GUEST_FOLDER, SettingOut

NEW_ROOT = "/mnt"
_FIXED = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
_INDEX = 90
"""Of the management bridge; a lab's own devices have higher ones."""
_DEVICE_LINKS = {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}
_KERNEL = {
    "hotplug": "",  # no helper process for each new device: 2 ms each
    "modprobe": "/run/modules/modprobe",
    "hostname": "testbed",
    "panic_on_oops": "1",
}
_ARP_ENTRIES = 1_000_000
"""All namespaces share one table for ARP, of 1024 entries: pings among all pairs of 33 hosts would fill it."""


def main() -> None:
    given: SettingOut = json.loads(sys.argv[1])
    os.umask(0)
    mount(given)
    make_devices()
    load_modules(given["modules"], given["wanted"])
    join_network(given)
    if given["own_root"]:
        take_own_root()
    os.umask(0o022)
    os.chdir(given["project"])
    Path(GUEST_FOLDER, "booted").touch()
    agent.main(given["agent"])
    sys.stdout.flush()
    kernel.power_off()  # the end of process 1 is a panic, and so is whatever fails above: the console says what


def mount(given: SettingOut) -> None:
    """Lay memory over what daemons write, and show what is needed of it.

    An ordinary user's guest sees files of the host's root as nobody's: a set-user-ID program would take root's rights
    away from it. So the root is `nosuid`.
    """
    kernel.mount("none", "/", flags=kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID)
    kernel.mount("proc", "/proc", "proc")
    kernel.mount("sysfs", "/sys", "sysfs", _FIXED)
    for path in given["covered"]:
        kernel.mount("tmpfs", path, "tmpfs", data=f"mode={755 if path == '/run' else 1777}")
    for path in given["shown"]:
        os.makedirs(path, 0o755, exist_ok=True)
        kernel.mount("none", path, "hostfs", kernel.MS_RDONLY, path)
    for path in (GUEST_FOLDER, "/run/lock", "/run/sshd", "/dev/pts", "/dev/shm", "/dev/net"):
        os.makedirs(path, 0o755, exist_ok=True)
    kernel.mount("none", GUEST_FOLDER, "hostfs", data=given["folder"])
    kernel.mount("devpts", "/dev/pts", "devpts", data="gid=5,mode=620,ptmxmode=666")
    kernel.mount("tmpfs", "/dev/shm", "tmpfs", data="mode=1777")


def make_devices() -> None:
    """Make what else programs expect in /dev."""
    os.mknod("/dev/net/tun", 0o666 | stat.S_IFCHR, os.makedev(10, 200))
    for name, target in _DEVICE_LINKS.items():
        os.symlink(target, f"/dev/{name}")


def load_modules(modules: str, wanted: Sequence[str]) -> None:
    """Load modules, and let the kernel load others by itself, from a folder that need not be /lib/modules."""
    folder = Path("/run/modules")
    (folder / "lib/modules").mkdir(0o755, parents=True)
    os.symlink(modules, folder / "lib/modules" / Path(modules).name)
    loader = folder / "modprobe"
    loader.write_text(f'#!/bin/sh\nexec modprobe -d {folder} "$@"\n')
    loader.chmod(0o755)
    for name, value in _KERNEL.items():
        Path("/proc/sys/kernel", name).write_text(f"{value}\n")
    modprobe = os.posix_spawnp("modprobe", ("modprobe", "-d", str(folder), "-a", *wanted), os.environ)
    os.waitpid(modprobe, 0)  # it names what it cannot load on the console
    for limit in glob("/proc/sys/net/ipv[46]/neigh/default/gc_thresh[123]"):
        Path(limit).write_text(str(_ARP_ENTRIES))


def join_network(given: SettingOut) -> None:
    """Bring up the guest's own devices, and a bridge between the management network and the nodes that are managed."""
    hub = Netlink()
    try:
        hub.run(
            [
                *(set_link(socket.if_nametoindex(device), up=True) for device in ("lo", *given["trunks"])),
                bridge(BRIDGE, _INDEX),
                set_link(socket.if_nametoindex("vec0"), mtu=given["mtu"], master=_INDEX, up=True),
                set_link(_INDEX, mtu=given["mtu"]),
                address(_INDEX, given["address"]),
            ]
        )
    finally:
        hub.close()


def take_own_root() -> None:
    """Give an ordinary user's guest a root folder that belongs to the guest's root.

    The host's `/` looks like nobody's there, and programs that check every folder above a file of theirs (sshd's
    StrictModes) trust it no more. All that is in it is bound as it is below a `/` in memory.
    """
    kernel.mount("tmpfs", NEW_ROOT, "tmpfs", data="mode=755")
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), NEW_ROOT + entry.path)
        elif entry.is_dir():
            os.mkdir(NEW_ROOT + entry.path, 0o755)
            if entry.path != NEW_ROOT:
                kernel.mount(entry.path, NEW_ROOT + entry.path, flags=kernel.MS_BIND | kernel.MS_REC)
    old = "/.old"
    os.mkdir(NEW_ROOT + old, 0o700)
    kernel.pivot_root(NEW_ROOT, NEW_ROOT + old)
    os.chdir("/")
    kernel.unmount(old)
    kernel.mount("none", "/", flags=kernel.MS_REMOUNT | kernel.MS_RDONLY, data="mode=755")


if __name__ == "__main__":
    main()
