"""A RAN as a process: gNBs that set up, UEs that register; settings come on standard input, the report goes out."""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec

from core5g import settings
from core5g.nas.values import Tai
from core5g.ran import load
from core5g.ran.config import GnbConfig, UeConfig
from core5g.ran.gnb import Gnb
from core5g.ran.ue import Ue
from testbed.errors import TestbedError


class RanSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A RAN and its load.

    Attributes:
        amf: where to call. plmn, tac: of all cells. gnbs: how many; UEs are dealt out to them in turn.
        at_once: how many register at a time; or rate: how many begin a second.
    """

    amf: str
    plmn: str
    tac: int
    ues: settings.Range
    gnbs: int = 1
    at_once: int = 50
    rate: float | None = None


async def run(told: RanSettings) -> dict[str, object]:
    """Set up, register all, and go; return the report and how much memory a UE takes, bytes."""
    slices = tuple(one.value for one in told.ues.slices)
    area = Tai(told.plmn, told.tac)
    gnbs = [Gnb(GnbConfig(f"gnb{number}", area, slices, number)) for number in range(1, told.gnbs + 1)]
    for gnb in gnbs:
        await gnb.start(told.amf)
    sim, before = told.ues.sim(), settings.memory()
    digits = len(told.plmn)
    configs = (UeConfig(imsi, sim, digits, slices) for imsi in told.ues.imsis())
    ues = [Ue(config, gnbs[number % len(gnbs)]) for number, config in enumerate(configs)]
    if told.rate is None:
        report = await load.at_once(ues, Ue.register, told.at_once)
    else:
        report = await load.by_rate(ues, Ue.register, told.rate)
    used = (settings.memory() - before) / len(ues)
    for gnb in gnbs:
        gnb.stop()
    return {**report.plain(), "memory": used}


def main() -> None:
    try:
        print(json.dumps(asyncio.run(run(settings.read(RanSettings)))))
    except TestbedError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
