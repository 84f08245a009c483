"""PDU sessions, from UE to data network and back, through real tunnels and a real TUN device."""

import asyncio
import struct

from tests.core5g.network import FIRST, asynchronous
from tests.core5g.userplane import GATEWAYS, whole

KEY = (FIRST, 1)


def udp(source, destination, ports, payload):
    """A packet of IPv4 with UDP; no checksum of UDP is needed."""
    total = 28 + len(payload)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, 17, 0, source.packed, destination.packed)
    value = sum(struct.unpack("!10H", head))
    value = (value & 0xFFFF) + (value >> 16)
    checksum = ~((value & 0xFFFF) + (value >> 16)) & 0xFFFF
    return (
        head[:10]
        + checksum.to_bytes(2, "big")
        + head[12:]
        + struct.pack("!HHHH", *ports, 8 + len(payload), 0)
        + payload
    )


async def heard(program):
    """What comes to a program, within a second or two."""
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recvfrom(program, 2000)


def inbox(session):
    """What comes for a UE, as it comes."""
    queue = asyncio.Queue()
    session.receive = lambda packet: queue.put_nowait(bytes(packet))
    return queue


@asynchronous
async def test_packets_go_both_ways_and_are_counted():
    async with whole() as all_:
        ue = all_.net.ue()
        await ue.register()
        session = await ue.sessions.establish("internet")
        came = inbox(session)
        await all_.until(lambda: all_.smf.sessions[KEY].downlink is not None)
        assert session.address in GATEWAYS[0].network
        with all_.program() as program:
            port = program.getsockname()[1]
            assert session.send(udp(session.address, GATEWAYS[0].ip, (4000, port), b"up"))
            data, there = await heard(program)
            assert (data, there) == (b"up", (str(session.address), 4000))
            program.sendto(b"down", there)
            packet = await asyncio.wait_for(came.get(), 5)
            assert packet[28:] == b"down"
