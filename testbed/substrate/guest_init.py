"""What substrates tell the processes they start: environment, folders, and how a guest sets out."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TypedDict

PROJECT = Path(__file__).resolve().parents[2]
GUEST_FOLDER = "/run/testbed"
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


class SettingOut(TypedDict):
    """What a guest is told; `testbed.substrate.guest_start` does it.

    `covered`: folders that memory is laid over. `shown`: what of them is shown again. `folder`: the host folder that
    the guest may write. `modules`: the kernel's modules (`.../RELEASE`), wherever they are; /lib/modules need not
    exist. `wanted`: those to load. `trunks`: devices that are wires to the lab's other guests. `address`, `mtu`: on the
    management network. `own_root`: its root folder would not be root's. `agent`: the agent's arguments.
    """

    covered: tuple[str, ...]
    shown: tuple[str, ...]
    folder: str
    modules: str
    wanted: tuple[str, ...]
    trunks: tuple[str, ...]
    address: str
    mtu: int
    own_root: bool
    project: str
    agent: tuple[str, ...]


def init_script(told: SettingOut) -> str:
    """Write the guest's init: a script, because a kernel's command line cannot hold every path."""
    exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in python_environment().items())
    start = (sys.executable, "-m", "testbed.substrate.guest_start", json.dumps(told))
    return f"#!/bin/sh\nexport {exports}\nexec {shlex.join(start)}\n"
