"""The options of every command that brings a lab up in guests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from testbed.errors import BadInput

if TYPE_CHECKING:
    from testbed.model.topology import GuestOptions

Memory = Annotated[str | None, typer.Option(help="Memory of each guest, such as 1GiB; overrides the topology.")]
Guests = Annotated[int | None, typer.Option(help="Guest kernels to spread it over; overrides the topology.")]


def overridden(options: GuestOptions, memory: str | None, guests: int | None) -> GuestOptions:
    """Return a topology's options with those that the command names in their place.

    Raises:
        BadInput: one is out of its range; the message names the option.
    """
    from pydantic import ValidationError

    changes = {key: value for key, value in (("memory", memory), ("guests", guests)) if value is not None}
    try:
        return options.model_validate(options.model_dump() | changes)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise BadInput(f"--{wrong['loc'][0]} {wrong['input']!r}: {wrong['msg']}") from None
