"""TUN devices: packets of a network interface that a process carries itself."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
import struct
from collections import Counter
from collections.abc import Callable

from testbed.emulator import netlink
from testbed.emulator.namespaces import Namespaces
from testbed.emulator.netlink import Netlink, NetlinkError, Request
from testbed.errors import AddressInUse, BadInput, Unable

_DEVICE = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_TUN_WITHOUT_HEADER = 0x0001 | 0x1000
"""IFF_TUN | IFF_NO_PI (linux/if_tun.h)."""
_LONGEST = 15
_MOST_AT_ONCE = 64
_SIZE = 65536


class Tun:
    """A TUN device; it ends with this process.

    Attributes:
        name, index: of the interface. counts: what happened, by name.
        receive: takes packets that the kernel sends out by it; the memory is its only while it does.
    """

    def __init__(self, name: str, mtu: int = 1400, namespace: Namespaces | None = None) -> None:
        """Make it.

        Args:
            namespace: where programs find it; None for that of this process.

        Raises:
            AddressInUse: an interface has this name. BadInput: it is no name of one.
            Unable: the kernel has no TUN, or we may not.
        """
        self.name = name
        self.receive: Callable[[memoryview], object] = lambda _: None
        self.counts: Counter[str] = Counter()
        self._data = bytearray(_SIZE)
        self._view = memoryview(self._data)
        with contextlib.nullcontext() if namespace is None else namespace.enter_net():
            self._file = _opened(name)
            self.index = socket.if_nametoindex(name)
            self._netlink = Netlink()
        self._change(netlink.set_link(self.index, up=True, mtu=mtu))

    def add_address(self, address: str) -> None:
        """Give it an address with its prefix length, such as `10.45.0.1/16`.

        Raises:
            Unable: the kernel refuses.
        """
        self._change(netlink.address(self.index, address))

    def remove_address(self, address: str) -> None:
        """Take an address away; raises as `add_address`."""
        self._change(netlink.delete_address(self.index, address))

    def add_route(self, destination: str = "") -> None:
        """Have packets to a network (empty: to all) leave by it; raises as `add_address`."""
        self._change(netlink.route(None, destination, self.index))

    def _change(self, request: Request) -> None:
        try:
            self._netlink.run([request])
        except NetlinkError as error:
            raise Unable(f"{self.name}: {error}") from None

    def start(self) -> None:
        """Take packets from here on."""
        asyncio.get_running_loop().add_reader(self._file, self._readable)

    def stop(self) -> None:
        """Remove it."""
        if self._file >= 0:
            with contextlib.suppress(RuntimeError):  # it may never have taken any
                asyncio.get_running_loop().remove_reader(self._file)
            os.close(self._file)
            self._netlink.close()
            self._file = -1

    def _readable(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            if self._file < 0:
                return
            try:
                size = os.readv(self._file, (self._data,))
            except BlockingIOError:
                return
            except OSError:
                self.counts["errors"] += 1
                return
            self.receive(self._view[:size])

    def write(self, packet: bytes | memoryview) -> None:
        """Have the kernel take a packet as one that came in by it; one that it does not want is dropped and counted."""
        try:
            os.write(self._file, packet)
        except OSError:
            self.counts["dropped"] += 1


def _opened(name: str) -> int:
    if not 0 < len(name.encode()) <= _LONGEST or "/" in name:
        raise BadInput(f"{name!r}: expected a name of an interface, 1 to {_LONGEST} characters")
    try:
        made = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        raise Unable(f"{_DEVICE}: {error.strerror}; a user plane needs it: modprobe tun, and be root") from None
    try:
        fcntl.ioctl(made, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEADER))
    except OSError as error:
        os.close(made)
        if error.errno == errno.EBUSY:
            raise AddressInUse(f"{name}: there is an interface of this name already") from None
        raise Unable(f"{name}: a TUN device cannot be made: {error.strerror}") from None
    return made
