"""A whole core and a RAN in one process, with packets: loopback carries N3 and N4, a namespace of its own is N6."""

import asyncio
import os
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface, IPv4Network

from core5g.gtpu.endpoint import Endpoint
from core5g.ran.plane import Gtpu
from core5g.smf.config import SmfConfig
from core5g.smf.config import UpfConfig as SmfsUpf
from core5g.smf.smf import Smf
from core5g.upf.config import NetworkConfig, UpfConfig
from core5g.upf.upf import Upf
from testbed.emulator.namespaces import Namespaces, new_networks
from testbed.emulator.namespaces import home as home_
from tests.core5g.network import CELL, CORE, Network, network

FAST = 0.2
"""s: between signs of life, and until a UE is told again."""
GATEWAYS = (IPv4Interface("10.45.0.1/24"), IPv4Interface("10.46.0.1/24"))


@dataclass
class Whole:
    """Everything; `upfs[0]` is the one that the SMF takes first."""

    net: Network
    smf: Smf
    upfs: list[Upf]
    namespaces: list[Namespaces]
    endpoints: list[Endpoint] = field(default_factory=list)

    @property
    def until(self):
        return self.net.until

    def plane(self, number):
        """The user plane of one more gNB."""
        made = Endpoint(f"127.0.8.{number}", self.upfs[0].datapath.endpoint.port)
        made.start()
        self.endpoints.append(made)
        return Gtpu(made)

    def program(self, upf=0, port=0):
        """A socket of a program in the data network."""
        with self.namespaces[upf].enter_net():
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setblocking(False)
        made.bind((str(GATEWAYS[upf].ip), port))
        return made


@asynccontextmanager
async def whole(upfs=1, subscribers=5, config=CORE, home=None, **changes):
    """Bring all up: an AMF, an SMF, UPFs with a data network `internet` each, a gNB."""
    home_()  # before any is made: this is where to come back to
    namespaces = [Namespaces(net) for net, kernel in new_networks(upfs, [{}] * upfs) if kernel.close() is None]
    port = _free_port()
    made = [Upf(_upf(number, namespaces[number], port)) for number in range(upfs)]
    for upf in made:
        await upf.start()
    smf = Smf(replace(_smf(made), **changes))
    await smf.start()
    all_ = Whole(None, smf, made, namespaces)  # type: ignore[arg-type]  # until there is one
    try:
        for upf in smf.anchor.upfs.all:
            await upf.up.wait()
        async with network(config, CELL, home, subscribers, smf=smf, plane=all_.plane(1)) as net:
            all_.net = net
            yield all_
    finally:
        for endpoint in all_.endpoints:
            endpoint.stop()
        await smf.stop()
        for upf in made:
            await upf.stop()
        for one in namespaces:
            one.close()


def _upf(number, namespace, port):
    networks = (NetworkConfig("internet", GATEWAYS[number], f"n6t{os.getpid() % 10000}", namespace=namespace),)
    address = f"127.0.9.{number + 1}"
    return UpfConfig(f"upf{number}", address, address, networks, 0, port)


def _smf(upfs):
    known = tuple(
        SmfsUpf(one.config.name, one.config.address, _networks(one), one.node.address[1]) for one in upfs
    )  # fmt: skip
    return SmfConfig("127.0.7.1", known, 0, heartbeat=FAST, again=FAST, dscp={5: 46, 9: 0})


def _networks(upf):
    return {one.dnn: IPv4Network(one.gateway.network) for one in upf.config.networks}


def _free_port():
    """One that all ends of GTP-U can have, each at its own address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.9.1", 0))
        return one.getsockname()[1]


def udp(source, destination, ports, payload):
    """A packet of IPv4 with UDP, which needs no checksum."""
    total = 28 + len(payload)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, 17, 0, source.packed, destination.packed)
    value = sum(struct.unpack("!10H", head))
    value = (value & 0xFFFF) + (value >> 16)
    checksum = ~((value & 0xFFFF) + (value >> 16)) & 0xFFFF
    inside = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    return head[:10] + checksum.to_bytes(2, "big") + head[12:] + inside


async def heard(program):
    """What comes to a program, and from where."""
    async with asyncio.timeout(5):
        return await asyncio.get_running_loop().sock_recvfrom(program, 2000)


def inbox(session):
    """What comes for a UE, as it comes."""
    queue = asyncio.Queue()
    session.receive = lambda packet: queue.put_nowait(bytes(packet))
    return queue
