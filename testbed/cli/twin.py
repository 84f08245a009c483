"""`testbed discover | mirror`: a topology from what devices say, and a twin kept in step with them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.complete import labs
from testbed.cli.guest import Guests, Memory, overridden
from testbed.cli.output import AsJson, Reporter, print_json, print_table, stdout
from testbed.errors import BadInput, ExitCode

mirror = typer.Typer(help="Keep a twin in step with a rack.", no_args_is_help=True)
InventoryFile = Annotated[Path, typer.Argument(help="Inventory of the rack (YAML).")]
TwinName = Annotated[str, typer.Argument(help="Twin.", autocompletion=labs)]


def discover(
    inventory: InventoryFile,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; standard output when not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a topology from what the devices themselves say."""
    from testbed.twin.discover import discover_rack, to_yaml

    with Reporter() as report:
        report("asking the devices")
        found = discover_rack(inventory)
    for note in found.notes:
        print_note(note)
    text = to_yaml(found.topology, found.notes)
    if output:
        output.write_text(text, encoding="utf-8")
    if as_json:
        print_json(found.topology)
    elif output:
        counts = f"{len(found.topology.nodes)} nodes, {len(found.topology.links)} links"
        stdout.print(f"{output}: {counts}", markup=False)
    else:
        print(text, end="")


def print_note(note: object) -> None:
    """Say a doubt on standard error."""
    typer.echo(f"note: {note}", err=True)


@mirror.command()
def start(
    inventory: InventoryFile,
    name: Annotated[str | None, typer.Option(help="Name of the twin; the rack's with -twin when not given.")] = None,
    topology: Annotated[Path | None, typer.Option(help="Topology; discovered when not given.")] = None,
    echo_every: Annotated[
        float,
        typer.Option(
            help="Seconds between two packets that measure a link: less shows loss sooner and costs devices more."
        ),
    ] = 0.1,
    capacity_every: Annotated[
        float, typer.Option(help="Seconds between two measurements of a link's capacity; 0 measures none.")
    ] = 60.0,
    memory: Memory = None,
    guests: Guests = None,
    as_json: AsJson = False,
) -> None:
    """Bring a twin of a rack up and keep it in step; return when it is."""
    from testbed.model.load import load_inventory, load_topology
    from testbed.model.topology import GuestOptions
    from testbed.twin import mirror as mirrors

    if not 0 <= capacity_every < math.inf:
        raise BadInput(f"--capacity-every {capacity_every:g}: expected seconds, such as 60, or 0 to measure none")
    if not 0.01 <= echo_every <= 10:
        raise BadInput(f"--echo-every {echo_every:g}: expected 0.01 to 10 seconds")
    with Reporter() as report:
        known = load_topology(topology) if topology else None
        guest = overridden(known.guest if known else GuestOptions(), memory, guests)
        state = mirrors.start(
            load_inventory(inventory), known, name, base=inventory.parent, guest=guest,
            echo_every=echo_every, capacity_every=capacity_every or None, progress=report,
        )  # fmt: skip
    if as_json:
        print_json(state)
    else:
        stdout.print(f"twin {state.name} mirrors rack {state.rack} every {state.period:g} s", markup=False)


@mirror.command()
def stop(
    name: TwinName,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the twin up as it is; `testbed down` takes it away.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Stop mirroring and take the twin down."""
    from testbed.twin import mirror as mirrors

    last = mirrors.stop(name, down=not keep)
    if as_json:
        print_json(last)
    else:
        stdout.print(f"mirror of {name} is stopped; the twin {'stays up' if keep else 'is down'}", markup=False)


@mirror.command()
def status(name: TwinName, as_json: AsJson = False) -> None:
    """Show how well a twin is in step. Exits 1 when its mirror does not run."""
    from testbed.twin import mirror as mirrors

    state = mirrors.status(name)
    if as_json:
        print_json(state)
    else:
        _print_status(state)
    if state.phase != "running":
        raise typer.Exit(ExitCode.NO)


def _print_status(state) -> None:
    stdout.print(f"twin {state.name} of rack {state.rack}: {state.phase} {state.error}".rstrip(), markup=False)
    aoi, error = state.aoi, state.rtt_error_ms
    rows = [
        ["age of information p50 / p95 / p99", f"{aoi.p50:.2f} / {aoi.p95:.2f} / {aoi.p99:.2f} s" if aoi else "-"],
        ["alignment (in time / planned)", f"{state.alignment:.3f} ({state.in_time}/{state.planned})"],
        ["state mismatches", f"{len(state.mismatches)} of {state.compared}"],
        ["RTT error p50 / p95", f"{error.p50:.3f} / {error.p95:.3f} ms over {error.pairs} pairs" if error else "-"],
        ["load carried", f"{state.load_scale:.0%} of the rack's"],
    ]
    print_table(["metric", "value"], rows)
    for text in state.drift:
        stdout.print(f"drift: {text}; the twin cannot follow: start it anew", markup=False)
    for mismatch in state.mismatches:
        stdout.print(f"mismatch: {mismatch}", markup=False)
    devices = [
        [
            name,
            "yes" if d.reachable else f"NO, for {state.written - (d.away_since or state.started):.0f} s",
            "-" if d.age is None else f"{d.age:.2f} s",
            f"{d.failures}/{d.polls}",
            d.error,
        ]
        for name, d in state.devices.items()
    ]
    print_table(["device", "reachable", "age", "failed polls", "error"], devices)
    print_table(
        ["link", "state", "delay", "loss", "rate", "load"],
        [_link_row(name, link) for name, link in state.links.items()],
    )


def _link_row(name: str, link) -> list[str]:
    load = " / ".join(f"{value / 1e6:.2f}" for value in link.load)
    rate = f"{link.rate / 1e6:.4g} Mbit/s" if link.rate else "no limit"
    state = "up" if link.up else "DOWN"
    return [name, state, f"{link.delay * 1e3:.3f} ms", f"{link.set_loss:.3%}", rate, f"{load} Mbit/s"]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(discover)
    app.add_typer(mirror, name="mirror")
