"""A security context of NAS: keys, counters, and messages protected by them (3GPP TS 33.501, 6.4; TS 24.501, 4.4)."""

from __future__ import annotations

import hmac
from typing import Literal

from core5g.nas.codec import MOBILITY, decode_mobility, encode
from core5g.nas.errors import NasError, NotIntact
from core5g.nas.fields import Message, MobilityMessage
from core5g.security import ciphers, keys

PLAIN, INTACT, CIPHERED, INTACT_NEW, CIPHERED_NEW = range(5)
"""Security header types (TS 24.501, 9.3.1); NEW: the context is taken into use by this message."""
_HEAD = 7
"""Bytes before the message inside: discriminator, header type, code, sequence number."""
_MOST = 2**24 - 1
_REPEATABLE = 256

Side = Literal["core", "ue"]


class Security:
    """What a UE and its AMF share.

    Attributes:
        key: K_AMF. ciphering, integrity: numbers of the algorithms. identifier: of the key set, 0 to 6.
        sent, received: NAS COUNT of the next message to send, and of the next that may come.
    """

    __slots__ = ("_ciphering", "_in", "_integrity", "_out", "ciphering", "identifier", "integrity", "key",
                 "received", "sent")  # fmt: skip

    def __init__(self, side: Side, key: bytes, ciphering: int, integrity: int, identifier: int = 0) -> None:
        """Args: key: K_AMF, 32 bytes."""
        self.key, self.ciphering, self.integrity, self.identifier = key, ciphering, integrity, identifier
        self._ciphering = keys.of_algorithm(key, keys.NAS_CIPHERING, ciphering)
        self._integrity = keys.of_algorithm(key, keys.NAS_INTEGRITY, integrity)
        ways = (ciphers.DOWNLINK, ciphers.UPLINK)
        self._out, self._in = ways if side == "core" else ways[::-1]
        self.sent = self.received = 0

    def protect(self, message: Message, header: int = CIPHERED) -> bytes:
        """Return a message with its code, encrypted unless the header says otherwise.

        Raises:
            NasError: the counter is used up; the keys must be changed.
        """
        if self.sent > _MOST:
            raise NasError("the NAS counter is used up: authenticate again")
        count, inside = self.sent, encode(message)
        self.sent += 1
        if header in (CIPHERED, CIPHERED_NEW):
            inside = ciphers.cipher(self.ciphering, self._ciphering, count, self._out, inside)
        body = bytes((count & 255,)) + inside
        code = ciphers.code(self.integrity, self._integrity, count, self._out, body)
        return bytes((MOBILITY, header)) + code + body

    def accept(self, data: bytes) -> MobilityMessage:
        """Return the message inside a protected one.

        Raises:
            NotIntact: its code is wrong, or it came before. NasError: as `decode_mobility`.
        """
        header = header_of(data)
        if header == PLAIN or len(data) <= _HEAD:
            raise NotIntact("a NAS message without protection where protection is due")
        count = self._count(data[6])
        code = ciphers.code(self.integrity, self._integrity, count, self._in, data[6:])
        if count > _MOST or not hmac.compare_digest(code, data[2:6]):
            raise NotIntact("a NAS message whose code is wrong, or that came before")
        self.received = count + 1
        inside = data[_HEAD:]
        if header in (CIPHERED, CIPHERED_NEW):
            inside = ciphers.cipher(self.ciphering, self._ciphering, count, self._in, inside)
        return decode_mobility(inside)

    def plain(self, container: bytes) -> bytes:
        """Return what the container of an accepted initial message has encrypted inside (TS 24.501, 4.4.6)."""
        return ciphers.cipher(self.ciphering, self._ciphering, self.received - 1, self._in, container)

    def conceal(self, message: Message) -> bytes:
        """Return a message encrypted for the container of the next one that is sent."""
        return ciphers.cipher(self.ciphering, self._ciphering, self.sent, self._out, encode(message))

    def _count(self, sequence: int) -> int:
        """The least counter that ends so and was not used (TS 24.501, 4.4.3.1)."""
        count = self.received & ~255 | sequence
        return count if count >= self.received else count + _REPEATABLE


def header_of(data: bytes) -> int:
    """Return a message's security header type.

    Raises:
        NasError: it is no message of 5GMM.
    """
    if len(data) < 3 or data[0] != MOBILITY or data[1] > CIPHERED_NEW:
        raise NasError("too short for a NAS message, or not one of 5GMM")
    return data[1]


def inside_of(data: bytes) -> bytes:
    """Return what a message that is not encrypted has inside, whether its code is right or not.

    What a UE says first may be protected by keys that the core has lost (TS 24.501, 4.4.4.3).

    Raises:
        NasError: it is no message of 5GMM, or it is encrypted.
    """
    header = header_of(data)
    if header == PLAIN:
        return data
    if header not in (INTACT, INTACT_NEW) or len(data) <= _HEAD:
        raise NasError("an encrypted NAS message of a UE whose keys are not known")
    return data[_HEAD:]
