"""What the network itself changes of PDU sessions (3GPP TS 23.502, 4.3.3 and 4.3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core5g.nas.values import Ambr
from core5g.pfcp.values import Volume
from core5g.smf import messages, rules, transfers
from core5g.smf.base import Action, Key
from core5g.smf.causes import Cause
from core5g.smf.session import DEFAULT_FLOW, MOST_FLOWS, Flow, Session, State
from testbed.errors import BadInput

if TYPE_CHECKING:
    from core5g.smf.smf import Smf


def of(smf: Smf, key: Key) -> Session:
    """Return a session.

    Raises:
        BadInput: there is none.
    """
    session = smf.sessions.get(key)
    if session is None or session.state == State.ENDING:
        raise BadInput(f"imsi-{key[0]} has no session {key[1]}")
    return session


async def release(smf: Smf, key: Key, cause: Cause = Cause.REGULAR) -> None:
    """Take a session away from its UE; raises as `of`."""
    session = of(smf, key)
    async with session.lock:
        smf.push(session, await smf.ending(session, cause))


async def change_rate(smf: Smf, key: Key, ambr: Ambr) -> None:
    """Change a session's aggregate rate (bit/s); raises as `of`."""
    session = of(smf, key)
    async with session.lock:
        session.ambr = ambr
        await smf.anchor.modify(session, rules.rate(session))
        _tell(smf, session, messages.change_rate(session), transfers.modify(session))


async def add_flow(smf: Smf, key: Key, flow: Flow) -> None:
    """Give some of a session's packets a flow of their own.

    Raises:
        BadInput: there is no such session, or it has this flow already, or the flow has no filter.
    """
    session = of(smf, key)
    if flow.number in session.flows or not DEFAULT_FLOW < flow.number <= MOST_FLOWS or not flow.filters:
        raise BadInput(f"{session}: flow {flow.number}: expected one that it has not, 2 to 63, with a filter")
    async with session.lock:
        session.flows[flow.number] = flow
        await smf.anchor.modify(session, rules.add(session, flow))
        _tell(smf, session, messages.add(session, flow), transfers.modify(session, (flow,)))


async def remove_flow(smf: Smf, key: Key, number: int) -> None:
    """Take a flow away; its packets travel in the default one.

    Raises:
        BadInput: there is no such session or flow.
    """
    session = of(smf, key)
    if number not in session.flows:
        raise BadInput(f"{session}: flow {number}: expected one of {sorted(session.flows) or 'none'}")
    async with session.lock:
        del session.flows[number]
        await smf.anchor.modify(session, rules.remove(number))
        _tell(smf, session, messages.remove(session, number), transfers.modify(session, (), (number,)))


async def volume(smf: Smf, key: Key) -> Volume:
    """Ask what has gone through a session until now; raises as `of`."""
    session = of(smf, key)
    await smf.anchor.modify(session, rules.query())
    return session.usage


def _tell(smf: Smf, session: Session, message: bytes, transfer: bytes) -> None:
    smf.push(session, session.told(message, Action.MODIFY, transfer))
    smf.tell_again(session, message)
