"""What an SMF tells UEs (3GPP TS 24.501, 6.3 and 6.4)."""

from __future__ import annotations

from core5g.nas import options
from core5g.nas import sessions as sm
from core5g.nas.codec import encode
from core5g.nas.errors import NasError
from core5g.nas.fields import SessionMessage
from core5g.nas.flows import BOTH, CREATE, DELETE, FlowDescription, PacketFilter, QosRule, everything
from core5g.nas.values import Addresses
from core5g.smf.base import Answer
from core5g.smf.causes import Cause
from core5g.smf.config import SmfConfig
from core5g.smf.session import DEFAULT_FLOW, Flow, Session

_MODE = 1
"""Service and continuity: the address stays as long as the session."""


def accept(session: Session, request: sm.SessionRequest, config: SmfConfig) -> bytes:
    """A UE has its session."""
    message = sm.SessionAccept(
        session=request.session,
        transaction=request.transaction,
        kind=sm.IPV4,
        mode=_MODE,
        rules=(everything(DEFAULT_FLOW),),
        ambr=session.ambr,
        cause=Cause.ONLY_IPV4.value if request.kind == sm.IPV4V6 else None,
        address=Addresses(session.address),
        slice=session.slice,
        flows=(FlowDescription(DEFAULT_FLOW, quality=session.quality.identifier),),
        options=options.answer(request.options, config.dns.get(session.dnn, ()), config.mtu),
        dnn=session.dnn,
    )
    return encode(message)


def reject(request: sm.SessionRequest, cause: Cause) -> bytes:
    """It has none."""
    return encode(sm.SessionReject(session=request.session, transaction=request.transaction, cause=cause.value))


def release(session: Session, cause: Cause, transaction: int = 0) -> bytes:
    """It has it no more. `transaction`: of its own request; 0 for what the network wants."""
    return encode(sm.ReleaseCommand(session=session.key[1], transaction=transaction, cause=cause.value))


def no_change(request: sm.ModificationRequest) -> Answer:
    """It may not change it by itself."""
    cause = Cause.NOT_SUPPORTED.value
    return Answer(encode(sm.ModificationReject(session=request.session, transaction=request.transaction, cause=cause)))


def change_rate(session: Session) -> bytes:
    """Its aggregate rate is another."""
    return encode(sm.ModificationCommand(session=session.key[1], ambr=session.ambr))


def add(session: Session, flow: Flow) -> bytes:
    """Some of its packets have a flow of their own."""
    filters = tuple(PacketFilter(number, BOTH, one.components()) for number, one in enumerate(flow.filters))
    rule = QosRule(flow.number, flow.number, CREATE, False, filters, 100 + flow.number)
    guaranteed, most = flow.guaranteed, flow.most or flow.guaranteed
    description = FlowDescription(
        flow.number,
        CREATE,
        flow.quality.identifier,
        guaranteed.uplink if guaranteed is not None else None,
        guaranteed.downlink if guaranteed is not None else None,
        most.uplink if most is not None else None,
        most.downlink if most is not None else None,
    )
    return encode(sm.ModificationCommand(session=session.key[1], rules=(rule,), flows=(description,)))


def remove(session: Session, flow: int) -> bytes:
    """They have it no more."""
    rule, description = QosRule(flow, flow, DELETE), FlowDescription(flow, DELETE)
    return encode(sm.ModificationCommand(session=session.key[1], rules=(rule,), flows=(description,)))


def status(message: SessionMessage, cause: Cause, over: bool = False) -> Answer:
    """A message does not fit. A status is never answered, or two could talk for ever."""
    if isinstance(message, sm.SessionStatus):
        return Answer(over=over)
    answer = sm.SessionStatus(session=message.session, transaction=message.transaction, cause=cause.value)
    return Answer(encode(answer), over=over)


def unreadable(session: int, error: NasError, over: bool) -> Answer:
    """A message cannot be read."""
    if error.cause is None:
        return Answer(over=over)
    return Answer(encode(sm.SessionStatus(session=session, cause=error.cause)), over=over)
