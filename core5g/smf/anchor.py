"""Where sessions are anchored: the SMF's side of N4 (3GPP TS 29.244, 6.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core5g.gtpu.tunnel import Tunnel
from core5g.pfcp.codec import Cause, Elements, Kind, Message, wanted
from core5g.pfcp.errors import PfcpError
from core5g.pfcp.node import Answer, NoAnswer, Node, Peer, Rejected
from core5g.pfcp.values import Volume
from core5g.smf import rules
from core5g.smf.config import SmfConfig
from core5g.smf.session import Session
from core5g.smf.upfs import Upf, Upfs
from testbed.errors import TestbedError

_NO_ANSWER = 0
"""Cause under which it is counted where a UPF does not answer."""


class NoAnchor(TestbedError):
    """A UPF does not take a session."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of what UPFs tell.

    Attributes:
        data: packets for a session wait. tunnel_lost: its gNB does not know it. upf_lost: a UPF is gone.
        forgotten: a UPF does not know a session.
    """

    data: Callable[[Session], object]
    tunnel_lost: Callable[[Session], object]
    upf_lost: Callable[[Upf], object]
    forgotten: Callable[[Session], object]


class Anchor:
    """All UPFs of an SMF, and its sessions at them.

    Attributes:
        node: the SMF's end of N4. upfs: all of them. by_seid: sessions by the SMF's number.
    """

    def __init__(self, config: SmfConfig, listener: Listener, counts: Counter[str]) -> None:
        self.node = Node({Kind.SESSION_REPORT_REQUEST: self._report})
        self.upfs = Upfs(self.node, config.upfs, config.heartbeat, listener.upf_lost)
        self.by_seid: dict[int, Session] = {}
        self._config, self._listener, self._counts = config, listener, counts

    async def start(self) -> None:
        """Listen, and associate with all UPFs, now or as soon as they can; raises as `Node.start`."""
        await self.node.start(self._config.address, self._config.port)
        self.upfs.start(self._config.address)

    async def stop(self) -> None:
        """End; sessions stay as they are at UPFs, until an SMF of this address associates anew."""
        await self.upfs.stop()
        self.node.stop()

    async def establish(self, session: Session) -> None:
        """Set a session up at its UPF.

        Raises:
            NoAnchor: it does not take it.
        """
        self.by_seid[session.seid] = session
        ies = rules.establishment(session, self._config.address)
        self._counts["n4_requested"] += 1
        try:
            answer = await self.node.accepted(session.upf.peer, Kind.SESSION_ESTABLISHMENT_REQUEST, ies, 0)
            seid, created = wanted(answer, "f_seid", "created_pdr")
            tunnel = next(one["f_teid"] for one in created if one.get("pdr_id") == rules.UP)
        except (NoAnswer, Rejected, PfcpError, StopIteration, KeyError) as error:
            self._counts["upf_refusals"] += 1
            cause = error.cause if isinstance(error, Rejected | PfcpError) else _NO_ANSWER
            self._counts[f"n4_refused_{cause:d}"] += 1
            raise NoAnchor(f"{session.upf}: {error}") from None
        session.there, session.uplink = seid.seid, Tunnel(str(tunnel.address), tunnel.teid)

    async def modify(self, session: Session, ies: Elements) -> bool:
        """Change a session at its UPF; tell whether it has."""
        peer, seid = session.upf.peer, session.there
        try:
            answer = await self.node.accepted(peer, Kind.SESSION_MODIFICATION_REQUEST, ies, seid)
        except (NoAnswer, Rejected) as error:
            self._counts["upf_refusals"] += 1
            if isinstance(error, Rejected) and error.cause == Cause.SESSION_NOT_FOUND:
                self._listener.forgotten(session)
            return False
        self._used(session, answer.ies.get("usage_report_modification", ()))
        return True

    async def delete(self, session: Session) -> None:
        """End a session at its UPF; one that does not answer has lost it, or will hear it when it associates anew."""
        try:
            answer = await self.node.accepted(session.upf.peer, Kind.SESSION_DELETION_REQUEST, {}, session.there)
        except (NoAnswer, Rejected):
            self._counts["upf_refusals"] += 1
        else:
            self._used(session, answer.ies.get("usage_report_deletion", ()))

    def _used(self, session: Session, reports: Iterable[Elements]) -> None:
        """Each report counts from the one before (TS 29.244, 5.2.2.2)."""
        for report in reports:
            more = report.get("volume_measurement")
            if more is not None:
                session.usage = Volume(*map(sum, zip(session.usage, more, strict=True)))
                self._counts["bytes_up"] += more.uplink
                self._counts["bytes_down"] += more.downlink

    def _report(self, message: Message, _: Peer) -> Answer:
        """A UPF has something to tell of a session."""
        session = self.by_seid.get(message.seid or 0)
        if session is None:
            raise PfcpError("a session that is not known", Cause.SESSION_NOT_FOUND)
        self._counts["reports"] += 1
        self._used(session, message.ies.get("usage_report", ()))
        if "downlink_data_report" in message.ies:
            self._counts["downlink_data"] += 1
            self._listener.data(session)
        if "error_indication_report" in message.ies:
            self._counts["tunnels_lost"] += 1
            self._listener.tunnel_lost(session)
        return {"cause": Cause.ACCEPTED}, session.there
