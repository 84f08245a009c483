"""Mininet's nodes: a namespace when they are made, a shell not before it is asked for."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Any, cast

from testbed.emulator import netlink
from testbed.emulator.mininet import family, rooms, stock
from testbed.emulator.mininet.addresses import prefixed
from testbed.emulator.mininet.link import OVSIntf
from testbed.emulator.mininet.rooms import LOOPBACK, Room
from testbed.emulator.namespaces import sysctl
from testbed.errors import BadInput, Unable

_PROMPT = chr(127)
_SYSCTL = re.compile(r"sysctl (?:-w )?net\.((?:[\w-]+\.)*[\w-]+)=([\w.:/-]+)")
"""Sets one parameter of the network and does nothing else, in no need of a shell's reading."""
_SHELL_PATIENCE = 2.0  # s


def _of_shell(name: str) -> property:
    """Make an attribute that is there once the shell is: asking for it starts the shell."""
    kept = f"_{name}"

    def get(node: Node) -> Any:
        if getattr(node, kept) is None:
            node.wake()
        return getattr(node, kept)

    return property(get, lambda node, value: setattr(node, kept, value))


def move(name: object, node: Node) -> None:
    """Bring an interface of the caller's namespace, a real one for instance, into a node.

    Raises:
        BadInput: there is none of this name. Unable: the kernel will not move it.
    """
    found = rooms.caller().index(str(name))
    if found is None or node.room is None:
        raise BadInput(f"{node.name}: there is no interface {str(name)!r} to add; `ip link` lists those there are")
    rooms.caller().interfaces.pop(str(name), None)
    rooms.caller().run([netlink.set_link(found, namespace=node.room.net)], f"{name} into {node.name}")
    node.borrowed = [*node.borrowed, str(name)]


