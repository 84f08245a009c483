"""A small process that outlives a script which is killed, to end what runs in its nodes.

Namespaces without a name last as long as a process is in them. What a node's shell started in the background would
keep them, and itself, alive after SIGKILL; so every process of a node carries a mark in its environment, which its
children inherit, and the warden kills what carries it when the pipe from the script is closed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping

MARK = "TESTBED_MININET"
_WATCH = """cd /
read _
while found=$(grep -lzsx "$0" /proc/[0-9]*/environ); do
  for file in $found; do pid=${file#/proc/}; kill -9 "${pid%/environ}" 2>/dev/null; done
done"""
_pipes: dict[int, tuple[int, str]] = {}
"""Process number of the script (a fork of it has a warden of its own) to its end of the pipe and its mark."""


def marked(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Return an environment (this process's where None) with the mark; the first call starts the warden."""
    known = _pipes.get(os.getpid()) or _start()
    return {**(os.environ if environment is None else environment), MARK: known[1]}


def _start() -> tuple[int, str]:
    mark = uuid.uuid4().hex
    reading, writing = os.pipe()
    quiet = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_WRONLY, 0) for number in (1, 2)]
    actions = [(os.POSIX_SPAWN_DUP2, reading, 0), *quiet]
    command = ["/bin/sh", "-c", _WATCH, f"{MARK}={mark}"]
    os.posix_spawn(command[0], command, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, file_actions=actions, setsid=True)
    os.close(reading)
    _pipes[os.getpid()] = (writing, mark)
    return _pipes[os.getpid()]
