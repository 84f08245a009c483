"""What can go wrong between a SIM and its home."""

from __future__ import annotations

from testbed.errors import TestbedError


class MacFailure(TestbedError):
    """The network's token is not of this SIM's home: cause 20 of 5GMM."""

    def __init__(self) -> None:
        super().__init__("the network's authentication token has a wrong code: another key, or not the home network")


class SyncFailure(TestbedError):
    """The token is the home's and was used before: cause 21 of 5GMM.

    Attributes:
        auts: 14 bytes for the home, by which it takes up the SIM's sequence number.
    """

    def __init__(self, auts: bytes) -> None:
        super().__init__("the network's authentication token was used before")
        self.auts = auts


class NotConcealed(TestbedError):
    """A concealed identity that cannot be opened."""
