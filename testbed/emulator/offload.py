"""What a network device leaves to the one behind it (ethtool(8)): a switch in userspace gets packets as they are."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Protocol

_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17


class Place(Protocol):
    """A node, as far as its devices' settings need it."""

    def enter(self) -> AbstractContextManager[None]: ...


def complete_checksums(node: Place, interfaces: Iterable[str]) -> None:
    """Let a node write the checksums of what it sends itself.

    A veth pair leaves them out, since nothing can go wrong between its ends, and the kernel remembers that they lack.
    A packet that goes through a program on its way loses that memory, and is dropped where it arrives.
    """
    with node.enter(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        for name in interfaces:
            value = ctypes.create_string_buffer(struct.pack("=II", _ETHTOOL_STXCSUM, 0))
            fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("16sP", name.encode(), ctypes.addressof(value)))
