"""Namespaces without a fork: unshare, setns and mount through ctypes, for the calling thread only.

A namespace lives as long as a file descriptor of it is open; nothing has a name under /run/netns, so nothing is left
when the agent dies (namespaces(7)).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.emulator.netlink import Netlink
from testbed.errors import Unable

CLONE_FS, CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWNET = 0x200, 0x20000, 0x04000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
PR_SET_CHILD_SUBREAPER = 36
RB_POWER_OFF = 0x4321FEDC
IN_CREATE, IN_MOVED_TO, IN_NONBLOCK, IN_CLOEXEC = 0x100, 0x80, 0o4000, 0o2000000

_libc = ctypes.CDLL(None, use_errno=True)
_thread = threading.local()


def _call(function: str, what: str, *arguments: object) -> int:
    result = getattr(_libc, function)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise Unable(f"{function} {what}: {os.strerror(number)}; the agent needs to be root of its user namespace")
    return result


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces of the kinds in `flags` (unshare(2))."""
    _call("unshare", hex(flags), flags)


def setns(namespace: int, kind: int) -> None:
    """Move the calling thread into a namespace (setns(2))."""
    _call("setns", f"fd {namespace}", namespace, kind)


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Mount (mount(2)).

    Raises:
        Unable: the kernel refuses; the message names the target.
    """
    _call("mount", f"on {target}", source.encode(), target.encode(), kind.encode(), flags, data.encode())


def adopt_orphans() -> None:
    """Make this process the one that orphaned descendants are given to, PID 1 or not (PR_SET_CHILD_SUBREAPER)."""
    _call("prctl", "PR_SET_CHILD_SUBREAPER", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def power_off() -> None:
    """Switch the machine off (reboot(2)); for process 1 of a guest."""
    sys.stdout.flush()
    os.sync()
    _call("reboot", "power off", RB_POWER_OFF)


def _open(kind: str) -> int:
    return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


@dataclass(frozen=True, slots=True)
class Namespaces:
    """File descriptors of a node's namespaces; None where it shares the agent's."""

    net: int
    mnt: int | None = None
    uts: int | None = None

    @contextmanager
    def enter_net(self) -> Iterator[None]:
        """Put the calling thread into the network namespace, and back at the end."""
        before = getattr(_thread, "net", None) or home().net
        setns(self.net, CLONE_NEWNET)
        _thread.net = self.net
        try:
            yield
        finally:
            setns(before, CLONE_NEWNET)
            _thread.net = before

    @contextmanager
    def enter(self) -> Iterator[None]:
        """Put the calling thread into all of them, and back at the end. Import nothing meanwhile: files differ."""
        with self.enter_net():
            if self.mnt is None or self.uts is None:
                yield
                return
            own_file_system()
            try:
                setns(self.uts, CLONE_NEWUTS)
                setns(self.mnt, CLONE_NEWNS)
                yield
            finally:
                _go_home_but_net()

    def close(self) -> None:
        """Let the namespaces go; they end when the last process in them has."""
        for descriptor in (self.net, self.mnt, self.uts):
            if descriptor is not None:
                os.close(descriptor)


_home: list[Namespaces] = []


def home() -> Namespaces:
    """Return the agent's own namespaces, as they were when this was first called (from a thread not yet moved)."""
    if not _home:
        _home.append(Namespaces(_open("net"), _open("mnt"), _open("uts")))
    return _home[0]


def own_file_system() -> None:
    """Stop the calling thread from sharing root and working directory with the others, as setns(2) asks for mounts.

    Every time anew: a thread that this one has started since shares them again. Costs nothing where none does.
    """
    unshare(CLONE_FS)


def _go_home_but_net() -> None:
    at_home = home()
    assert at_home.mnt is not None
    assert at_home.uts is not None
    setns(at_home.mnt, CLONE_NEWNS)
    setns(at_home.uts, CLONE_NEWUTS)


