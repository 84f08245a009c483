"""A UPF: SMFs associate with it and give it sessions (3GPP TS 29.244, 6)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from ipaddress import ip_address
from typing import Any

from core5g.gtpu.tunnel import Tunnel
from core5g.pfcp.codec import Cause, Elements, Kind, Message, wanted
from core5g.pfcp.errors import PfcpError
from core5g.pfcp.node import Answer, NoAnswer, Node, Peer
from core5g.pfcp.values import Fseid, Fteid, IpAddress
from core5g.upf import rules
from core5g.upf.config import UpfConfig
from core5g.upf.datapath import Datapath
from core5g.upf.rules import CORE, Rules
from core5g.upf.session import Session

_FEATURES = bytes((0x01 | 0x10, 0x01))
"""It keeps packets, chooses TEIDs, and sends end markers (8.2.25)."""
_DATA, _TUNNEL_LOST = 1, 4
"""Report types DLDR and ERIR (8.2.21)."""
_ASKED, _ENDED = b"\x80\x00\x00", b"\x00\x08\x00"
"""Usage report triggers: immediate report, termination (8.2.41)."""


class Upf:
    """A UPF.

    Attributes:
        config: what it was told. node: its end of N4. datapath: its packets.
        sessions: by SEID. smfs: that are associated, by node ID, with where they are.
        counts: what happened, by name; see `docs/core-embedded.md`.
    """

    def __init__(self, config: UpfConfig) -> None:
        self.config = config
        self.datapath = Datapath(config)
        self.datapath.on_data = self._data
        self.datapath.endpoint.on_error = self._tunnel_lost
        self.sessions: dict[int, Session] = {}
        self.smfs: dict[IpAddress | str, Peer] = {}
        self.counts: Counter[str] = Counter()
        self.node = Node({
            Kind.ASSOCIATION_SETUP_REQUEST: self._associate,
            Kind.ASSOCIATION_RELEASE_REQUEST: self._part,
            Kind.SESSION_ESTABLISHMENT_REQUEST: self._establish,
            Kind.SESSION_MODIFICATION_REQUEST: self._modify,
            Kind.SESSION_DELETION_REQUEST: self._delete,
        })  # fmt: skip
        self._last_seid = self._last_teid = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on N4 and N3 and make its devices; all or nothing. Raises as `Node.start` and `Datapath.start`."""
        await self.node.start(self.config.address, self.config.port)
        try:
            self.datapath.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.datapath.stop()
        self.node.stop()

    @property
    def _id(self) -> IpAddress:
        return ip_address(self.node.address[0])

    def _associate(self, message: Message, peer: Peer) -> Answer:
        """An SMF comes, or comes anew: what it had before is void (6.2.6)."""
        node, _ = wanted(message, "node_id", "recovery_time_stamp")
        before = self.smfs.get(node)
        if before is not None:
            self._forget(before)
        self.smfs[node] = peer
        self.counts["associations"] += 1
        return {**self._accepted(), "recovery_time_stamp": self.node.started, "up_function_features": _FEATURES}, None

    def _part(self, message: Message, _: Peer) -> Answer:
        (node,) = wanted(message, "node_id")
        before = self.smfs.pop(node, None)
        if before is None:
            raise PfcpError("no association", Cause.NO_ASSOCIATION)
        self._forget(before)
        return self._accepted(), None

    def _accepted(self) -> Elements:
        return {"node_id": self._id, "cause": Cause.ACCEPTED}

    def _forget(self, peer: Peer) -> None:
        for session in [one for one in self.sessions.values() if one.peer == peer]:
            self._end(session)

    def _end(self, session: Session) -> None:
        self.datapath.drop(session)
        del self.sessions[session.seid]

    def _establish(self, message: Message, peer: Peer) -> Answer:
        self.counts["establishments_requested"] += 1
        try:
            return self._established(message, peer)
        except PfcpError as error:
            self.counts[f"establishments_refused_{error.cause:d}"] += 1
            raise

    def _established(self, message: Message, peer: Peer) -> Answer:
        node, seid = wanted(message, "node_id", "f_seid")
        wanted(message, "create_pdr", "create_far")
        if self.smfs.get(node) != peer:
            raise PfcpError("no association", Cause.NO_ASSOCIATION)
        self._last_seid += 1
        session = Session(self._last_seid, peer, seid.seid, self.config.kept)
        created = self._change(session, message.ies)
        self.sessions[session.seid] = session
        self.counts["establishments"] += 1
        address = Fseid(session.seid, self._id)
        return {**self._accepted(), "f_seid": address, "created_pdr": created}, session.there

    def _modify(self, message: Message, _: Peer) -> Answer:
        session = self._of(message)
        before = {number: session.rules.fars[number].to for number in rules.moved(message.ies)
                  if number in session.rules.fars}  # fmt: skip
        created = self._change(session, message.ies)
        for tunnel in filter(None, before.values()):
            self.datapath.endpoint.send_end_marker(tunnel)
        self.counts["modifications"] += 1
        asked = [number for one in message.ies.get("query_urr", ()) for number in one.get("urr_id", ())]
        answer: Elements = {"cause": Cause.ACCEPTED}
        if created:
            answer["created_pdr"] = created
        if asked:
            answer["usage_report_modification"] = session.reports(asked, _ASKED)
        return answer, session.there

    def _delete(self, message: Message, _: Peer) -> Answer:
        session = self._of(message)
        self._end(session)
        self.counts["deletions"] += 1
        reports = session.reports(session.rules.urrs, _ENDED)
        return {"cause": Cause.ACCEPTED, "usage_report_deletion": reports}, session.there

    def _of(self, message: Message) -> Session:
        session = self.sessions.get(message.seid or 0)
        if session is None:
            raise PfcpError("a session that is not known", Cause.SESSION_NOT_FOUND)
        return session

    def _change(self, session: Session, ies: Elements) -> list[Elements]:
        """Have a session follow a request; return the tunnels that were chosen for it. A wrong one changes nothing."""
        chosen: dict[object, int] = {}

        def choose(tunnel: Fteid) -> int:
            if tunnel.teid is None:
                return chosen.setdefault(object() if tunnel.choose is None else tunnel.choose, self._teid())
            if tunnel.teid in self.datapath.endpoint.receivers and tunnel.teid not in session.ways:
                raise PfcpError("a tunnel that another session has", Cause.INVALID_FTEID)
            return tunnel.teid

        new = session.rules.changed(ies, choose)
        self._check(session, new)
        self.datapath.drop(session)
        session.follow(new)
        self.datapath.take_up(session)
        address = ip_address(self.datapath.endpoint.address[0])
        return [
            {"pdr_id": one["pdr_id"], "f_teid": Fteid(new.pdrs[one["pdr_id"]].teid, address)}
            for one in ies.get("create_pdr", ())
            if new.pdrs[one["pdr_id"]].teid is not None
        ]

    def _check(self, session: Session, new: Rules) -> None:
        for pdr in new.pdrs.values():
            if pdr.dnn is not None and not self.datapath.knows(pdr.dnn):
                raise PfcpError(f"data network {pdr.dnn} is not known", Cause.RULE_FAILURE, 22)
            if pdr.source == CORE and pdr.teid is None and pdr.address is None:
                raise PfcpError("a rule for all packets of a data network", Cause.RULE_FAILURE, 93)
            if pdr.address is not None and self.datapath.taken(pdr.dnn, int(pdr.address), session):
                raise PfcpError(f"{pdr.address} is another session's", Cause.RULE_FAILURE, 93)

    def _teid(self) -> int:
        while True:
            self._last_teid = self._last_teid % 0xFFFFFFFF + 1
            if self._last_teid not in self.datapath.endpoint.receivers:
                return self._last_teid

    def _data(self, session: Session, pdr: int) -> None:
        """The first packet waits for an idle UE."""
        about = {"report_type": _DATA, "downlink_data_report": {"pdr_id": pdr}}
        self._later(self._tell(session, about))

    def _tunnel_lost(self, teid: int, address: IpAddress) -> None:
        """A gNB does not know a tunnel; whose it is, is looked for, for this is rare."""
        tunnel = Tunnel(str(address), teid)
        for session in self.sessions.values():
            if any(one.to == tunnel for one in session.rules.fars.values()):
                about = {"f_teid": Fteid(teid, address)}
                self._later(self._tell(session, {"report_type": _TUNNEL_LOST, "error_indication_report": about}))

    async def _tell(self, session: Session, about: Elements) -> None:
        self.counts["reports"] += 1
        try:
            answer = await self.node.request(session.peer, Kind.SESSION_REPORT_REQUEST, about, session.there)
        except NoAnswer:
            self.counts["reports_unanswered"] += 1
            session.told = False  # the next packet tells again
            return
        if answer.ies.get("cause") == Cause.SESSION_NOT_FOUND and self.sessions.get(session.seid) is session:
            self._end(session)

    def _later(self, steps: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(steps)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
