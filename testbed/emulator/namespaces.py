"""Namespaces without a fork: unshare, setns and mount, for the calling thread only.

A namespace lives as long as a file descriptor of it is open; nothing has a name under /run/netns, so nothing is left
when the agent dies (namespaces(7)).
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from testbed import kernel
from testbed.emulator.netlink import Netlink
from testbed.errors import Unable

P = ParamSpec("P")
R = TypeVar("R")

_thread = threading.local()


def _explained(call: Callable[P, R]) -> Callable[P, R]:
    """Let a refusal of the kernel be the agent's answer: the class of error that the client raises again."""

    @wraps(call)
    def explained(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except OSError as error:
            raise Unable(f"{error.strerror}; the agent needs to be root of its user namespace") from error

    return explained


unshare, setns, mount = _explained(kernel.unshare), _explained(kernel.setns), _explained(kernel.mount)
adopt_orphans, watch = _explained(kernel.adopt_orphans), _explained(kernel.watch)


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
        setns(self.net, kernel.CLONE_NEWNET)
        _thread.net = self.net
        try:
            yield
        finally:
            setns(before, kernel.CLONE_NEWNET)
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
                setns(self.uts, kernel.CLONE_NEWUTS)
                setns(self.mnt, kernel.CLONE_NEWNS)
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
    unshare(kernel.CLONE_FS)


def _go_home_but_net() -> None:
    at_home = home()
    assert at_home.mnt is not None
    assert at_home.uts is not None
    setns(at_home.mnt, kernel.CLONE_NEWNS)
    setns(at_home.uts, kernel.CLONE_NEWUTS)


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
            unshare(kernel.CLONE_NEWNET)
            made.append((_open("net"), Netlink()))
            for path, value in settings[number].items():
                sysctl(path, value)
    finally:
        setns(home().net, kernel.CLONE_NEWNET)
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
        unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS)
        socket.sethostname(host_name)
        mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
        mount("tmpfs", "/run", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=128m")
        _furnish(folders, files)
        _show_own_devices(net)
        return _open("mnt"), _open("uts"), os.open("/run", os.O_PATH | os.O_CLOEXEC)
    finally:
        _go_home_but_net()


def new_mounts(net: int) -> int:
    """Give a node mounts of its own, whose /sys shows its own network; return their file descriptor."""
    own_file_system()
    try:
        unshare(kernel.CLONE_NEWNS)
        mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
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
            mount(str(place), path, flags=kernel.MS_BIND)
            bound.append(f"{path}/")
    for path, text in files.items():
        place = place_of(path)
        place.write_text(text)
        place.chmod(0o600 if path.endswith("shadow") else 0o644)
        if str(place) != path:
            mount(str(place), path, flags=kernel.MS_BIND)


@_explained
def _show_own_devices(net: int) -> None:
    """Mount a /sys of the node's own network, as `ip netns exec` does, where the kernel lets us."""
    setns(net, kernel.CLONE_NEWNET)
    try:
        with suppress(PermissionError):
            kernel.mount("sysfs", "/sys", "sysfs")
    finally:
        setns(home().net, kernel.CLONE_NEWNET)