class Node(stock.node.Node):
    """A node of Mininet's whose namespace, interfaces and addresses need no process."""

    shell = _of_shell("shell")
    pid = _of_shell("pid")
    stdin = _of_shell("stdin")
    stdout = _of_shell("stdout")
    pollOut = _of_shell("pollOut")

    _shell: Any
    _stdin: Any
    _stdout: Any
    _pollOut: Any
    room: Room | None = None
    borrowed: Sequence[str] = ()

    @classmethod
    def setup(cls) -> None:
        """Need nothing: Mininet's own looks for mnexec and ifconfig."""

    def place(self) -> Room:
        """Return the room that this node is to live in."""
        return rooms.new() if self.inNamespace else rooms.caller()

    def startShell(self, mnopts: str | None = None) -> None:
        """Make the namespace; called again, start the shell."""
        if self.room is None:
            self.room = self.place()
        elif self._shell is None:
            self.wake()
        else:
            stock.log.error(f"{self.name}: shell is already running\n")

    def wake(self) -> None:
        """Start the shell: an interactive bash on a terminal of its own, whose prompt marks the end of an output."""
        if self.room is None:
            return  # it has been terminated
        self.master, self.slave = pty.openpty()
        command = ["bash", "--norc", "--noediting", "-is", f"mininet:{self.name}"]
        environment = {**os.environ, "PS1": _PROMPT}
        ends = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave}
        self._shell = self.room.start(command, env=environment, **ends)
        self._stdin = self._stdout = os.fdopen(self.master, "r")
        self._pid = self._shell.pid
        self._pollOut = select.poll()
        self._pollOut.register(self._stdout)
        self.outToNode[self.master] = self.inToNode[self.master] = self
        self.execed, self.waiting, self.lastCmd, self.lastPid, self.readbuf = False, False, None, None, ""
        while not self.read(1024).endswith(_PROMPT):
            self._pollOut.poll()
        self.cmd("unset HISTFILE; stty -echo; set +m")

    def cmd(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command in the node's shell and return its output; one that sets a sysctl starts none."""
        alone = _SYSCTL.fullmatch(args[0]) if len(args) == 1 and isinstance(args[0], str) else None
        if alone is not None and self._shell is None and self.room is not None:
            with contextlib.suppress(OSError), self.room.inside():  # which sysctl(8) puts into words
                sysctl(alone[1].replace(".", "/"), alone[2])
                return f"net.{alone[1]} = {alone[2]}\r\n"
        return super().cmd(*args, **kwargs)

    def popen(self, *args: Any, **kwargs: Any) -> Any:
        """Start a program in the node: a list, words, or one string that is split at spaces (with `shell`, as it is).

        Returns:
            What subprocess.Popen returns; `kwargs` are its own, with standard output and error as pipes unless said.
        """
        if self.room is None:
            raise BadInput(f"{self.name} has been terminated and starts no programs")
        options = {"stdout": PIPE, "stderr": PIPE, **kwargs}
        through = options.pop("mncmd", [])
        command = _words(args, bool(options.pop("shell", False)))
        return self._popen([*through, *command], **options)

    def _popen(self, cmd: Sequence[str], **params: Any) -> Any:
        """Start what CPULimitedHost would through mnexec: in the node, so that it ends with it."""
        how, words = _without_mnexec(list(cmd))
        process = cast(Room, self.room).start(words, **params)
        for kind in ("cpu", "cpuacct", "cpuset") if "-g" in how else ():
            with contextlib.suppress(OSError):  # as mnexec: a kind that is not mounted, a cpuset that has no CPUs yet
                Path("/sys/fs/cgroup", kind, how["-g"], "tasks").write_text(str(process.pid))
        if "-r" in how:
            os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(int(how["-r"])))
        return process

    def monitor(self, timeoutms: float | None = None, findPid: bool = True) -> str:
        """Return what a command has said meanwhile; `lastPid` is set as it is numbered here."""
        before, self.lastPid = self.lastPid, None
        said = super().monitor(timeoutms, findPid)
        inside = self.lastPid
        self.lastPid = before if inside is None else family.seen_from_here(self._shell.pid, inside)
        return said

    def addIntf(self, intf: Any, port: int | None = None, moveIntfFn: Callable[..., Any] | None = None) -> None:
        """Add an interface; one that is not in the node yet is moved into it from the caller's namespace."""
        super().addIntf(intf, port, moveIntfFn=_stay)
        assert self.room is not None
        made = isinstance(intf, OVSIntf) or self.room is rooms.caller() or self.room.index(intf.name) is not None
        if not made:
            move(intf.name, self)

    def config(
        self,
        mac: str | None = None,
        ip: str | None = None,
        defaultRoute: str | None = None,
        lo: str = "up",
        **_params: Any,
    ) -> dict[str, Any]:
        """Set the default interface's addresses and the default route; what is None stays."""
        results: dict[str, Any] = {}
        self.setParam(results, "setMAC", mac=mac)
        self.setParam(results, "setIP", ip=ip)
        self.setParam(results, "setDefaultRoute", defaultRoute=defaultRoute)
        if lo == "down" and self.room is not None:
            self.room.run([netlink.set_link(LOOPBACK, up=False)], f"{self.name}: lo down")
        return results

    def setARP(self, ip: str, mac: str) -> str:
        """Tell this node's default interface for good which hardware address an IP address has."""
        self._run([self.arp_entry(ip, mac)], f"ARP entry {ip} {mac}")
        return ""

    def arp_entry(self, ip: str, mac: str) -> netlink.Request:
        """Return the message that makes a static ARP entry."""
        return netlink.neighbour(self.defaultIntf().number(), ip, bytes.fromhex(mac.replace(":", "")))

    def setHostRoute(self, ip: str, intf: Any) -> str:
        """Add a route to one host by an interface."""
        self._run([netlink.route(None, prefixed(ip, 32), self._index_of(str(intf)))], f"route to {ip} by {intf}")
        return ""

    def setDefaultRoute(self, intf: Any = None) -> None:
        """Replace the default route: an interface, its name, or words as `ip route` takes them (`via 10.0.0.1`)."""
        words = str(intf).split() if isinstance(intf, str) and " " in intf else ["dev", str(intf)]
        given = dict(zip(words[::2], words[1::2], strict=False))
        if len(words) % 2 or not given.keys() <= {"via", "dev"}:
            self.cmd("ip route del default; ip route add default", shlex.join(words))
            return
        index = self._index_of(given["dev"]) if "dev" in given else 0
        self._run([netlink.route(given.get("via"), index=index)], f"default route {shlex.join(words)}")

    def _index_of(self, name: str) -> int:
        index = cast(Room, self.room).index(name)
        if index is None:
            known = ", ".join(self.intfNames())
            raise BadInput(f"{self.name} has no interface {name!r} (it has: {known})")
        return index

    def _run(self, requests: Sequence[netlink.Request], what: str) -> None:
        cast(Room, self.room).run(requests, f"{self.name}: {what}")

    def terminate(self) -> None:
        """End the node: its shell, and with the next sweep all else that runs in it."""
        if self._shell is not None:
            if not self.inNamespace:
                self.unmountPrivateDirs()  # the others' mounts go with them
            if self._shell.poll() is None:
                os.killpg(self._shell.pid, signal.SIGHUP)
        self.cleanup()

    def cleanup(self) -> None:
        """Let the shell and the namespace go."""
        if self._shell is not None:
            self.outToNode.pop(self.master, None)
            self.inToNode.pop(self.master, None)
            self._stdin.close()
            os.close(self.slave)
            if self.waitExited:
                _wait(self._shell)
            self._shell = self._stdin = self._stdout = self._pollOut = None
        if self.room is not None:
            home = rooms.caller().net
            back = [netlink.set_link(self._index_of(name), namespace=home) for name in self.borrowed]
            self.room.run(back, f"{self.name}: interfaces go back")
            rooms.leave(self.room)
            self.room = None

    def __repr__(self) -> str:
        interfaces = ",".join(f"{intf.name}:{intf.IP()}" for intf in self.intfList())
        return f"<{type(self).__name__} {self.name}: {interfaces} pid={self._pid}> "


