"""What several probes check and look up in the same way."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from testbed.emulator.context import Context
from testbed.errors import BadInput

T = TypeVar("T")


def check_owner(context: Context, address: str, node: str, role: str) -> None:
    """Check that a probe's far end is where the request says.

    Raises:
        BadInput: no such node, or the address belongs to another one.
    """
    context.node(node)
    owner = context.owner_of(address)
    if owner != node:
        whose = f"belongs to {owner}" if owner else "belongs to no node of this lab"
        raise BadInput(f"{address} {whose}; expected an address of the {role} {node}")


def check_range(what: str, value: float, low: float, high: float) -> None:
    """Check a number of a request, NaN included.

    Raises:
        BadInput: outside `low` to `high`.
    """
    if not low <= value <= high:
        raise BadInput(f"{what} is {value}; expected {low} to {high}")


def shared(context: Context, key: str, make: Callable[[], T]) -> T:
    """Return what outlasts a request under `key`, made on first use."""
    with context.lock:
        if key not in context.shared:
            context.shared[key] = make()
        return context.shared[key]


def wait_readable(sock: socket.socket, deadline: float) -> bool:
    """Wait for packets or queued errors until `deadline` on the monotonic clock; False when it passed."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    remaining = deadline - time.monotonic()
    return remaining > 0 and bool(poller.poll(remaining * 1000))
