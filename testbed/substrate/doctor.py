"""What this machine can do, found by trying it; and removing what crashed labs left behind."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import BadInput, Unable
from testbed.model.topology import GuestOptions
from testbed.processes import alive
from testbed.substrate import probe, processes
from testbed.substrate.folder import SHM, LabFolder, run_folder, sweep_drafts
from testbed.substrate.guest_init import MODULES, PROJECT
from testbed.substrate.probe import Answer
from testbed.substrate.registry import find
from testbed.substrate.slirp import LIBRARY, load
from testbed.substrate.spawn import look
from testbed.substrate.uml import BINARY, MODULES_ROOT, missing_modules, modules_folder


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing a lab may need: whether it is there, what was found, and the command that mends its lack."""

    name: str
    ok: bool
    detail: str
    fix: str = ""


def examine() -> list[Capability]:
    """Try everything a lab may need on this machine.

    Returns:
        One capability each, in the order an engineer would mend them. Takes about two seconds.
    """
    return [Capability(name, *_answer(check), fix) for name, check, fix in _CHECKS]


def _answer(check: Callable[[], Answer]) -> tuple[bool, str]:
    answer = check()
    return answer.ok, answer.detail


def _probe(name: str) -> Callable[[], Answer]:
    return lambda: probe.run(name)


def _said(*command: str) -> str:
    """Return the first line a command says, or an empty string when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=False)
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""


def _program(path: str, *arguments: str) -> Callable[[], Answer]:
    """A check that a program is there and tells its version."""

    def check() -> Answer:
        found = shutil.which(path, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if found is None:
            return Answer(False, f"{path} is not installed")
        said = _said(found, *arguments)
        return Answer(bool(said), said or f"{found} does not run")

    return check


def _uml() -> Answer:
    found = shutil.which(BINARY)
    if found is None:
        return Answer(False, f"{BINARY} is not installed")
    version = _said(found, "--version")
    return Answer(bool(version), f"{found} {version}" if version else f"{found} does not run")


def _uml_modules() -> Answer:
    try:
        folder = modules_folder()
    except Unable:
        return Answer(False, f"nothing in {MODULES_ROOT}")
    missing = missing_modules(folder)
    essential = [name for name in missing if name in MODULES]
    lack = f"; missing: {', '.join(missing)}" if missing else ""
    return Answer(not essential, f"{folder}{lack}")


def _slirp() -> Answer:
    try:
        load()
    except Unable:
        return Answer(False, f"{LIBRARY} is not installed")
    return Answer(True, f"{LIBRARY} loads")


def _in_guest(name: str, module: str, what: str) -> Callable[[], Answer]:
    """A check that holds when this kernel has it, or guests' kernels do, with their module."""

    def check() -> Answer:
        here = probe.run(name)
        if here.ok:
            return here
        try:
            guests = not missing_modules(modules_folder(), (module,))
        except Unable:
            guests = False
        return Answer(guests, f"{what}: not in this kernel, {'but in guests' if guests else 'nor in guests'}")

    return check


def _open_vswitch() -> Answer:
    """Without a kernel's data path the daemon moves packets itself, by TAP devices."""
    kernel = _in_guest("openvswitch", "openvswitch", "data path")()
    program = _program("ovs-vswitchd", "--version")()
    userspace = os.access("/dev/net/tun", os.R_OK | os.W_OK)
    said = "userspace works here" if userspace else "no userspace here: /dev/net/tun is closed"
    return Answer(program.ok and (kernel.ok or userspace), f"{program.detail}; {kernel.detail}; {said}")


def _docker() -> Answer:
    if shutil.which("docker") is None:
        return Answer(False, "docker is not installed")
    said = _said("docker", "version", "--format", "{{.Server.Version}}")
    ok = bool(said) and said[0].isdigit()
    return Answer(ok, f"engine {said}" if ok else f"no engine answers ({said or 'the client does not run'})")


def _memory() -> Answer:
    need = GuestOptions().memory
    if not SHM.is_dir():
        return Answer(False, f"{SHM} is not there")
    status = os.statvfs(SHM)
    free = status.f_bavail * status.f_frsize
    if status.f_flag & os.ST_NOEXEC:
        return Answer(False, f"{SHM} is mounted noexec: a guest's memory cannot be there")
    return Answer(free >= need, f"{free // 2**20} MiB free in {SHM}, room for {free // need} guests of the usual size")


def _python() -> Answer:
    wanted = (
        "cryptography",
        "msgspec",
        "networkx",
        "numpy",
        "os-ken",
        "ovs",
        "paramiko",
        "pydantic",
        "pyroute2",
        "pyzmq",
        "rich",
    )
    missing = []
    for name in (*wanted, "ruamel.yaml", "scapy", "typer"):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return Answer(not missing, f"missing: {', '.join(missing)}" if missing else "all dependencies are installed")


