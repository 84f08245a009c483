"""What can go wrong between a SIM and its home. No message holds a key or a part of one."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.errors import BadInput, TestbedError, nearest


class WrongSize(BadInput):
    """A key or a parameter has another size than its algorithm takes."""

    def __init__(self, name: str, size: int, expected: Iterable[int]) -> None:
        wanted = " or ".join(map(str, expected))
        super().__init__(f"{name}: {size} bytes, expected {wanted} (what is there is not shown)")


class WrongKey(BadInput):
    """A key of the home network that is none of its scheme."""


class UnknownAlgorithm(BadInput):
    """There is no algorithm of this name or number."""

    def __init__(self, what: str, known: Iterable[str]) -> None:
        names = list(known)
        hint = nearest(what, names) if what.isalpha() else ""
        super().__init__(f"{what} is not known; expected one of {', '.join(names)}{hint}")


class NotAuthentic(TestbedError):
    """A SIM does not believe a challenge.

    Attributes:
        cause: that its phone tells the network (TS 24.501, 9.11.3.2).
    """

    cause: int


class MacFailure(NotAuthentic):
    """The network's token is not of this SIM's home: cause 20 of 5GMM."""

    cause = 20

    def __init__(self) -> None:
        super().__init__("the network's authentication token has a wrong code: another key, or not the home network")


class SyncFailure(NotAuthentic):
    """The token is the home's and was used before: cause 21 of 5GMM.

    Attributes:
        auts: 14 bytes for the home, by which it takes up the SIM's sequence number.
    """

    cause = 21

    def __init__(self, auts: bytes) -> None:
        super().__init__("the network's authentication token was used before")
        self.auts = auts


class NotFor5gs(NotAuthentic):
    """The token is the home's and for 2G or 3G, where vectors are less well guarded: cause 26 of 5GMM."""

    cause = 26

    def __init__(self) -> None:
        super().__init__("the network's authentication token is not for 5G: its AMF's first bit is 0")


class NotConcealed(TestbedError):
    """A concealed identity that cannot be opened."""


class WrongLength(NotConcealed):
    """It is too short for its scheme."""


class WrongPoint(NotConcealed):
    """Its public key is none."""


class WrongTag(NotConcealed):
    """Its code is wrong: it is for another key, or was changed."""
