"""`testbed core`: the 5G core of a topology."""

from __future__ import annotations

import typer

from testbed.cli import core_config

app = typer.Typer(no_args_is_help=True, help="The 5G core: its configuration, subscribers and functions.")
core_config.register(app)


def register(parent: typer.Typer) -> None:
    """Add this group's commands."""
    parent.add_typer(app, name="core")
