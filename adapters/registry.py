"""The table of adapters."""

from __future__ import annotations

from collections.abc import Callable

from adapters.base import Adapter, Transport
from adapters.frr import FrrAdapter
from adapters.linux import LinuxAdapter
from testbed.errors import BadInput, nearest

ADAPTERS: dict[str, Callable[[Transport], Adapter]] = {"frr": FrrAdapter, "linux": LinuxAdapter}


def find(name: str) -> Callable[[Transport], Adapter]:
    """Return the adapter of a device family.

    Raises:
        BadInput: no such family; the message lists the known ones, and the nearest.
    """
    if name in ADAPTERS:
        return ADAPTERS[name]
    raise BadInput(f"no adapter called {name!r}{nearest(name, ADAPTERS)} (known: {', '.join(sorted(ADAPTERS))})")
