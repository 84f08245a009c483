"""Options that are quantities: written with their units, as in files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from testbed import units


def quantity(
    name: str, table: Mapping[str, float], example: str, help: str, metavar: str, *, positive: bool = True
) -> Any:
    """Return an option that takes a number with its unit and gives the SI value.

    Args:
        name: such as `--rate`. table: units, of testbed.units. example: a right value, for the message.
        help, metavar: as typer has them; the help has the default. positive: whether 0 and less are refused.
    """

    def read(value: Any) -> float:
        if not isinstance(value, str):  # a default
            return float(value)
        try:
            found = units.parse(value, table, example)
        except ValueError as error:
            raise typer.BadParameter(f"{value!r}: {error}") from None
        if positive and found <= 0:
            raise typer.BadParameter(f"{value!r}: expected more than 0, such as {example}")
        return found

    return typer.Option(name, parser=read, metavar=metavar, help=help, show_default=False)
