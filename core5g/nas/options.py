"""Protocol configuration options: what else a UE asks about its session (3GPP TS 24.008, 10.5.6.3)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address

DNS_V4, MTU_V4 = 0x000D, 0x0010
_CONFIGURATION = b"\x80"
"""For use with IP, and an extension bit that is always set."""


def read(data: bytes | None) -> list[tuple[int, bytes]]:
    """Return the containers of options by their identifiers; what is cut off is left out."""
    found, at = [], 1
    while data is not None and at + 3 <= len(data):
        end = at + 3 + data[at + 2]
        if end > len(data):
            break
        found.append((int.from_bytes(data[at : at + 2], "big"), data[at + 3 : end]))
        at = end
    return found


def write(containers: Iterable[tuple[int, bytes]]) -> bytes:
    """Return options with these containers."""
    return _CONFIGURATION + b"".join(
        number.to_bytes(2, "big") + bytes((len(body),)) + body for number, body in containers
    )


def answer(asked: bytes | None, dns: Iterable[IPv4Address], mtu: int) -> bytes | None:
    """Return what a UE has asked for, as far as there is anything to say; None where it asked for nothing."""
    wanted = {number for number, _ in read(asked)}
    containers = [(DNS_V4, one.packed) for one in dns] if DNS_V4 in wanted else []
    if MTU_V4 in wanted:
        containers.append((MTU_V4, mtu.to_bytes(2, "big")))
    return write(containers) if containers else None
