"""All that runs in a script's nodes is one PID namespace: when the script ends, in whatever way, the kernel ends it.

Process 1 of that namespace waits at a pipe that only the script holds open. When it is closed, process 1 ends, and
with it every process in the namespace (pid_namespaces(7)): daemons, and what left its shell's session, too.
"""

from __future__ import annotations

import os

from testbed.kernel import CLONE_NEWPID, setns, unshare

_FIRST = ["/bin/bash", "-c", "read -r"]  # bash reaps what is given to process 1
_families: dict[int, int] = {}
"""Process number of the script (a fork of it has a family of its own) to a descriptor of its PID namespace."""


def join() -> None:
    """Let what the calling thread starts from now on be of the family; for a thread that ends soon after."""
    if os.getpid() in _families:
        setns(_families[os.getpid()], CLONE_NEWPID)
    else:
        _begin()


def _begin() -> None:
    reading, writing = os.pipe()  # the writing end is held open by this process, and by nothing it executes
    os.set_inheritable(writing, False)
    unshare(CLONE_NEWPID)
    quiet = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_WRONLY, 0) for number in (1, 2)]
    actions = [(os.POSIX_SPAWN_DUP2, reading, 0), *quiet]
    first = os.posix_spawn(_FIRST[0], _FIRST, {}, file_actions=actions, setsid=True)
    os.close(reading)
    _families[os.getpid()] = os.open(f"/proc/{first}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)


def seen_from_here(parent: int, inside: int) -> int:
    """Return the number that a child of process `parent` has here, from the one it has in the family."""
    for child in _children(parent):
        with open(f"/proc/{child}/status", encoding="ascii") as status:
            numbers = next(line.split()[1:] for line in status if line.startswith("NSpid:"))
        if int(numbers[-1]) == inside:
            return child
    return inside


def _children(parent: int) -> list[int]:
    with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as listed:
        return [int(word) for word in listed.read().split()]
