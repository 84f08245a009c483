"""`testbed audit | key`: the record of what was done, and the keys of those who may approve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.output import AsJson, print_json, print_table, stdout
from testbed.errors import ExitCode

audit = typer.Typer(help="The record of everything that went to the rack.", no_args_is_help=True)
key = typer.Typer(help="Keys of those who may approve plans.", no_args_is_help=True)
LogFolder = Annotated[Path | None, typer.Option("--log", help="Folder of the log; the product's own when not given.")]


@audit.command()
def verify(
    log: LogFolder = None,
    head: Annotated[
        Path | None, typer.Option("--head", help="File with a head that `audit head` printed earlier, kept elsewhere.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find an altered, removed or cut off entry, and a log put back to an older state. Exits 1 when there is one."""
    from testbed.replay import api

    found = api.audit_verify(log, head)
    if as_json:
        print_json(found)
    else:
        stdout.print(f"{found.size} entries: {'all as they were written' if found.ok else 'BROKEN'}", markup=False)
        for problem in found.problems:
            stdout.print(problem, markup=False)
    if not found.ok:
        raise typer.Exit(ExitCode.NO)


@audit.command()
def show(log: LogFolder = None, as_json: AsJson = False) -> None:
    """Print the entries."""
    from testbed.replay import api

    entries = api.audit_entries(log)
    if as_json:
        print_json({"entries": entries})
    else:
        print_table(["#", "at", "what", "fields"], [_row(number, entry) for number, entry in enumerate(entries)])


@audit.command()
def head(log: LogFolder = None) -> None:
    """Print the newest signed head. Kept where this machine cannot write, it uncovers any later forgery."""
    from testbed.replay import api

    print(api.audit_head(log), end="")


@audit.command()
def renew(
    reason: Annotated[str, typer.Option("--reason", help="Why; it becomes the new log's first entry.")],
    as_json: AsJson = False,
) -> None:
    """Begin a new log in place of one that is broken or lost; the old one is kept beside it."""
    from testbed.replay import api

    moved = api.audit_renew(reason)
    if as_json:
        print_json({"kept": str(moved) if moved else None})
    else:
        stdout.print(f"a new log has begun; the old one: {moved or 'nothing was left of it'}", markup=False)


def _row(number: int, entry: dict) -> list[str]:
    fields = {name: value for name, value in entry.items() if name not in ("at", "kind")}
    return [
        str(number),
        str(entry.get("at", "")),
        str(entry.get("kind", "")),
        " ".join(f"{k}={v}" for k, v in fields.items()),
    ]


@key.command("new")
def new_key(
    file: Annotated[Path, typer.Argument(help="File for the private key (mode 0600); never overwritten.")],
    as_json: AsJson = False,
) -> None:
    """Make an approver's key; prints the public half, to be enrolled."""
    from testbed.replay import keys

    public = keys.public_text(keys.make_key(file))
    if as_json:
        print_json({"private": str(file), "public": public})
    else:
        stdout.print(f"{public}\nnext, who runs this rack: testbed key enrol NAME {public}", markup=False)


@key.command()
def enrol(
    name: Annotated[str, typer.Argument(help="Who the key belongs to.")],
    public: Annotated[str, typer.Argument(help="Public key, as `testbed key new` printed it.")],
) -> None:
    """Let somebody approve plans from now on."""
    from testbed.replay import api

    api.enrol(name, public)
    stdout.print(f"{name} may approve plans", markup=False)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.add_typer(audit, name="audit")
    app.add_typer(key, name="key")
