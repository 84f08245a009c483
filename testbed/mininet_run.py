"""Run a script of Mininet's: in this kernel, or in a guest of its own where this one lacks what links need."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.emulator.messages import Exec, Exited, Output, Progress
from testbed.emulator.mininet.run import IN_GUEST, OPEN_VSWITCH
from testbed.errors import BadInput, Unable
from testbed.lab import Lab
from testbed.model.topology import GuestOptions, Host, Topology
from testbed.substrate import probe
from testbed.substrate.guest_init import PROJECT, writable_folders
from testbed.substrate.registry import find
from testbed.substrate.uml import problems

RUNNER = "testbed.emulator.mininet.run"
NODE = "mininet"


@dataclass(frozen=True, slots=True)
class Script:
    """A script with its arguments and what its standard input gives.

    Attributes:
        file: an absolute path. open_vswitch: switches whose class it does not name are of Open vSwitch, not bridges.
    """

    file: Path
    arguments: tuple[str, ...] = ()
    stdin: bytes = b""
    open_vswitch: bool = False

    @classmethod
    def find(cls, file: Path, arguments: Sequence[str] = (), *, open_vswitch: bool = False) -> Script:
        """Return the script that a user named.

        Raises:
            BadInput: there is no such file.
        """
        if not file.is_file():
            raise BadInput(f"{file}: expected a Python script that uses Mininet; there is no such file")
        return cls(file.resolve(), tuple(arguments), open_vswitch=open_vswitch)

    def command(self) -> list[str]:
        how = [OPEN_VSWITCH] if self.open_vswitch else []
        return [sys.executable, "-u", "-m", RUNNER, *how, str(self.file), *self.arguments]


def choose(substrate: str) -> tuple[str, str]:
    """Return `native` or `uml`, and why.

    Raises:
        BadInput: no such substrate. Unable: it cannot be used here; the message says what is missing.
    """
    if substrate != "auto":
        if find(substrate).name == "native" and os.geteuid() != 0:
            raise Unable("a script of Mininet's runs in this kernel as root alone: sudo, or --substrate uml")
        return substrate, "asked for"
    netem = probe.run("netem")
    if os.geteuid() == 0 and netem.ok:
        return "native", f"this kernel has netem ({netem.detail})"
    why = "we are not root" if netem.ok else f"this kernel cannot impair links itself ({netem.detail})"
    if lacks := problems():
        raise Unable(
            f"{why}, and no guest can run: {'; '.join(lacks)}. `--substrate native` runs it without impairments"
        )
    return "uml", f"{why}; a guest can"


def run_natively(script: Script) -> None:
    """Become the script, in this kernel; does not return."""
    environment = {**os.environ, "PYTHONPATH": _python_path(os.environ.get("PYTHONPATH"))}
    os.execve(sys.executable, script.command(), environment)


def run_in_guest(
    script: Script,
    write: Callable[[Output], None],
    *,
    memory: int | None = None,
    timeout: float = 3600.0,
    progress: Callable[[Progress], None] | None = None,
) -> int:
    """Run a script in a guest of its own, which is gone when it ends.

    Args:
        write: gets the script's output as it comes. memory: bytes of the guest, None for the default.
        timeout: seconds until it is killed.

    Returns:
        The script's exit code; 124 at the timeout.

    Raises:
        Unable: no guest can run here. GuestFailed: the guest died.
    """
    guest = GuestOptions() if memory is None else GuestOptions(memory=memory)
    topology = Topology(name=f"mininet-{os.getpid()}", nodes={NODE: Host(kind="host")}, guest=guest)
    with Lab.up(topology, substrate="uml", progress=progress) as lab, lab.agent() as agent:
        request = Exec(node=NODE, argv=_in_guest(script), stdin=script.stdin, timeout=timeout)
        ended = agent.call(request, on_event=lambda event: write(event) if isinstance(event, Output) else None)
    assert isinstance(ended, Exited)
    return ended.code


def _in_guest(script: Script) -> tuple[str, ...]:
    """Return the command; folders that the guest has memory over are shown to it again, for reading."""
    here = Path.cwd()
    hidden = {folder for folder in (script.file.parent, here) if folder.is_relative_to("/")}
    shown = [str(folder) for folder in hidden if any(folder.is_relative_to(cover) for cover in writable_folders())]
    mounts = [
        f"mkdir -p {shlex.quote(f)} && mount -t hostfs -o {shlex.quote(f)},ro none {shlex.quote(f)}" for f in shown
    ]
    environment = (f"PYTHONPATH={_python_path(None)}", "PYTHONDONTWRITEBYTECODE=1", f"{IN_GUEST}=1")
    words = ["env", *environment, *script.command()]
    steps = [*mounts, f"cd {shlex.quote(str(here))}", f"exec {shlex.join(words)}"]
    return ("/bin/bash", "-c", " && ".join(steps))


def _python_path(before: str | None) -> str:
    return os.pathsep.join([str(PROJECT), *([before] if before else [])])
