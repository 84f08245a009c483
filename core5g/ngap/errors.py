"""What can be wrong on N2."""

from __future__ import annotations

from testbed.errors import TestbedError, Unable


class NgapError(TestbedError):
    """A message that cannot be taken.

    Attributes:
        cause: group and value for an error indication (TS 38.413, 9.3.1.2).
    """

    def __init__(self, text: str, cause: str = "transfer-syntax-error", group: str = "protocol") -> None:
        super().__init__(text)
        self.cause = (group, cause)


class NoSctp(Unable):
    """The kernel has no SCTP."""

    def __init__(self) -> None:
        super().__init__(
            "this kernel has no SCTP, over which N2 goes; a lab in User-Mode Linux has it (`--substrate uml`), "
            "or load it: modprobe sctp"
        )
