"""A RAN as a process: gNBs that set up, UEs that register; settings come on standard input, the report goes out."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import msgspec

from core5g import settings
from core5g.gtpu import header
from core5g.gtpu.endpoint import Endpoint
from core5g.nas.values import Tai
from core5g.ran import load
from core5g.ran.config import GnbConfig, UeConfig
from core5g.ran.gnb import Gnb
from core5g.ran.interface import Interface
from core5g.ran.plane import Gtpu
from core5g.ran.ue import Ue
from testbed.errors import TestbedError
from testbed.model.qos import DSCP


class RanSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A RAN and its load.

    Attributes:
        amf: where to call. plmn, tac: of all cells. gnbs: how many; UEs are dealt out to them in turn.
        at_once: how many register at a time; or rate: how many begin a second.
        dnns: a session in each, for every UE. n3: address of all gNBs' user plane; empty for none, where tunnels
            are numbers that nothing goes through. interface: name of the device that has the UEs' addresses; empty
            for none. routes: networks to which packets leave by it.
        stay: keep all as it is until SIGTERM; the report goes out before.
    """

    amf: str
    plmn: str
    tac: int
    ues: settings.Range
    gnbs: int = 1
    at_once: int = 50
    rate: float | None = None
    dnns: tuple[str, ...] = ()
    n3: str = ""
    n3_port: int = header.PORT
    interface: str = ""
    routes: tuple[str, ...] = ()
    stay: bool = False


class Ran:
    """All gNBs and UEs of a process."""

    def __init__(self, told: RanSettings) -> None:
        self._told = told
        self._endpoint = Endpoint(told.n3, told.n3_port) if told.n3 else None
        self._interface: Interface | None = None
        self._slices = tuple(one.value for one in told.ues.slices)
        self.gnbs: list[Gnb] = []
        self.ues: list[Ue] = []

    async def start(self) -> None:
        """Set up; raises as `Endpoint.start`, `Interface` and `Gnb.start`."""
        told, plane = self._told, None
        if self._endpoint is not None:
            self._endpoint.start()
            plane = Gtpu(self._endpoint)
        if told.interface:
            self._interface = Interface(told.interface)
        area = Tai(told.plmn, told.tac)
        for number in range(1, told.gnbs + 1):
            self.gnbs.append(Gnb(GnbConfig(f"gnb{number}", area, self._slices, number, dscp=DSCP), plane))
            await self.gnbs[-1].start(told.amf)

    def stop(self) -> None:
        """Hang up."""
        for gnb in self.gnbs:
            gnb.stop()
        if self._endpoint is not None:
            self._endpoint.stop()
        if self._interface is not None:
            self._interface.stop()

    async def attach(self) -> dict[str, object]:
        """Register all UEs and set their sessions up; return how it went."""
        told = self._told
        sim, before = told.ues.sim(), settings.memory()
        for index, imsi in enumerate(told.ues.imsis()):
            ue = Ue(UeConfig(imsi, sim, len(told.plmn), self._slices), self.gnbs[index % len(self.gnbs)])
            if self._interface is not None:
                self._interface.serve(ue)
            self.ues.append(ue)
        report = await self._load(self.ues, Ue.register)
        used = (settings.memory() - before) / len(self.ues)
        found = {**report.plain(), "memory": used}
        if told.dnns:
            registered = [ue for ue in self.ues if ue.registered]
            found["sessions"] = (await self._load(registered, self._establish)).plain()
        if self._interface is not None:
            for route in told.routes:
                self._interface.route(route)
        return found

    async def _load(self, ues: list[Ue], procedure: load.Procedure) -> load.Report:
        if self._told.rate is None:
            return await load.at_once(ues, procedure, self._told.at_once)
        return await load.by_rate(ues, procedure, self._told.rate)

    async def _establish(self, ue: Ue) -> None:
        for dnn in self._told.dnns:
            await ue.sessions.establish(dnn)

    def addresses(self) -> dict[str, list[str]]:
        """Return the UEs' addresses, by IMSI."""
        return {ue.config.imsi: [str(one.address) for one in ue.sessions.all.values()] for ue in self.ues}


async def run(told: RanSettings) -> None:
    """Set up, register all, report, and go, now or when told."""
    ran, ended = Ran(told), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        await ran.start()
        report = await ran.attach()
        if told.dnns:
            report["addresses"] = ran.addresses()
        print(json.dumps(report), flush=True)
        if told.stay:
            await ended.wait()
    finally:
        ran.stop()


def main() -> None:
    try:
        asyncio.run(run(settings.read(RanSettings)))
    except TestbedError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
