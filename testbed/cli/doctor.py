"""`testbed doctor`: what this machine can do, and the command that mends each lack."""

from __future__ import annotations

from typing import Annotated

import typer

from testbed.cli.output import AsJson, print_json, print_table, stdout
from testbed.errors import ExitCode, Unable


def doctor(
    clean: Annotated[bool, typer.Option("--clean", help="Remove what crashed labs left, and only that.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --clean: only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Examine this machine. Exits 4 when no substrate can run here."""
    from testbed.substrate import doctor as examiner

    if clean:
        removed = examiner.clean(dry_run=dry_run)
        _print_removed(removed, dry_run, as_json)
        return
    capabilities = examiner.examine()
    substrate, why = _substrate()
    rack, why_rack = _substrate(own_kernel=True)
    if as_json:
        racks = {"substrate": rack, "why": why_rack}
        print_json({"capabilities": capabilities, "substrate": substrate, "why": why, "racks": racks})
    else:
        rows = [["yes" if c.ok else "NO", c.name, c.detail, "" if c.ok else c.fix] for c in capabilities]
        print_table(["", "capability", "found", "what mends it"], rows)
        stdout.print(f"substrate auto takes: {substrate or 'none'} ({why})", markup=False)
        stdout.print(f"for a rack it takes: {rack or 'none'} ({why_rack})", markup=False)
    if substrate is None:
        raise typer.Exit(ExitCode.UNABLE)


def _substrate(own_kernel: bool = False) -> tuple[str | None, str]:
    from testbed.substrate.registry import pick

    try:
        chosen, why = pick("auto", own_kernel)
    except Unable as lack:
        return None, str(lack)
    return chosen.name, why


def _print_removed(removed: list[str], dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"removed": removed, "dry_run": dry_run})
        return
    for line in removed:
        stdout.print(f"{'would remove' if dry_run else 'removed'} {line}", markup=False)
    if not removed:
        stdout.print("nothing was left behind")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(doctor)
