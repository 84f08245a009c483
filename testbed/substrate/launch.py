"""The step between the keeper and a guest: namespaces, a read-only host, fewer rights, then exec.

Run by the keeper as `python -S -m testbed.substrate.launch MARKER ORDERS` (JSON, see `Orders` in keeper.py). It stays
as the parent of the first process in the new PID namespace, so that killing one takes the other and all it started.
Nothing but the standard library here.
"""

from __future__ import annotations

import json
import os
import select
import sys
from pathlib import Path
from typing import Any, NoReturn

from testbed import kernel

CAP_DAC_READ_SEARCH = 2  # reading the host's files is what a guest's root is made of


def main() -> int:
    orders: dict[str, Any] = json.loads(sys.argv[2])
    report: int = orders["report"]
    os.set_inheritable(report, False)
    seal, problem = (
        isolate(orders) if may_isolate(orders) else ("", f"user {os.geteuid()} may not make namespaces here")
    )
    if problem and orders["must_isolate"]:
        _report(report, {"failed": problem})
        return 1
    kernel.die_with_parent()
    if os.getppid() != orders["keeper"]:  # it died before we could ask to die with it
        return 1
    if problem:
        _report(report, {"pid": os.getpid(), "sealed": False, "seal": problem})
        execute(orders)
    alive, held = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(held)
        return inside(orders, alive)
    os.close(alive)
    _report(report, {"pid": child, "sealed": orders["seal"], "seal": seal})
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF


def may_isolate(orders: dict[str, Any]) -> bool:
    """Try it in a child: where it is forbidden half way, the process that tried would be left in an unusable state."""
    child = os.fork()
    if child == 0:
        how, _ = isolate(orders)
        try:
            if how:
                kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        except OSError:
            how = ""
        os._exit(0 if how else 1)
    return os.waitpid(child, 0)[1] == 0


def isolate(orders: dict[str, Any]) -> tuple[str, str]:
    """Enter new namespaces; return (how, empty) or (empty, why not)."""
    flags = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWNET | kernel.CLONE_NEWUTS
    try:
        if os.geteuid() != 0:
            kernel.enter_user_namespace(orders["user"])
        kernel.unshare(flags)
    except OSError as problem:
        return "", f"this kernel does not let user {os.geteuid()} make namespaces ({problem})"
    return ("mount namespace" if os.geteuid() == 0 and orders["user"] is None else "user and mount namespace"), ""


def inside(orders: dict[str, Any], alive: int) -> int:
    """Be the first process of the new PID namespace: arrange the file system, give up rights, become the guest."""
    arrange(orders)
    if orders["drop"]:
        kernel.drop_capabilities(frozenset({CAP_DAC_READ_SEARCH}))
    if orders["user"] is not None:
        kernel.accept_setgroups()
    kernel.die_with_parent()
    if select.select([alive], [], [], 0)[0]:  # the launcher ended before we could ask to die with it
        return 1
    os.close(alive)
    if orders["reap"]:
        # The first process of a namespace is immune to its own SIGABRT, which is how a guest kernel ends in a panic.
        guest = os.fork()
        if guest:
            return os.waitstatus_to_exitcode(os.waitpid(guest, 0)[1]) & 0xFF
    return execute(orders)


def arrange(orders: dict[str, Any]) -> None:
    """Make the host's files read-only but for the lab's own folders, then lay memory over what daemons write."""
    kernel.mount("", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    visible = {path: os.open(path, os.O_PATH) for path in orders["visible"]}
    for path in orders["writable"]:
        kernel.mount(path, path, flags=kernel.MS_BIND)
    if orders["seal"]:
        kernel.set_read_only("/", True, recursive=True)
        for path in orders["writable"]:
            kernel.set_read_only(path, False)
    for path in orders["tmpfs"]:
        kernel.mount("tmpfs", path, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")
    for path, descriptor in visible.items():
        Path(path).mkdir(parents=True, exist_ok=True)
        kernel.mount(f"/proc/self/fd/{descriptor}", path, flags=kernel.MS_BIND | kernel.MS_REC)
        os.close(descriptor)
    if orders["proc"]:
        guarded = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
        kernel.mount("proc", "/proc", "proc", guarded)
        kernel.mount("sysfs", "/sys", "sysfs", guarded)


def execute(orders: dict[str, Any]) -> NoReturn:
    """Become the guest."""
    os.chdir(orders["directory"])
    for path in orders["touch"]:
        Path(path).touch()
    os.execvpe(orders["argv"][0], orders["argv"], orders["environment"])


def _report(descriptor: int, message: dict[str, Any]) -> None:
    os.write(descriptor, json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main())
