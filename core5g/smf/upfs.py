"""UPFs of an SMF: associations, signs of life, and which one a session gets (3GPP TS 29.244, 6.2; TS 23.527, 4)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from core5g.nas.values import Snssai
from core5g.pfcp.codec import Kind, Message
from core5g.pfcp.errors import PfcpError
from core5g.pfcp.node import NoAnswer, Node, Peer, Rejected
from core5g.pfcp.values import IpAddress
from core5g.smf.config import UpfConfig
from core5g.smf.pool import Pool


class Upf:
    """A UPF as its SMF knows it.

    Attributes:
        pools: addresses of its UEs, by DNN. up: it is associated; an event. started: its recovery time stamp.
    """

    def __init__(self, config: UpfConfig) -> None:
        self.config = config
        self.peer: Peer = (config.address, config.port)
        self.pools = {dnn: Pool(network) for dnn, network in config.networks.items()}
        self.up = asyncio.Event()
        self.started = 0

    def __str__(self) -> str:
        return self.config.name


class Upfs:
    """All UPFs of an SMF. `lost`: called with one that is gone, or that has forgotten all."""

    def __init__(self, node: Node, all_: Sequence[UpfConfig], heartbeat: float, lost: Callable[[Upf], object]) -> None:
        self.all = [Upf(config) for config in all_]
        self._node, self._heartbeat, self._lost = node, heartbeat, lost
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, address: str) -> None:
        """Associate with all of them, now or as soon as they can; `address` is the SMF's."""
        self._tasks = [asyncio.get_running_loop().create_task(self._keep(one, ip_address(address))) for one in self.all]

    async def stop(self) -> None:
        """Let go of them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def choose(self, dnn: str, one: Snssai, tac: int) -> Upf | None:
        """Return the first that serves such a session and is up."""
        return next((upf for upf in self.all if upf.up.is_set() and upf.config.serves(dnn, one, tac)), None)

    def known(self, dnn: str) -> bool:
        """Tell whether any UPF, up or not, has a data network."""
        return any(dnn in upf.pools for upf in self.all)

    async def _keep(self, upf: Upf, ours: IpAddress) -> None:
        while True:
            try:
                await self._associate(upf, ours)
                await self._watch(upf)
            except (NoAnswer, Rejected, PfcpError):
                if upf.up.is_set():
                    upf.up.clear()
                    self._lost(upf)
                await asyncio.sleep(self._heartbeat)  # until it is asked again

    async def _associate(self, upf: Upf, ours: IpAddress) -> None:
        about = {"node_id": ours, "recovery_time_stamp": self._node.started}
        answer = await self._node.accepted(upf.peer, Kind.ASSOCIATION_SETUP_REQUEST, about)
        upf.started = _started(answer)
        upf.up.set()

    async def _watch(self, upf: Upf) -> None:
        """Return never; raises where it is gone or has started anew."""
        while True:
            await asyncio.sleep(self._heartbeat)  # a sign of life is due
            about = {"recovery_time_stamp": self._node.started}
            answer = await self._node.request(upf.peer, Kind.HEARTBEAT_REQUEST, about)
            if _started(answer) != upf.started:
                raise NoAnswer(f"{upf} has started anew")


def _started(answer: Message) -> int:
    return int(answer.ies.get("recovery_time_stamp", 0))