_ALLOW_NAMESPACES = "sysctl -w user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1"
_CHECKS: tuple[tuple[str, Callable[[], Answer], str], ...] = (
    ("netem", _probe("netem"), "modprobe sch_netem; where this kernel was built without it, guests have it (see uml)"),
    ("namespaces", _probe("namespaces"), _ALLOW_NAMESPACES),
    ("user namespaces", _probe("user-namespaces"), _ALLOW_NAMESPACES),
    ("uml", _uml, "apt-get install user-mode-linux"),
    ("uml modules", _uml_modules, "apt-get install --reinstall user-mode-linux"),
    ("uml network", _slirp, "apt-get install libvdeslirp0"),
    ("guest memory", _memory, "mount -o remount,size=75%,exec /dev/shm"),
    ("SCTP", _in_guest("sctp", "sctp", "SCTP"), "modprobe sctp; or apt-get install user-mode-linux"),
    ("VLANs on bridges", _in_guest("vlan-filtering", "bridge", "VLAN filtering"), "apt-get install user-mode-linux"),
    ("Open vSwitch", _open_vswitch, "apt-get install openvswitch-switch"),
    ("FRR", _program("/usr/lib/frr/zebra", "--version"), "apt-get install frr"),
    ("ssh", _program("ssh", "-V"), "apt-get install openssh-client"),
    ("sshd", _program("sshd", "-V"), "apt-get install openssh-server"),
    ("iperf3", _program("iperf3", "--version"), "apt-get install iperf3"),
    ("Docker", _docker, "apt-get install docker.io && systemctl start docker"),
    ("Python", _python, f"make -C {PROJECT} setup"),
)


# --- cleaning ---


def clean(dry_run: bool = False) -> list[str]:
    """Remove what crashed labs left: dead labs, processes and memory files whose lab is gone. Nothing that lives.

    Args:
        dry_run: only say what would be removed.

    Returns:
        One line for each thing removed.
    """
    removed = [line for folder in LabFolder.all() if (line := _clean_lab(folder, dry_run))]
    removed += [line for marker in sorted(_orphans()) for line in _clean_orphan(marker, dry_run)]
    if not dry_run:
        removed += [f"{path}: half made or half removed" for path in sweep_drafts()]
    return removed


def _clean_lab(folder: LabFolder, dry_run: bool) -> str:
    """Remove one lab if it is dead; return what was done."""
    try:
        seen = look(folder)
        if folder.record().elsewhere is not None:
            return ""  # whether it lives cannot be seen from here
        if seen.alive or alive(folder.record().keeper):
            return ""  # a lab that hangs still is somebody's lab: `down` removes it
        if not dry_run:
            with folder.lock():
                find(folder.record().substrate).stop(folder)
                folder.remove()
    except BadInput:
        return _clean_broken(folder, dry_run)
    except Unable:  # somebody is at it
        return ""
    return f"lab {folder.name}: {seen.reason}"


def _clean_broken(folder: LabFolder, dry_run: bool) -> str:
    """Remove a folder without a readable record: nothing of ours makes one, but a full disk may."""
    if not folder.path.exists():
        return ""
    if not dry_run:
        folder.remove()
    return f"{folder.path}: no readable lab.json"


def _orphans() -> set[str]:
    """Markers on processes or in memory that no lab folder, of whatever TESTBED_HOME, claims."""
    in_memory = [path for path in SHM.iterdir() if processes.MARKER.fullmatch(path.name)] if SHM.is_dir() else []
    run_folders = {path.name for path in in_memory if path.lstat().st_uid == os.getuid()}
    return {marker for marker in run_folders | set(processes.markers()) if not _claimed(marker)}


def _claimed(marker: str) -> bool:
    """Whether a lab folder has this marker. A keeper names its folder; so does the file `owner` in the run folder."""
    folders = [Path(argv[3]) for argv in processes.command_lines(marker) if "testbed.substrate.keeper" in argv[:3]]
    owner = run_folder(marker) / "owner"
    if owner.exists():
        folders.append(Path(owner.read_text()))
    for path in folders:
        try:
            if LabFolder(path).record().id == marker:
                return True
        except BadInput:
            continue
    return False


def _clean_orphan(marker: str, dry_run: bool) -> list[str]:
    found = [f"process {process.pid} of {marker}, whose lab is gone" for process in processes.marked(marker)]
    folder = run_folder(marker)
    if folder.exists():
        found.append(f"{folder}, whose lab is gone")
    if not dry_run:
        processes.sweep(marker)
        shutil.rmtree(folder, ignore_errors=True)
    return found