class Host(Node, stock.node.Host):
    """A host is a node."""


def _stay(*_arguments: Any) -> None:
    """Move nothing."""


def _wait(shell: Popen[Any]) -> None:
    """Wait for a shell that has been told to end; one that a command keeps from it is killed."""
    try:
        shell.wait(_SHELL_PATIENCE)
    except TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()


def _without_mnexec(command: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return mnexec's options where the command begins with it (-da PID, -g CGROUP, -r PRIORITY), and what it runs."""
    how: dict[str, str] = {}
    if command[0] != "mnexec":
        return how, command
    words = command[1:]
    while words[0] in ("-da", "-g", "-r"):
        how[words[0]], words = words[1], words[2:]
    return how, words


def _words(args: Sequence[Any], shell: bool) -> list[str]:
    if not args or (len(args) == 1 and not isinstance(args[0], str | list)):
        raise BadInput(f"popen{args!r}: expected a command: a string, a list, or several words")
    if len(args) > 1:
        words = [str(word) for word in args]
    elif isinstance(args[0], list):
        words = [str(word) for word in args[0]]
    else:
        words = [args[0]] if shell else args[0].split()
    return [os.environ.get("SHELL", "/bin/bash"), "-c", " ".join(words)] if shell else words


class NAT(Node, stock.nodelib.NAT):
    """Mininet's way out into the caller's network, by iptables.

    Mininet also writes into /etc/network/interfaces, to keep network managers off; they leave veth devices alone.
    """

    @classmethod
    def setup(cls) -> None:
        """Check for iptables.

        Raises:
            Unable: it is not installed.
        """
        if shutil.which("iptables") is None:
            raise Unable("a NAT node needs iptables; apt-get install iptables")

    def setManualConfig(self, _intf: Any) -> None:
        """Write nothing."""
