"""Every kind of expectation, by the `kind` a change file names."""

from __future__ import annotations

from testbed.errors import BadInput, nearest
from testbed.validate.expectations import (
    adjacency,
    convergence,
    loss,
    nothing_else,
    path,
    reachable,
    rtt,
    throughput,
)
from testbed.validate.expectations.base import AFTER, BEFORE, Kind

__all__ = ["AFTER", "BEFORE", "KINDS", "Kind", "find"]

KINDS: dict[str, Kind] = {
    "reachable": reachable.KIND,
    "path": path.KIND,
    "rtt": rtt.KIND,
    "loss": loss.KIND,
    "throughput": throughput.KIND,
    "adjacency": adjacency.KIND,
    "convergence": convergence.KIND,
    "nothing-else-changed": nothing_else.KIND,
}


def find(kind: str) -> Kind:
    """Return how a kind of expectation is measured.

    Raises:
        BadInput: no such kind; the message lists the known ones, the nearest first.
    """
    if kind not in KINDS:
        raise BadInput(f"no expectation called {kind!r}{nearest(kind, KINDS)} (known: {', '.join(sorted(KINDS))})")
    return KINDS[kind]
