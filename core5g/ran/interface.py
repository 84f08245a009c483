"""UEs' addresses on a network interface: what any program sends from one of them goes by that UE's session."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from core5g.gtpu.tun import Tun
from testbed.emulator.namespaces import Namespaces

if TYPE_CHECKING:
    from core5g.ran.sessions import PduSession
    from core5g.ran.ue import Ue

_SHORTEST = 20


class Interface:
    """A TUN device that has the addresses of UEs' sessions, one, many or all.

    Attributes:
        counts: what happened, by name.
    """

    def __init__(self, name: str, mtu: int = 1400, namespace: Namespaces | None = None) -> None:
        """Make it; raises as `Tun`."""
        self.counts: Counter[str] = Counter()
        self._tun = Tun(name, mtu, namespace)
        self._by_source: dict[int, tuple[Ue, PduSession]] = {}
        self._tun.receive = self._outgoing
        self._tun.start()

    def stop(self) -> None:
        """Remove it."""
        self._tun.stop()

    def route(self, destination: str = "") -> None:
        """Have packets to a network (empty: to all) leave by it; raises as `Tun.add_route`."""
        self._tun.add_route(destination)

    def serve(self, ue: Ue) -> None:
        """Have the addresses of all sessions that a UE sets up from here on."""
        ue.sessions.on_made = lambda session: self._add(ue, session)
        ue.sessions.on_removed = self._remove

    def _add(self, ue: Ue, session: PduSession) -> None:
        self._tun.add_address(f"{session.address}/32")
        self._by_source[int(session.address)] = ue, session
        session.receive = self._tun.write

    def _remove(self, session: PduSession) -> None:
        if self._by_source.pop(int(session.address), None) is not None:
            self._tun.remove_address(f"{session.address}/32")

    def _outgoing(self, packet: memoryview) -> None:
        if len(packet) < _SHORTEST or packet[0] >> 4 != 4:
            self.counts["not_ipv4"] += 1
            return
        found = self._by_source.get(int.from_bytes(packet[12:16], "big"))
        if found is None:
            self.counts["of_nobody"] += 1
            return
        ue, session = found
        if not session.send(packet):
            ue.come_back()
