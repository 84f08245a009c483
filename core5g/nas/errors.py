"""What can be wrong with a NAS message, each with the cause that the standard names."""

from __future__ import annotations

from typing import Self

from testbed.errors import TestbedError


class NasError(TestbedError):
    """A message that cannot be taken; without a cause it is ignored.

    Attributes:
        cause: of 5GMM or 5GSM (TS 24.501, 9.11.3.2 and 9.11.4.2) to answer with; None: no answer.
    """

    def __init__(self, text: str, cause: int | None = None) -> None:
        super().__init__(text)
        self.cause = cause


class SemanticError(NasError):
    """A message whose type is known and whose content is wrong."""

    @classmethod
    def mandatory(cls, name: str) -> Self:
        """Return that of a mandatory part that is missing or wrong: cause 96 (TS 24.501, 7.5.1)."""
        return cls(f"{name}: missing or wrong in a NAS message", 96)


class UnknownType(NasError):
    """A message type that is not known: cause 97 (TS 24.501, 7.4)."""

    def __init__(self, kind: int) -> None:
        super().__init__(f"NAS message type {kind:#04x} is not known", 97)


class NotIntact(NasError):
    """A message whose authentication code is wrong, or that came before; it is discarded (TS 24.501, 4.4.3)."""
