"""What a network device leaves to the one behind it (ethtool(8)): a switch in userspace gets packets as they are."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

_SIOCETHTOOL = 0x8946
_SET = {"rx": 0x15, "tx": 0x17, "gro": 0x2C}
"""ETHTOOL_SRXCSUM, ETHTOOL_STXCSUM, ETHTOOL_SGRO."""


class Place(Protocol):
    """A node, as far as its devices' settings need it."""

    def enter(self) -> AbstractContextManager[None]: ...


def switch(inside: AbstractContextManager[None], settings: Mapping[str, Mapping[str, bool]]) -> None:
    """Set offloads as `ethtool -K` does.

    Args:
        inside: puts the thread to where the devices are. settings: device to `rx`, `tx` and `gro`.
    """
    with inside, socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        for name, wanted in settings.items():
            for what, on in wanted.items():
                value = ctypes.create_string_buffer(struct.pack("=II", _SET[what], on))
                fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("16sP16x", name.encode(), ctypes.addressof(value)))


def complete_checksums(node: Place, interfaces: Iterable[str]) -> None:
    """Let a node write the checksums of what it sends itself.

    A veth pair leaves them out, since nothing can go wrong between its ends, and the kernel remembers that they lack.
    A packet that goes through a program on its way loses that memory, and is dropped where it arrives.
    """
    switch(node.enter(), {name: {"tx": False} for name in interfaces})
