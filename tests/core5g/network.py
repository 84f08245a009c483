"""A core and a RAN in one process, over a UNIX socket: the double of SCTP for kernels that have none."""

import asyncio
import functools
import inspect
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core5g.amf.amf import Amf
from core5g.amf.config import AmfConfig
from core5g.nas.values import Ambr, Snssai, Tai
from core5g.ran.config import GnbConfig, UeConfig
from core5g.ran.gnb import Gnb
from core5g.ran.ue import Ue
from core5g.security.milenage import Milenage
from core5g.udm.base import DnnSubscription, SliceSubscription, Subscription
from core5g.udm.memory import MemoryHome, Subscriber

EMBB, URLLC, OTHER = Snssai(1), Snssai(1, 0xA), Snssai(3, 7)
AREA = Tai("00101", 7)
RATE = Ambr(10**9, 10**8)
DNNS = {"internet": DnnSubscription(RATE)}
MAY = Subscription(RATE, (SliceSubscription(EMBB, DNNS), SliceSubscription(URLLC, DNNS, default=False)))
KEY, OPC = bytes(range(16)), bytes(range(16, 32))
FIRST = "001010000000001"
CORE = AmfConfig("amf", ("00101",), frozenset((AREA,)), (EMBB, URLLC))
CELL = GnbConfig("gnb1", AREA, (EMBB, URLLC))
WAIT = 10.0


def asynchronous(test):
    """Run a test in an event loop of its own; what it leaves behind unseen fails it."""

    @functools.wraps(test)
    def run(*args, **options):
        async def body():
            async with asyncio.timeout(WAIT * 3):
                await test(*args, **options)

        asyncio.run(body())

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]  # fixtures are found by it
    return run


def subscriber(**changes):
    """What the home knows of the SIM of `ue`."""
    return replace(Subscriber(MAY, KEY, OPC), **changes)


@dataclass
class Network:
    amf: Amf
    home: MemoryHome
    gnb: Gnb
    address: str

    def ue(self, imsi=FIRST, gnb=None, **changes):
        """A UE whose SIM is one of the home's."""
        sim = changes.pop("sim", Milenage(KEY, OPC))
        return Ue(UeConfig(imsi, sim, **changes), gnb or self.gnb)

    async def until(self, condition):
        """Wait for what has no event of its own."""
        async with asyncio.timeout(WAIT):
            while not condition():
                await asyncio.sleep(0)


@asynccontextmanager
async def network(config=CORE, cell=CELL, home=None, subscribers=5, *, smf=None, plane=None):
    """Bring up an AMF and a gNB that has set up with it."""
    first = int(FIRST)
    home = home or MemoryHome({f"{first + n:015d}": subscriber() for n in range(subscribers)})
    amf, gnb = Amf(config, home, smf), Gnb(cell, plane)
    if smf is not None:
        smf.access = amf
    with tempfile.TemporaryDirectory() as folder:
        address = amf.start(f"unix:{Path(folder)}/n2")
        try:
            await gnb.start(address)
            yield Network(amf, home, gnb, address)
        finally:
            gnb.stop()
            await amf.stop()
