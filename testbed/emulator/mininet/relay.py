"""Ways out for switches: their namespace holds nothing but them, and a controller may listen elsewhere.

There, a socket listens under the controller's own address and port. What connects to it is carried on from the
caller's namespace, where Mininet's switches would be; so `ovs-vsctl show` names the true address.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from functools import cache, partial

from testbed.emulator import netlink
from testbed.emulator.mininet.rooms import LOOPBACK, Room
from testbed.errors import Unable

_CHUNK = 1 << 16


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop that carries, in a thread of its own; it stays in the caller's namespace."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="relay", daemon=True).start()
    return loop


def open_way(room: Room, address: str, port: int) -> None:
    """Let `address`:`port` of the caller's namespace be reached from a room under the same name, until the room ends.

    Args:
        address: an IPv4 address; nothing needs to listen there yet.

    Raises:
        Unable: something else in the room uses it.
    """
    if (address, port) in room.ways:
        return
    if not ipaddress.IPv4Address(address).is_loopback:
        room.run([netlink.address(LOOPBACK, f"{address}/32")], f"way to {address}")
    with room.inside():
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
    except OSError as error:
        listening.close()
        raise Unable(f"switches cannot be led to {address}:{port}: {error.strerror} in their namespace") from None
    starting = asyncio.start_server(partial(_carry, address, port), sock=listening)
    server = asyncio.run_coroutine_threadsafe(starting, _loop()).result()
    room.ways.add((address, port))
    room.at_end.append(partial(_loop().call_soon_threadsafe, server.close))


async def _carry(address: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one connection; a controller that is not there ends it, and the switch tries again."""
    try:
        far_reader, far_writer = await asyncio.open_connection(address, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # the other side has gone
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()
