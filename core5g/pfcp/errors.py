"""What can be wrong with PFCP."""

from __future__ import annotations

from testbed.errors import TestbedError


class PfcpError(TestbedError):
    """A message that cannot be taken.

    Attributes:
        cause: to answer with (TS 29.244, 8.2.1). offending: type of the element it is about, 0 for none.
    """

    def __init__(self, text: str, cause: int = 69, offending: int = 0) -> None:
        super().__init__(text)
        self.cause, self.offending = cause, offending
