"""What a guest runs first: a script that mounts, loads modules, sets up the management network, starts the agent."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
GUEST_FOLDER = "/run/testbed"
NEW_ROOT = "/mnt"
AGENT = "testbed.emulator.agent"
AGENT_PORT = 7000

# Where daemons write: memory is laid over these of the host's folders that exist.
WRITABLE = ("/run", "/tmp", "/var/tmp", "/var/log", "/var/lib/frr", "/var/lib/openvswitch", "/var/spool", "/var/cache")

# Needed by every lab. All others are loaded by the kernel itself when they are first used.
MODULES = (
    "ipv6", "veth", "bridge", "sch_netem", "sch_ingress", "sch_htb", "sch_tbf", "sch_fq_codel", "cls_u32", "cls_bpf",
    "act_mirred",
)  # fmt: skip
MODULES_ON_DEMAND = (
    "sctp", "openvswitch", "vrf", "dummy", "tun", "ifb", "mpls_router", "mpls_iptunnel", "vxlan", "8021q", "overlay",
    "gtp", "macvlan", "bonding", "nf_tables", "sch_fq", "sch_cake",
)  # fmt: skip


def python_environment() -> dict[str, str]:
    """Return the environment of the agent: this project, nothing written beside its sources."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(PROJECT),
    }


def writable_folders() -> tuple[str, ...]:
    """Return the folders that memory is laid over on this machine."""
    return tuple(path for path in WRITABLE if os.path.isdir(path) and not os.path.islink(path))


def hidden_paths(covered: tuple[str, ...], *others: str) -> tuple[str, ...]:
    """Return what the agent needs (this project, its interpreter, others) that memory hides, to be shown again."""
    needed = dict.fromkeys(str(Path(path).absolute()) for path in (PROJECT, sys.prefix, sys.base_prefix, *others))
    return tuple(path for path in needed if any(path.startswith(f"{cover}/") for cover in covered))


def init_script(
    folder: Path, modules: Path, agent: list[str], missing: tuple[str, ...], trunks: Sequence[str] = ()
) -> str:
    """Write the guest's init.

    An ordinary user's guest sees files of the host's root as nobody's: a set-user-ID program would take root's rights
    away from it. So the root is mounted `nosuid`, by a copy of mount without that bit.

    Args:
        folder: the host folder that the guest may write; mounted on GUEST_FOLDER.
        modules: the guest kernel's modules (`.../RELEASE`), wherever they are; /lib/modules need not exist.
        agent: the agent's command line, which becomes process 1.
        missing: of MODULES, what this machine lacks.
        trunks: network devices that are wires to the lab's other guests.
    """
    quote = shlex.quote
    covered = writable_folders()
    shown = hidden_paths(covered)
    mounts = [f"mount -t tmpfs -o mode={755 if path == '/run' else 1777} tmpfs {path}" for path in covered]
    mounts += [f"mkdir -p {quote(path)}; mount -t hostfs -o {quote(path)},ro none {quote(path)}" for path in shown]
    exports = " ".join(f"{name}={quote(value)}" for name, value in python_environment().items())
    lines = "".join(f"link set {device} up\n" for device in trunks)
    wanted = " ".join(name for name in MODULES if name not in missing)
    return f"""#!/bin/sh
export {exports}
{quote(str(folder / "mount"))} -o remount,ro,nosuid none /
mount -t proc proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
{chr(10).join(mounts)}
mkdir -p {GUEST_FOLDER} /run/lock /run/sshd /run/modules/lib/modules /dev/pts /dev/shm /dev/net
mknod -m 666 /dev/net/tun c 10 200
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
mount -t hostfs -o {quote(str(folder))} none {GUEST_FOLDER}
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ln -s {quote(str(modules))} /run/modules/lib/modules/
printf '#!/bin/sh\\nexec modprobe -d /run/modules "$@"\\n' > /run/modules/modprobe
chmod 755 /run/modules/modprobe
echo /run/modules/modprobe > /proc/sys/kernel/modprobe
echo testbed > /proc/sys/kernel/hostname
echo 1 > /proc/sys/kernel/panic_on_oops
# All namespaces share one ARP table of 1024 entries: pings among all pairs of 33 hosts would fill it.
for table in /proc/sys/net/ipv[46]/neigh/default; do
    for limit in 1 2 3; do echo 1000000 > "$table/gc_thresh$limit"; done
done
modprobe -d /run/modules -a {wanted}
ip -batch - <<'NETWORK'
link set lo up
link add mgmt type bridge
link set vec0 mtu 9000 master mgmt up
link set mgmt mtu 9000 up
addr add 10.0.2.15/24 dev mgmt
{lines}NETWORK
{"" if os.stat("/").st_uid == os.geteuid() else own_root()}
cd {quote(str(PROJECT))} || exit 1
: > {GUEST_FOLDER}/booted
exec {shlex.join(agent)}
"""


def own_root() -> str:
    """Write the part that gives an ordinary user's guest a root folder that belongs to the guest's root.

    The host's `/` looks like nobody's there, and programs that check every folder above a file of theirs (sshd's
    StrictModes) trust it no more. All that is in it is bound as it is below a `/` in memory.
    """
    folders, links = [], []
    for entry in sorted(os.scandir("/"), key=lambda entry: entry.name):
        if entry.is_symlink():
            links.append(shlex.quote(entry.path))
        elif entry.is_dir() and entry.path != NEW_ROOT:
            folders.append(shlex.quote(entry.name))
    return f"""mount -t tmpfs -o mode=755 tmpfs {NEW_ROOT}
cd {NEW_ROOT} || exit 1
mkdir {" ".join(folders)} .{NEW_ROOT} .old
cp -d {" ".join(links)} .
for name in {" ".join(folders)}; do mount --rbind "/$name" "$name"; done
pivot_root . .old || exit 1
umount -l /.old
mount -o remount,ro,mode=755 /"""