def new_networks(count: int, settings: Sequence[Mapping[str, str]]) -> list[tuple[int, Netlink]]:
    """Make network namespaces, each with a netlink socket opened inside.

    Args:
        count: how many. settings: sysctls of each, path below /proc/sys/net to value.

    Returns:
        Namespace file descriptor and socket of each.
    """
    made = []
    try:
        for number in range(count):
            unshare(CLONE_NEWNET)
            made.append((_open("net"), Netlink()))
            for path, value in settings[number].items():
                sysctl(path, value)
    finally:
        setns(home().net, CLONE_NEWNET)
    return made


def sysctl(path: str, value: str) -> None:
    """Write /proc/sys/net/`path` of the calling thread's network namespace."""
    descriptor = os.open(f"/proc/sys/net/{path}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def new_machine(host_name: str, folders: Mapping[str, str], files: Mapping[str, str], net: int) -> tuple[int, int, int]:
    """Make a mount and a host-name namespace that give a node its own changeable places on the read-only root.

    Args:
        host_name: of the node.
        folders: path to mode bits in octal; each becomes an empty folder in memory, bound over the path where that
            is outside /run (which is the node's own as a whole). Must exist on the machine.
        files: path to text; below one of `folders` or /run written there, elsewhere bound over the machine's file.
        net: network namespace that /sys shall show.

    Returns:
        File descriptors of mount and host-name namespace, and of the node's /run (O_PATH).
    """
    own_file_system()
    try:
        unshare(CLONE_NEWNS | CLONE_NEWUTS)
        socket.sethostname(host_name)
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=128m")
        _furnish(folders, files)
        _show_own_devices(net)
        return _open("mnt"), _open("uts"), os.open("/run", os.O_PATH | os.O_CLOEXEC)
    finally:
        _go_home_but_net()


def new_mounts(net: int) -> int:
    """Give a node mounts of its own, whose /sys shows its own network; return their file descriptor."""
    own_file_system()
    try:
        unshare(CLONE_NEWNS)
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        _show_own_devices(net)
        return _open("mnt")
    finally:
        _go_home_but_net()


def _furnish(folders: Mapping[str, str], files: Mapping[str, str]) -> None:
    own = Path("/run/own")
    own.mkdir()
    bound = ["/run/"]

    def place_of(path: str) -> Path:
        inside = any(path.startswith(folder) for folder in bound)
        return Path(path) if inside else own / path.strip("/").replace("/", "-")

    for path, mode in folders.items():
        place = place_of(path)
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(int(mode, 8))
        if str(place) != path:
            mount(str(place), path, flags=MS_BIND)
            bound.append(f"{path}/")
    for path, text in files.items():
        place = place_of(path)
        place.write_text(text)
        place.chmod(0o600 if path.endswith("shadow") else 0o644)
        if str(place) != path:
            mount(str(place), path, flags=MS_BIND)


def _show_own_devices(net: int) -> None:
    """Mount a /sys of the node's own network, as `ip netns exec` does, where the kernel lets us."""
    setns(net, CLONE_NEWNET)
    try:
        if _libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None) < 0 and ctypes.get_errno() != 1:
            raise Unable(f"mount sysfs on /sys: {os.strerror(ctypes.get_errno())}")
    finally:
        setns(home().net, CLONE_NEWNET)


class FolderWatch:
    """Wakes when something appears in a folder (inotify(7)); pollable by `fileno`."""

    def __init__(self, folder: str) -> None:
        self._descriptor = _call("inotify_init1", folder, IN_NONBLOCK | IN_CLOEXEC)
        _call("inotify_add_watch", folder, self._descriptor, folder.encode(), IN_CREATE | IN_MOVED_TO)

    def fileno(self) -> int:
        return self._descriptor

    def clear(self) -> None:
        """Forget what has been seen."""
        with contextlib.suppress(BlockingIOError):
            while True:
                os.read(self._descriptor, 4096)

    def close(self) -> None:
        os.close(self._descriptor)
