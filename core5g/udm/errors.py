"""What a home network does not know."""

from __future__ import annotations

from testbed.errors import TestbedError


class Unknown(TestbedError):
    """No subscriber of this network has this identity."""

    def __init__(self, imsi: str) -> None:
        super().__init__(f"imsi-{imsi}: not a subscriber; `testbed core sub add` makes one")
