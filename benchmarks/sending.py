"""What a packet costs to send: one system call for each, `sendmmsg(2)` for many, or one that the kernel cuts.

Numbered packets from one socket to another over the loopback interface of this kernel, where each arrives by itself and
the sink's full buffer drops it: the sender's processor time holds the way through the stack, too. What the kernel cuts
crosses this interface whole and is cut before the sink's socket. A link with netem has it cut earlier, which is not
measured here.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import time
from collections.abc import Callable
from statistics import median

from testbed.emulator.probes import sockets
from testbed.emulator.probes.load_send import MARK

SECONDS, ROUNDS = 0.2, 5
_MESSAGE = struct.Struct("=QI4xQQQQi4xI4x")  # struct mmsghdr of a 64-bit Linux; the socket is connected, and so no name
_VECTOR = struct.Struct("=QQ")
_libc = ctypes.CDLL(None, use_errno=True)

Send = Callable[[memoryview, int], None]


def per_cpu_second(size: int) -> dict[str, float]:
    """Return how many packets of `size` bytes of payload each method sends in a second of processor time.

    The methods take turns, so that what else the machine does falls on all of them; the median of `ROUNDS` counts.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink, socket.socket(type=socket.SOCK_DGRAM) as source:
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sink.bind(("127.0.0.1", 0))
        source.connect(sink.getsockname())
        block = bytearray(size * sockets.batch_limit(size))
        methods = _methods(source, sink.getsockname(), block, size)
        rounds = [{name: _rate(send, block, size) for name, send in methods.items()} for _ in range(ROUNDS)]
    return {name: median(one[name] for one in rounds) for name in methods}


def _methods(source: socket.socket, sink: tuple[str, int], block: bytearray, size: int) -> dict[str, Send]:
    def one_by_one(data: memoryview, size: int) -> None:
        for start in range(0, len(data), size):
            sockets.send(source, data[start : start + size], sink)

    def cut_by_the_kernel(data: memoryview, size: int) -> None:
        if failure := sockets.send_batch(source, data, size, sink):
            raise OSError(failure, "UDP_SEGMENT")

    return {"sendto": one_by_one, "sendmmsg": _sendmmsg(source, block, size), "UDP_SEGMENT": cut_by_the_kernel}


def _sendmmsg(source: socket.socket, block: bytearray, size: int) -> Send:
    start, count = _address(block), len(block) // size
    vectors = bytearray(b"".join(_VECTOR.pack(start + n * size, size) for n in range(count)))
    first = _address(vectors)
    messages = bytearray(b"".join(_MESSAGE.pack(0, 0, first + 16 * n, 1, 0, 0, 0, 0) for n in range(count)))
    at = ctypes.c_void_p(_address(messages))

    def send(_data: memoryview, _size: int, _kept: tuple[bytearray, ...] = (vectors, messages)) -> None:
        if _libc.sendmmsg(source.fileno(), at, count, 0) != count:
            raise OSError(ctypes.get_errno(), "sendmmsg")

    return send


def _address(data: bytearray) -> int:
    return ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))


def _rate(send: Send, block: bytearray, size: int) -> float:
    sent, count, began = 0, len(block) // size, time.process_time()
    with memoryview(block) as data:
        while (spent := time.process_time() - began) < SECONDS:
            for n in range(count):
                MARK.pack_into(block, n * size, 1, 2, sent + n, time.time_ns())
            send(data, size)
            sent += count
    return sent / spent
