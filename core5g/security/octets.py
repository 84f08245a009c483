"""Strings of bytes: combined, and of the right size."""

from __future__ import annotations

from core5g.security.errors import WrongSize


def xor(one: bytes, other: bytes) -> bytes:
    """Return the exclusive or of two strings of one size."""
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def sized(name: str, value: bytes, *sizes: int) -> bytes:
    """Return a value that has one of the sizes, in bytes.

    Raises:
        WrongSize: it has another; the message does not show it.
    """
    if len(value) not in sizes:
        raise WrongSize(name, len(value), sizes)
    return value
