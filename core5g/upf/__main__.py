"""A UPF as a process: settings come on standard input, what it is and, at SIGTERM, what happened go out."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from ipaddress import IPv4Interface

import msgspec

from core5g import settings
from core5g.gtpu import header
from core5g.metrics.page import Pages, text
from core5g.metrics.upf import metrics
from core5g.pfcp import codec
from core5g.upf.config import NetworkConfig, UpfConfig
from core5g.upf.upf import Upf
from testbed.errors import BadInput, TestbedError


class NetworkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A data network; see `NetworkConfig`."""

    dnn: str
    gateway: str
    device: str
    mtu: int = 1400

    @property
    def value(self) -> NetworkConfig:
        """As a UPF has it; raises BadInput."""
        try:
            return NetworkConfig(self.dnn, IPv4Interface(self.gateway), self.device, self.mtu)
        except ValueError as error:
            raise BadInput(f"gateway {self.gateway!r} of {self.dnn}: {error}") from None


class UpfSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A UPF; see `UpfConfig`. metrics: `ADDRESS:PORT` where its figures are served; empty for nowhere."""

    address: str
    n3: str
    networks: tuple[NetworkSettings, ...]
    name: str = "upf"
    port: int = codec.PORT
    n3_port: int = header.PORT
    metrics: str = ""

    @property
    def value(self) -> UpfConfig:
        """As a UPF has it; raises BadInput."""
        networks = tuple(one.value for one in self.networks)
        return UpfConfig(self.name, self.address, self.n3, networks, self.port, self.n3_port)


async def serve(told: UpfSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    upf = Upf(told.value)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await upf.start()
    shown = Pages(told.metrics, {"/metrics": lambda _: text(metrics(upf))}) if told.metrics else None
    about = {"n4": list(upf.node.address), "n3": list(upf.datapath.endpoint.address)}
    print(json.dumps({"ready": about, "memory": settings.memory()}), flush=True)
    await ended.wait()
    if shown is not None:
        shown.stop()
    counts = {**upf.counts, **upf.datapath.counts, "sessions": len(upf.sessions), "memory": settings.memory()}
    counts |= {f"n3_{name}": number for name, number in upf.datapath.endpoint.counts.items()}
    await upf.stop()
    print(json.dumps(counts), flush=True)


def main() -> None:
    try:
        asyncio.run(serve(settings.read(UpfSettings)))
    except TestbedError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
