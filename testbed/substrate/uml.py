"""Substrate `uml`: a guest kernel of our own, User-Mode Linux, running as an ordinary process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.emulator.trunks import TRUNK_MTU, trunk_device
from testbed.errors import BadInput, Unable
from testbed.substrate import spawn
from testbed.substrate.base import Liveness, StartOptions
from testbed.substrate.contact import kernel_version
from testbed.substrate.folder import LabFolder
from testbed.substrate.guest_init import (
    AGENT_PORT,
    GUEST_FOLDER,
    MODULES,
    MODULES_ON_DEMAND,
    PROJECT,
    SettingOut,
    hidden_paths,
    init_script,
    python_environment,
    writable_folders,
)
from testbed.substrate.keeper import Orders
from testbed.substrate.slirp import DOOR, GUEST, MTU, load

BINARY = "linux.uml"
MODULES_ROOT = Path("/usr/lib/uml/modules")
INSTALL = "apt-get install user-mode-linux libvdeslirp0"
LEAST_MEMORY = 128 * 2**20
QUICK_BOOT = ("initcall_blacklist=raid6_select_algo", "pty.legacy_count=0")
"""What a guest's kernel leaves out, half of its boot: 0.85 s of comparing ways to do RAID 6, for a Btrfs that no guest
mounts, and 512 terminals of the old kind, for each of which it would start a helper (0.5 s)."""
TRUNK_MODULE = "8021q"


def modules_folder() -> Path:
    """Return the newest guest kernel's modules.

    Raises:
        Unable: there are none.
    """
    folders = sorted(path for path in MODULES_ROOT.glob("*") if (path / "modules.dep").exists())
    if not folders:
        raise Unable(f"no kernel modules for guests in {MODULES_ROOT}: {INSTALL}")
    return folders[-1]


def missing_modules(folder: Path, names: tuple[str, ...] = MODULES + MODULES_ON_DEMAND) -> tuple[str, ...]:
    """Return which of these modules this machine's guest kernel has neither as files nor built in."""
    text = "".join((folder / name).read_text() for name in ("modules.dep", "modules.builtin"))
    present = {Path(line.partition(":")[0]).name.partition(".ko")[0].replace("-", "_") for line in text.splitlines()}
    return tuple(name for name in names if name.replace("-", "_") not in present)


@dataclass(frozen=True, slots=True)
class Uml:
    """See `testbed.substrate.base.Substrate`."""

    name: str = "uml"

    def start(self, folder: LabFolder, options: StartOptions) -> None:
        check_options(options)
        modules = modules_folder()
        folder.update(missing_modules=missing_modules(modules))
        count = options.guest.guests
        orders = [prepare(folder, options, modules, number) for number in range(1, count + 1)]
        spawn.bring_up(folder, orders, offline=options.offline_build is not None)

    def reach(self, folder: LabFolder) -> None:
        """Its agents are on this machine."""

    def liveness(self, folder: LabFolder) -> Liveness:
        return spawn.liveness(folder, lambda lab, timeout: bool(kernel_version(lab, timeout)))

    def stop(self, folder: LabFolder) -> None:
        spawn.take_down(folder)


def prepare(folder: LabFolder, options: StartOptions, modules: Path, number: int) -> Orders:
    """Write a guest's init, and say what the keeper is to start.

    Args:
        modules: see `modules_folder`. number: of the guest, from 1.
    """
    record, own = folder.record(), folder.guest(number)
    own.mkdir(mode=0o700, exist_ok=True)
    offline = options.offline_build
    if offline is not None:
        shutil.copyfile(folder.path / offline, own / "build.msgpack")
    others = [other for other in range(1, options.guest.guests + 1) if other != number]
    init = own / "init"
    init.write_text(init_script(_setting_out(own, modules, record.missing_modules, others, options)))
    init.chmod(0o755)
    run = str(folder.run)
    marker = record.id if number == 1 else f"{record.id}.{number}"
    kernel_arguments = (
        f"mem={options.guest.memory // 2**20}M", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}",
        "con=null", "con0=fd:0,fd:1", f"umid={marker}", f"uml_dir={run}/", "quiet", "selinux=0",
        "noreboot", *QUICK_BOOT,
        f"vec0:transport=fd,fd={{network}},mtu={MTU}",
        *(f"{trunk_device(other)}:transport=fd,fd={{trunk{other}}},mtu={TRUNK_MTU}" for other in others),
    )  # fmt: skip
    return Orders(
        argv=(BINARY, *kernel_arguments),
        environment=python_environment() | {"TMPDIR": run},
        network=True,
        channel=offline is None,
        forwards=spawn.forward_orders(options),
        controllers=options.controllers,
        drop=os.geteuid() == 0,
        reap=True,
        writable=(str(own), run),
    )


