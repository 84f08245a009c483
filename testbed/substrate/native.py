"""Substrate `native`: the agent in namespaces of this machine's own kernel. No guest, no boot."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass

from testbed.errors import BadInput
from testbed.processes import alive
from testbed.substrate import slirp, spawn
from testbed.substrate.base import Liveness, StartOptions
from testbed.substrate.folder import LabFolder
from testbed.substrate.guest_init import AGENT, PROJECT, hidden_paths, python_environment, writable_folders
from testbed.substrate.keeper import Orders, door


@dataclass(frozen=True, slots=True)
class Native:
    """See `testbed.substrate.base.Substrate`."""

    name: str = "native"

    def start(self, folder: LabFolder, options: StartOptions) -> None:
        orders = prepare(folder, options)
        spawn.bring_up(folder, [orders], offline=options.offline_build is not None)

    def reach(self, folder: LabFolder) -> None:
        """Its agents are on this machine."""

    def liveness(self, folder: LabFolder) -> Liveness:
        return spawn.liveness(folder, _first_process_lives)

    def stop(self, folder: LabFolder) -> None:
        spawn.take_down(folder)


def _first_process_lives(folder: LabFolder, timeout: float) -> bool:
    del timeout  # the kernel is this machine's own: what it says of the process is at once
    return all(alive(process) for process in folder.record().processes)


def prepare(folder: LabFolder, options: StartOptions) -> Orders:
    """Say what the keeper is to start: the agent as the first process of new namespaces.

    Killing it, or what started it, takes the whole lab away: the kernel ends all processes of its PID namespace, and
    with the last of them the network namespaces and links go.

    Raises:
        BadInput: more than one guest was asked for, and here is one kernel.
        Unable: forwards were asked for, and the management network's library is not installed.
    """
    if options.guest.guests != 1:
        raise BadInput(
            f"guest.guests is {options.guest.guests}: substrate native has this machine's one kernel; "
            "leave it out, or use `--substrate uml`"
        )
    if options.forwards:
        slirp.load()
    offline = options.offline_build
    endpoint = f"ipc://{folder.run}/agent"
    command = [sys.executable, "-m", AGENT, "--folder", str(folder.guest()), "--substrate", "native"]
    command += ["--network", "{network}"] if options.forwards else []
    for number, controller in enumerate(options.controllers):
        command += ["--controller", controller, f"unix:{door(folder, number)}"]
    if offline is None:
        command += ["--endpoint", endpoint]
    else:
        shutil.copyfile(folder.path / offline, folder.guest() / "build.msgpack")
        command += ["--offline-build", str(folder.guest() / "build.msgpack")]
    covered = writable_folders()
    own = (str(folder.guest()), str(folder.run))
    return Orders(
        argv=tuple(command),
        environment=python_environment(),
        directory=str(PROJECT),
        endpoint=endpoint if offline is None else None,
        network=bool(options.forwards),
        forwards=spawn.forward_orders(options),
        controllers=options.controllers,
        must_isolate=True,
        user=None if os.geteuid() == 0 else 0,
        proc=True,
        writable=own,
        tmpfs=covered,
        visible=hidden_paths(covered, *own),
        touch=(str(folder.guest() / "booted"),),
    )
