"""`testbed switch drain | restore | pin | unpin | stats`: where our own controller's switches send packets."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from testbed.cli.complete import links, nodes
from testbed.cli.labs import LabOption, only_lab
from testbed.cli.output import AsJson, print_json, print_table, stdout
from testbed.emulator.segments import CountSwitches, Steer

app = typer.Typer(
    no_args_is_help=True, help="Open vSwitches told by our own controller: paths, links to leave, counts."
)

Links = Annotated[list[str], typer.Argument(help="Links between switches.", autocompletion=links)]
Source = Annotated[str, typer.Argument(help="Node that packets come from.", autocompletion=nodes)]
Destination = Annotated[str, typer.Argument(help="Node that they go to.", autocompletion=nodes)]


@app.command()
def drain(names: Links, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Take packets off links, as far as there is another way; the links stay up."""
    _steer(lab, Steer(drain=tuple(names)), f"restore {' '.join(names)}", as_json)


@app.command()
def restore(names: Links, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Let packets take drained links again."""
    _steer(lab, Steer(restore=tuple(names)), f"drain {' '.join(names)}", as_json)


@app.command()
def pin(source: Source, destination: Destination, names: Links, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Send packets from one node to another along exactly these links, in order."""
    from testbed.control.messages import Pin

    asked = Steer(pin=(Pin(source=source, destination=destination, links=tuple(names)),))
    _steer(lab, asked, f"unpin {source} {destination}", as_json)


@app.command()
def unpin(source: Source, destination: Destination, lab: LabOption = None, as_json: AsJson = False) -> None:
    """Let packets from one node to another take the shortest paths again."""
    _steer(lab, Steer(unpin=((source, destination),)), "", as_json)


def _steer(lab: str | None, request: Steer, undo: str, as_json: bool) -> None:
    opened = only_lab(lab)
    with opened.agent() as agent:
        done = agent.call(request)
    if as_json:
        print_json(done)
        return
    stdout.print(f"drained: {', '.join(done.after.drained) or 'nothing'}", markup=False)
    for one in done.after.pins:
        stdout.print(f"pinned: {one.source} to {one.destination} by {', '.join(one.links)}", markup=False)
    if undo:
        stdout.print(f"undo: testbed switch {undo} --lab {opened.name}", markup=False)


@app.command()
def stats(lab: LabOption = None, as_json: AsJson = False) -> None:
    """Show what ports and flows have counted, as samples. Exits 3 when a switch does not answer."""
    from testbed.control.samples import samples

    with only_lab(lab).agent() as agent:
        said = agent.call(CountSwitches())
    found = list(samples(said.counted, said.interfaces, time.time()))
    if as_json:
        print_json(found)
    else:
        rows = [[one.entity, one.metric, f"{one.value:.0f}", one.unit] for one in found]
        print_table(["entity", "metric", "value", "unit"], rows)
    if said.counted.silent:
        stdout.print(f"no answer from {', '.join(said.counted.silent)}", markup=False) if not as_json else None
        raise typer.Exit(3)


def register(parent: typer.Typer) -> None:
    """Add this group's commands."""
    parent.add_typer(app, name="switch")
