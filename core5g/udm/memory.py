"""A home network whose subscribers are in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core5g.nas.values import Suci, digits_of
from core5g.security import suci as concealment
from core5g.security.base import Algorithm
from core5g.security.errors import NotConcealed
from core5g.security.milenage import Milenage
from core5g.security.vectors import Vector, following, resynchronised, vector
from core5g.udm.base import Subscription
from core5g.udm.errors import Unknown

_AMF = b"\x80\x00"


@dataclass(slots=True)
class Subscriber:
    """A SIM as its home knows it.

    Attributes:
        key, opc: 16 bytes each, never shown. sqn: the last sequence number given out.
    """

    subscription: Subscription
    key: bytes = field(repr=False)
    opc: bytes = field(repr=False)
    amf: bytes = _AMF
    sqn: int = 0

    @property
    def algorithm(self) -> Algorithm:
        """The functions that it shares with its home."""
        return Milenage(self.key, self.opc)


class MemoryHome:
    """A home network that forgets when the process ends.

    Attributes:
        subscribers: by IMSI.
    """

    def __init__(
        self, subscribers: Mapping[str, Subscriber], keys: Mapping[int, tuple[int, object]] | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:  # fmt: skip
        """Take what there is.

        Args:
            keys: of the home network by their identifiers: scheme, and private key as `suci.private_key` makes it.
            random: gives so many random bytes.
        """
        self.subscribers = dict(subscribers)
        self._keys, self._random = dict(keys or {}), random

    def reveal(self, suci: Suci) -> str:
        """Return the IMSI that an identity conceals; raises NotConcealed."""
        home = None
        if suci.scheme != concealment.NULL:
            scheme, home = self._keys.get(suci.key, (None, None))
            if scheme != suci.scheme:
                raise NotConcealed(f"key {suci.key} of profile {suci.scheme} is not the home network's")
        try:
            return suci.plmn + digits_of(concealment.reveal(suci.scheme, home, suci.output))
        except ValueError:
            raise NotConcealed("a concealed identity that is no IMSI") from None

    def subscription(self, imsi: str) -> Subscription:
        """Return what a subscriber may; raises Unknown."""
        return self._of(imsi).subscription

    def challenge(self, imsi: str, network: bytes) -> Vector:
        """Return a vector that was never used; raises Unknown."""
        one = self._of(imsi)
        one.sqn = following(one.sqn)
        return vector(one.algorithm, self._random(16), one.sqn, one.amf, network)

    def resynchronise(self, imsi: str, rand: bytes, auts: bytes) -> None:
        """Take up a SIM's sequence number; raises Unknown, MacFailure."""
        one = self._of(imsi)
        one.sqn = resynchronised(one.algorithm, rand, auts)

    def _of(self, imsi: str) -> Subscriber:
        found = self.subscribers.get(imsi)
        if found is None:
            raise Unknown(imsi)
        return found