def _setting_out(
    own: Path, modules: Path, missing: Sequence[str], others: Sequence[int], options: StartOptions
) -> SettingOut:
    covered = writable_folders()
    return SettingOut(
        covered=covered,
        shown=hidden_paths(covered),
        folder=str(own),
        modules=str(modules),
        wanted=tuple(name for name in MODULES if name not in missing),
        trunks=tuple(trunk_device(other) for other in others),
        address=f"{GUEST}/24",
        mtu=MTU,
        own_root=os.stat("/").st_uid != os.geteuid(),
        project=str(PROJECT),
        agent=agent_arguments(options),
    )


def problems() -> list[str]:
    """Return what keeps guests from running on this machine, each with the command that mends it."""
    if "User Mode Linux" in Path("/proc/cpuinfo").read_text():
        return ["this machine is a guest itself, and its kernel cannot run another: use the machine it runs on"]
    found = [] if shutil.which(BINARY) else [f"{BINARY} is not installed: {INSTALL}"]
    for check in (modules_folder, load):
        try:
            check()
        except Unable as problem:
            found.append(str(problem))
    return found


def check_options(options: StartOptions) -> None:
    """Refuse what cannot be had, rather than give less.

    Raises:
        Unable: the kernel, its modules, the network library or the memory are missing.
        BadInput: the message says what was asked and what can be had.
    """
    asked, count = options.guest.memory, options.guest.guests
    if asked < LEAST_MEMORY:
        raise BadInput(f"guest.memory is {asked // 2**20} MiB; a guest kernel with its agent needs at least 128MiB")
    if count > 1 and options.offline_build is not None:
        raise BadInput(
            f"guest.guests is {count}: a rack runs in one guest, whose patch panel reaches the wires of that kernel "
            "alone; write 1 or leave it out"
        )
    if lacks := problems():
        raise Unable(f"substrate uml cannot run here: {'; '.join(lacks)}")
    if count > 1 and TRUNK_MODULE in missing_modules(modules_folder(), (TRUNK_MODULE,)):
        raise Unable(f"guests are joined by VLANs, and the guest kernel lacks the module {TRUNK_MODULE}: {INSTALL}")
    available = available_memory()
    if count * asked > available:
        several = f"{count} guests of" if count > 1 else "a guest of"
        raise Unable(
            f"{several} {asked // 2**20} MiB need {count * asked // 2**20} MiB, and this machine has "
            f"{available // 2**20} MiB to give: use fewer guests or less memory (`--guests`, `--memory`)"
        )


def available_memory() -> int:
    """Return how many bytes programs can have without swapping (MemAvailable of proc(5))."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def agent_arguments(options: StartOptions) -> tuple[str, ...]:
    """Return what the agent is told inside a guest."""
    given = ["--folder", GUEST_FOLDER, "--substrate", "uml"]
    for port, controller in enumerate(options.controllers, 1):
        given += ["--controller", controller, f"tcp:{DOOR}:{port}"]
    if options.offline_build is not None:
        return (*given, "--offline-build", f"{GUEST_FOLDER}/build.msgpack")
    return (*given, "--endpoint", f"tcp://{GUEST}:{AGENT_PORT}")
