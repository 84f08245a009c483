"""Why a UE or gNB did not get what it wanted."""

from __future__ import annotations

from testbed.errors import TestbedError


class NoService(TestbedError):
    """A procedure failed.

    Attributes:
        cause: what the network named, such as `5GMM 11`; or what else it was: `no answer`, `released`.
    """

    def __init__(self, who: str, what: str, cause: str) -> None:
        super().__init__(f"{who}: {what} failed: {cause}")
        self.cause = cause
