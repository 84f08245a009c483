"""An AMF, with an SMF or without, as a process: settings come on standard input, what it is and, at SIGTERM, what
happened go out.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import msgspec

from core5g import settings
from core5g.amf.amf import Amf
from core5g.amf.config import AmfConfig
from core5g.metrics import amf as shown_amf
from core5g.metrics import smf as shown_smf
from core5g.metrics.page import Page, Pages, text
from core5g.nas.values import Tai
from core5g.smf.settings import SmfSettings
from core5g.smf.smf import Smf
from core5g.udm.memory import MemoryHome
from testbed.errors import TestbedError


class AmfSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An AMF: where it listens (`transport.listen`), what it serves, whom it knows.

    Attributes:
        smf: None for no sessions. metrics: `ADDRESS:PORT` where figures of both are served; empty for nowhere.
    """

    listen: str
    plmns: tuple[str, ...]
    tacs: tuple[int, ...]
    name: str = "amf"
    slices: tuple[settings.SliceSettings, ...] = (settings.SliceSettings(1),)
    subscribers: tuple[settings.Range, ...] = ()
    smf: SmfSettings | None = None
    metrics: str = ""


def pages(amf: Amf, smf: Smf | None) -> dict[str, Page]:
    """Return what is served, by path."""
    found: dict[str, Page] = {
        "/metrics": lambda _: text((*shown_amf.metrics(amf), *(shown_smf.metrics(smf) if smf is not None else ()))),
        "/ue-info": lambda asked: shown_amf.ues(amf, asked),
        "/gnb-info": lambda asked: shown_amf.gnbs(amf, asked),
    }
    if smf is not None:
        found["/pdu-info"] = lambda asked: shown_smf.sessions(smf, asked)
    return found


async def serve(told: AmfSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    areas = frozenset(Tai(plmn, tac) for plmn in told.plmns for tac in told.tacs)
    config = AmfConfig(told.name, told.plmns, areas, tuple(one.value for one in told.slices))
    smf = Smf(told.smf.value) if told.smf is not None else None
    home = MemoryHome({imsi: one for each in told.subscribers for imsi, one in each.subscribers()})
    amf = Amf(config, home, smf)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    if smf is not None:
        smf.access = amf
        await smf.start()
    shown = Pages(told.metrics, pages(amf, smf)) if told.metrics else None
    print(json.dumps({"ready": amf.start(told.listen), "memory": settings.memory()}), flush=True)
    await ended.wait()
    if shown is not None:
        shown.stop()
    counts = {**amf.counts, "registered": len(amf.by_imsi), "gnbs": len(amf.gnbs), "memory": settings.memory()}
    await amf.stop()
    if smf is not None:
        counts |= {f"smf_{name}": number for name, number in smf.counts.items()}
        await smf.stop()
    print(json.dumps(counts), flush=True)


def main() -> None:
    try:
        asyncio.run(serve(settings.read(AmfSettings)))
    except TestbedError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
