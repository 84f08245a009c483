"""How a name that the twin has not is told."""

from __future__ import annotations

from collections.abc import Iterable

from testbed.errors import nearest
from testbed.model.base import Problem

Where = tuple[str | int, ...]
MOST_NAMED = 12


def unknown(where: Where, value: str, expected: str, known: Iterable[str]) -> Problem:
    """Return a problem that lists some of the known names, and the nearest."""
    names = sorted(known)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    listed = f"{', '.join(names[:MOST_NAMED])}{more}" or "none"
    return Problem(where, value, f"expected {expected} ({listed}){nearest(value, names)}")
