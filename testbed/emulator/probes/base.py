"""What several probes check and look up in the same way."""

from __future__ import annotations

import itertools
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar

from testbed.emulator.context import Context
from testbed.emulator.messages import Progress
from testbed.emulator.parts import Opened, Part
from testbed.errors import BadInput, TestbedError

T = TypeVar("T")

Ask = Callable[[Any], Any]
"""Has one half of a probe done by the agent that has the node."""
Tell = Callable[[Progress], None]


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


class Closing(Protocol):
    """Something that is closed at its end."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closing)


class Ends(Generic[C]):
    """What waits, in an agent, for the other half of its probe: by number, each for a limited time.

    Who opened one may die before closing it; what is overdue is closed when the next one is opened.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._open: dict[int, tuple[C, float]] = {}

    def number(self) -> int:
        """Return a number that was never used here."""
        return next(self._numbers)

    def add(self, number: int, end: C, seconds: float) -> None:
        """Keep one, for at most `seconds`."""
        now = time.monotonic()
        with self._lock:
            overdue = [key for key, (_, until) in self._open.items() if until < now]
            late = [self._open.pop(key)[0] for key in overdue]
            self._open[number] = (end, now + seconds)
        for each in late:
            each.close()

    def get(self, number: int) -> C:
        """Return one.

        Raises:
            BadInput: no such number, or closed before.
        """
        with self._lock:
            known = ", ".join(map(str, self._open)) or "none"
            if number in self._open:
                return self._open[number][0]
        raise BadInput(f"no {self._what} {number} is running (running: {known}); a {self._what} can be stopped once")

    def take(self, number: int) -> C:
        """Return one, and forget it: it will be closed.

        Raises:
            BadInput: no such number, or taken before.
        """
        end = self.get(number)
        with self._lock:
            self._open.pop(number, None)
        return end

    def close(self) -> None:
        """Close all."""
        with self._lock:
            ends, self._open = [end for end, _ in self._open.values()], {}
        for end in ends:
            end.close()


@contextmanager
def far_end(ask: Ask, opening: Part, closing: Callable[[Opened], Part]) -> Iterator[Opened]:
    """Open a far end; when the near end fails, close it again."""
    opened = ask(opening)
    try:
        yield opened
    except BaseException:
        with suppress(TestbedError):  # what went wrong first is what counts
            ask(closing(opened))
        raise


def wait_readable(sock: socket.socket, deadline: float) -> bool:
    """Wait for packets or queued errors until `deadline` on the monotonic clock; False when it passed."""
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    remaining = deadline - time.monotonic()
    return remaining > 0 and bool(poller.poll(remaining * 1000))
