"""Whole NAS messages to bytes and back (3GPP TS 24.501, 9.1.1)."""

from __future__ import annotations

from core5g.nas import fields, mobility, sessions
from core5g.nas.errors import NasError, UnknownType
from core5g.nas.fields import Message, MobilityMessage, SessionMessage

MOBILITY, SESSION = 0x7E, 0x2E
"""Extended protocol discriminators (TS 24.007, 11.2.3.1.1A)."""

_MOBILITY = {one.layout.kind: one for one in vars(mobility).values() if hasattr(one, "layout")}
_SESSION = {one.layout.kind: one for one in vars(sessions).values() if hasattr(one, "layout")}


def encode(message: Message) -> bytes:
    """Return a message with its header, not protected.

    Raises:
        ValueError: a value does not fit its element; our own mistake.
    """
    kind = message.layout.kind
    if isinstance(message, SessionMessage):
        head = bytes((SESSION, message.session, message.transaction, kind))
    else:
        head = bytes((MOBILITY, 0, kind))
    return head + fields.write(message)


def decode(data: bytes) -> Message:
    """Return the message that bytes without protection are.

    Raises:
        UnknownType, SemanticError: with the cause to answer. NasError: it is to be ignored.
    """
    if data[:1] == bytes((MOBILITY,)):
        return decode_mobility(data)
    return decode_session(data)


def decode_mobility(data: bytes) -> MobilityMessage:
    """Return a message of 5GMM; raises as `decode`."""
    if len(data) < 3 or data[0] != MOBILITY:
        raise NasError("too short for a NAS message, or not one of 5GMM")
    if data[1] & 15:
        raise NasError("a protected NAS message where a plain one was expected")
    found = _MOBILITY.get(data[2])
    if found is None:
        raise UnknownType(data[2])
    return found(**fields.read(data, 3, found.layout))


def decode_session(data: bytes) -> SessionMessage:
    """Return a message of 5GSM; raises as `decode`."""
    if len(data) < 4 or data[0] != SESSION:
        raise NasError("too short for a NAS message, or not one of 5GSM")
    found = _SESSION.get(data[3])
    if found is None:
        raise UnknownType(data[3])
    return found(session=data[1], transaction=data[2], **fields.read(data, 4, found.layout))
