"""Many datagrams by one system call (recvmmsg(2), which Python lacks): only their first bytes, size and time."""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator

MOST = 128
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_SO_MEMINFO, _DROPS = 55, 8  # the same, and SK_MEMINFO_DROPS of linux/sock_diag.h
_CONTROL = struct.Struct("=16xqq")
_LENGTH = struct.Struct("=56xI4x")
_QUIET = frozenset({errno.EAGAIN, errno.EINTR, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH})
_libc = ctypes.CDLL(None, use_errno=True)


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """`struct mmsghdr` of a 64-bit Linux."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vectors_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("received", ctypes.c_uint32),
        ("_", ctypes.c_uint32),
    )


class Batch:
    """Buffers for `MOST` datagrams, of each the first `form.size` bytes, read as `form`. For one thread."""

    def __init__(self, form: struct.Struct) -> None:
        self._form = form
        self._heads, heads = _buffer(MOST * form.size)
        self._controls, controls = _buffer(MOST * _CONTROL.size)
        self._raw, _ = _buffer(MOST * ctypes.sizeof(_Message))
        self._vectors = (_Vector * MOST)()
        self._messages = (_Message * MOST).from_buffer(self._raw)
        for n, (vector, message) in enumerate(zip(self._vectors, self._messages, strict=True)):
            vector.base, vector.length = heads + n * form.size, form.size
            message.vectors, message.vectors_length = ctypes.addressof(vector), 1
            message.control, message.control_length = controls + n * _CONTROL.size, _CONTROL.size
        self._fresh = bytes(self._raw)

    def receive(self, descriptor: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Read what has come, at most `MOST` datagrams.

        Returns:
            Of each its length in bytes, the kernel's receive time in Unix nanoseconds, and its first bytes.
        """
        self._raw[:] = self._fresh  # the kernel has written over what it was told
        flags = socket.MSG_DONTWAIT | socket.MSG_TRUNC
        count = _libc.recvmmsg(descriptor, self._messages, MOST, flags, None)
        if count <= 0:
            if count < 0 and (number := ctypes.get_errno()) not in _QUIET:
                raise OSError(number, os.strerror(number))
            return
        lengths = _LENGTH.iter_unpack(memoryview(self._raw)[: count * _LENGTH.size])
        times = _CONTROL.iter_unpack(memoryview(self._controls)[: count * _CONTROL.size])
        heads = self._form.iter_unpack(memoryview(self._heads)[: count * self._form.size])
        for (length,), (seconds, nanoseconds), head in zip(lengths, times, heads, strict=True):
            if length >= self._form.size:
                yield length, seconds * 1_000_000_000 + nanoseconds, head


def _buffer(size: int) -> tuple[bytearray, int]:
    """Memory that Python reads and the kernel writes, and its address."""
    data = bytearray(size)
    return data, ctypes.addressof((ctypes.c_char * size).from_buffer(data))


def stamp(sock: socket.socket) -> None:
    """Let the kernel stamp what is received, in the one form that `Batch` reads."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def dropped(sock: socket.socket) -> int:
    """How many packets the kernel dropped because this socket's buffer was full."""
    return struct.unpack_from("=I", sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 64), 4 * _DROPS)[0]
