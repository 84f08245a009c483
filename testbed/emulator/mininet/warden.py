"""A small process that outlives a script which is killed, to end what runs in its nodes.

Namespaces without a name last as long as a process is in them. What a node's shell started in the background would
keep them, and itself, alive after SIGKILL. So the warden is told of every network namespace in which something was
started; and every process carries a mark in its environment, for those in the caller's own namespace. When the pipe
from the script is closed, the warden kills what is in the namespaces or carries the mark.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping

MARK = "TESTBED_MININET"
_WATCH = """cd /
networks=' '
while read -r sign network; do
  case $sign in
    +) networks="$networks$network " ;;
    -) networks="${networks%% $network *} ${networks#* $network }" ;;
  esac
done
inside() {
  find /proc/[0-9]*/ns/net -maxdepth 0 -printf '%p %l\\n' | while read -r file network; do
    case $networks in *" $network "*) echo "$file" ;; esac
  done
  grep -lzsx "$0" /proc/[0-9]*/environ
}
while found=$(inside); [ "$found" ]; do
  for file in $found; do file=${file#/proc/}; kill -9 "${file%%/*}"; done
done"""
_pipes: dict[int, tuple[int, str]] = {}
"""Process number of the script (a fork of it has a warden of its own) to its end of the pipe and its mark."""


def marked(environment: Mapping[str, str] | None) -> dict[str, str]:
    """Return an environment (this process's where None) with the mark."""
    return {**(os.environ if environment is None else environment), MARK: _ours()[1]}


def watch(network: int) -> None:
    """From now on end what is in this network namespace (a file descriptor) when this process is gone."""
    _tell("+", network)


def release(network: int) -> None:
    """Forget a network namespace that is about to go: its number may be another's tomorrow."""
    _tell("-", network)


def _tell(sign: str, network: int) -> None:
    os.write(_ours()[0], f"{sign} net:[{os.fstat(network).st_ino}]\n".encode())


def _ours() -> tuple[int, str]:
    return _pipes.get(os.getpid()) or _start()


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
