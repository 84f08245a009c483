"""`testbed demo`: the whole loop on the metro rack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.output import AsJson, Reporter, print_json, print_table, stdout
from testbed.errors import ExitCode


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the reports and the summary.")] = Path(
        "out/demo"
    ),
    substrate: Annotated[str, typer.Option(help="auto, native or uml.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Rack, twin, a change refused, a change replayed, a cut seen. Exits 1 if any of it did not happen."""
    from testbed.demo import run

    with Reporter() as report:
        done = run(output, report, substrate=substrate)
    if as_json:
        print_json(done.summary)
    else:
        print_table(["seconds", "step", "what happened"], done.rows)
        stdout.print(f"report: {output / 'report.html'}   summary: {output / 'summary.json'}", markup=False)
    for failure in done.failures:
        typer.echo(f"testbed: did not happen: {failure}", err=True)
    if done.failures:
        raise typer.Exit(ExitCode.NO)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(demo)
