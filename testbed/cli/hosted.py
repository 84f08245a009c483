"""`testbed hosted`: the far end of `--substrate ssh:HOST`; nobody types it."""

from __future__ import annotations

import typer


def hosted() -> None:
    """Do what the controller of a lab on another machine orders, by a line of JSON on the standard input."""
    from testbed.substrate.hosted import serve

    serve()


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(hidden=True)(hosted)
