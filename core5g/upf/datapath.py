"""Packets between tunnels (N3, N9) and data networks (N6), each by its session's way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from core5g.gtpu.endpoint import Endpoint, Receiver
from core5g.gtpu.tun import Tun
from core5g.upf.config import NetworkConfig, UpfConfig
from core5g.upf.rules import FORWARD, KEEP, TELL
from core5g.upf.session import Session, Way

_SHORTEST = 20
"""Bytes of an IPv4 header."""


@dataclass(slots=True)
class Network:
    """A data network. `sessions`: by their UEs' addresses, as numbers."""

    config: NetworkConfig
    tun: Tun | None = None
    sessions: dict[int, Session] = field(default_factory=dict)


class Datapath:
    """The user plane of a UPF.

    Attributes:
        endpoint: of tunnels. networks: by DNN. counts: what happened, by name.
        volumes: bytes from and to gNBs (`in`, `out`), by QFI.
        on_data: called with a session whose first packet waits, and the number of its rule.
    """

    def __init__(self, config: UpfConfig) -> None:
        self.endpoint = Endpoint(config.n3, config.n3_port)
        self.networks = {one.dnn: Network(one) for one in config.networks}
        self.counts: Counter[str] = Counter()
        self.volumes: Counter[tuple[str, int]] = Counter()
        self.on_data: Callable[[Session, int], object] = lambda _session, _pdr: None

    def start(self) -> None:
        """Listen, and make the devices of all data networks; raises as `Endpoint.start` and `Tun`."""
        self.endpoint.start()
        for network in self.networks.values():
            about = network.config
            tun = network.tun = Tun(about.device, about.mtu, about.namespace)
            tun.add_address(str(about.gateway))
            tun.receive = self._receiver(network)
            tun.start()

    def stop(self) -> None:
        """Listen no more; the devices are gone."""
        self.endpoint.stop()
        for network in self.networks.values():
            if network.tun is not None:
                network.tun.stop()

    def take_up(self, session: Session) -> None:
        """Have a session's packets go by its rules from here on."""
        for teid, way in session.ways.items():
            network = self._network(session.rules.pdrs[way.pdr].dnn)
            self.endpoint.receivers[teid] = self._uplink(session, way, network)
        for address, dnn in session.addresses().items():
            network = self._network(dnn)
            if network is not None:
                network.sessions[address] = session
        self._catch_up(session)

    def drop(self, session: Session) -> None:
        """Have no packets of a session any more."""
        for teid in session.ways:
            self.endpoint.receivers.pop(teid, None)
        for network in self.networks.values():
            for address in session.addresses():
                if network.sessions.get(address) is session:
                    del network.sessions[address]

    def _network(self, dnn: str | None) -> Network | None:
        """A UPF with one data network need not be told which (8.2.4)."""
        if dnn is None and len(self.networks) == 1:
            return next(iter(self.networks.values()))
        return self.networks.get(dnn or "")

    def knows(self, dnn: str | None) -> bool:
        """Tell whether it has a data network."""
        return self._network(dnn) is not None

    def taken(self, dnn: str | None, address: int, session: Session) -> bool:
        """Tell whether another session has a UE's address."""
        network = self._network(dnn)
        return network is not None and network.sessions.get(address, session) is not session

    def _uplink(self, session: Session, way: Way, network: Network | None) -> Receiver:
        source, volumes = way.source, self.volumes

        def take(packet: memoryview, qfi: int | None) -> None:
            if source is not None and (len(packet) < _SHORTEST or int.from_bytes(packet[12:16], "big") != source):
                self.counts["spoofed"] += 1
                return
            volumes["in", qfi or 0] += len(packet)
            self._go(session, way, packet, network)

        return take

    def _receiver(self, network: Network) -> Callable[[memoryview], object]:
        sessions = network.sessions

        def take(packet: memoryview) -> None:
            if len(packet) < _SHORTEST or packet[0] >> 4 != 4:
                self.counts["not_ipv4"] += 1
                return
            session = sessions.get(int.from_bytes(packet[16:20], "big"))
            way = session.way_down(packet) if session is not None else None
            if session is None or way is None:
                self.counts["nobody"] += 1
                return
            self._go(session, way, packet, network)

        return take

    def _go(self, session: Session, way: Way, packet: memoryview, network: Network | None) -> None:
        far = way.far
        if far.action & FORWARD:
            if not way.lets(len(packet)):
                self.counts["over_rate"] += 1
            elif far.to is not None:
                self.volumes["out", way.qfi] += len(packet)
                self.endpoint.send(far.to, packet, way.qfi or None, tos=far.tos, downlink=not way.uplink)
            elif network is not None and network.tun is not None:
                network.tun.write(packet)
        elif far.action & KEEP:
            self._keep(session, way, packet)
        else:
            self.counts["dropped"] += 1

    def _keep(self, session: Session, way: Way, packet: memoryview) -> None:
        if session.keep(way, packet):
            self.counts["kept_too_many"] += 1
        if way.far.action & TELL and not session.told:
            session.told = True
            self.on_data(session, way.pdr)

    def _catch_up(self, session: Session) -> None:
        """Send what has waited, in its order, as far as rules let it go now."""
        waiting, session.waiting = session.waiting, type(session.waiting)()
        if not any(way.far.action & KEEP for way in session.down):
            session.told = False
        for number, packet in waiting:
            way = next((one for one in session.down if one.pdr == number), None)
            if way is not None:
                self._go(session, way, memoryview(packet), None)
