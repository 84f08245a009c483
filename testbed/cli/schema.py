"""`testbed schema`: what the files may say."""

from __future__ import annotations

from typing import Annotated

import typer

from testbed.cli.output import print_json


def schema(
    name: Annotated[str, typer.Argument(help="topology, impairment, change, plan, verdict, rack, load or radio.")],
) -> None:
    """Print the JSON schema of a kind of file."""
    from sdr.broker.scenario import Scenario
    from testbed.model.schema import schema as schema_of

    print_json(schema_of(name, {"radio": Scenario}))


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(schema)
