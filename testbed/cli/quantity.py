"""Options that are quantities: written with their units, as in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer

from testbed import units


def quantity(table: Mapping[str, float], example: str) -> Callable[[Any], float]:
    """Return the parser of an option: it takes text with a unit, and numbers (defaults) as they are.

    Args:
        table: units, of testbed.units. example: a right value, for the message.
    """

    def read(value: Any) -> float:
        if not isinstance(value, str):
            return float(value)
        try:
            return units.parse(value, table, example)
        except ValueError as error:
            raise typer.BadParameter(f"{value!r}: {error}") from None

    read.__name__ = example  # what the help shows
    return read
