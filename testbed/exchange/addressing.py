"""Addresses for graphs that have none: the same graph always gets the same."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

from testbed.errors import BadInput

_WIRES = int(IPv4Address("10.0.0.0"))
_LOOPBACKS = int(IPv4Address("10.255.0.0"))
MOST_ROUTERS = 2**16 - 2
MOST_WIRES = (_LOOPBACKS - _WIRES) // 2


def loopback(index: int) -> IPv4Interface:
    """Return the loopback of the router with this index, from 0: 10.255.0.1/32 and on.

    Raises:
        BadInput: there are more routers than 10.255.0.0/16 has addresses.
    """
    if index >= MOST_ROUTERS:
        raise BadInput(f"expected at most {MOST_ROUTERS} nodes to give addresses of 10.255.0.0/16 to")
    return IPv4Interface((_LOOPBACKS + index + 1, 32))


def wire(index: int) -> tuple[IPv4Interface, IPv4Interface]:
    """Return the ends of the link with this index, from 0: 10.0.0.0/31, 10.0.0.2/31 and on (RFC 3021).

    Raises:
        BadInput: there are more links than fit below 10.255.0.0.
    """
    if index >= MOST_WIRES:
        raise BadInput(f"expected at most {MOST_WIRES} links to give addresses of 10.0.0.0/8 to")
    first = _WIRES + 2 * index
    return IPv4Interface((first, 31)), IPv4Interface((first + 1, 31))
