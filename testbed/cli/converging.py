"""How `testbed up` tells what it changes in a lab that runs; `testbed save | restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.complete import labs
from testbed.cli.exchange import say
from testbed.cli.output import AsJson, Reporter, print_json, stdout
from testbed.errors import BadInput
from testbed.substrate.folder import write_atomically

_STYLES = {"+": "green", "-": "red", "~": "yellow"}


def running_lab(name: str):
    """Return the lab of this name, or None."""
    from testbed.lab import Lab

    return next((lab for lab in Lab.all() if lab.name == name), None)


def converge(
    lab, topology, substrate: str, timeout: float, *, keep_runtime: bool, dry_run: bool, as_json: bool
) -> None:
    """Make a running lab into a topology, and tell how."""
    from testbed.converge.carry_out import converge

    with Reporter() as report:
        plan = converge(
            lab, topology, substrate=substrate, keep_runtime=keep_runtime, dry_run=dry_run, progress=report,
            ready_timeout=timeout,
        )  # fmt: skip
    print_plan(lab.name, plan, dry_run, as_json)


def print_plan(lab: str, plan, dry_run: bool, as_json: bool) -> None:
    """Print what was or would be changed, like a plan of terraform."""
    from testbed.converge.listing import rows

    listed = rows(plan)
    if as_json:
        topology = plan.goal
        state = {"lab": lab, "nodes": len(topology.nodes), "links": len(topology.links)}
        print_json({**state, "changed": not plan.empty and not dry_run, **_told(plan)})
        return
    if not listed:
        stdout.print(f"lab {lab} is as the topology says; nothing to change", markup=False)
        return
    for row in listed:
        stdout.print(str(row), style=_STYLES[row.sign], markup=False)
    for change in plan.routers:
        for line in change.lines.splitlines():
            stdout.print(f"    {change.node}| {line}", markup=False, style="dim")
    counts = ", ".join(f"{sum(row.sign == sign for row in listed)} {word}" for sign, word in _WORDS.items())
    stdout.print(f"{counts}; nothing was changed (--dry-run)" if dry_run else f"lab {lab} has converged: {counts}")


_WORDS = {"+": "added", "~": "changed", "-": "removed"}


def _told(plan) -> dict:
    return {
        "edits": plan.edits,
        "routers": {change.node: change.lines.splitlines() for change in plan.routers},
        "commands": plan.commands,
    }


def save(
    lab: Annotated[str, typer.Argument(help="Lab.", autocompletion=labs)],
    file: Annotated[
        Path | None, typer.Argument(help="A topology file, YAML or (.json) JSON; standard output when not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a running lab as a topology file, with everything that was changed in it since it was brought up."""
    from testbed.converge.saved import save, written
    from testbed.lab import Lab

    topology, notes = save(Lab.open(lab))
    say(notes)
    if file is None:
        print(written(topology, Path(".json") if as_json else None), end="")
        return
    try:
        write_atomically(file, written(topology, file).encode(), 0o644)
    except OSError as error:
        raise BadInput(f"{file}: cannot be written: {error.strerror}") from None
    state = {"lab": lab, "file": str(file), "nodes": len(topology.nodes), "links": len(topology.links)}
    if as_json:
        print_json(state)
    else:
        stdout.print(f"lab {lab} is in {file}: {state['nodes']} nodes, {state['links']} links", markup=False)
