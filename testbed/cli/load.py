"""`testbed load start | status | stop`: traffic between a lab's nodes, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from testbed.cli.complete import labs
from testbed.cli.output import AsJson, print_json, print_table, stderr, stdout
from testbed.errors import BadInput

app = typer.Typer(no_args_is_help=True, help="Load: flows of packets between nodes, measured one by one.")

LabName = Annotated[str, typer.Argument(help="Lab.", autocompletion=labs, metavar="LAB")]
All = Annotated[bool, typer.Option("--all", help="Show every flow, not only those that fare worst.")]
Drawing = Annotated[
    Path | None, typer.Option("--svg", help="Draw what was offered and delivered to this file.", dir_okay=False)
]
SHOWN = 30


@app.command()
def start(
    lab: LabName,
    file: Annotated[Path | None, typer.Argument(help="Load file (YAML).", dir_okay=False)] = None,
    demands: Annotated[bool, typer.Option("--demands", help="The topology's demands, in Mbit/s.")] = False,
    gravity: Annotated[str | None, typer.Option(help="Between all nodes, so much in all (100Mbit).")] = None,
    by: Annotated[str | None, typer.Option(help="Weights of the gravity model: degree (default) or equal.")] = None,
    weight: Annotated[list[str] | None, typer.Option(help="Instead, NODE=WEIGHT (population); repeat.")] = None,
    scale: Annotated[float, typer.Option(help="Multiply all rates.")] = 1.0,
    protocol: Annotated[str | None, typer.Option(help="Of the matrix's flows: udp (default) or tcp.")] = None,
    slices: Annotated[
        list[str] | None, typer.Option("--slice", help="NAME=DSCP; each pair has a flow in every slice.")
    ] = None,
    packet_size: Annotated[int | None, typer.Option(help="Bytes of an IP packet, 64 to 9000 (1000).")] = None,
    seed: Annotated[int | None, typer.Option(help="Of what is drawn at random.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which flows it would be, and send none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start a lab's load in the place of the one before; this command does not wait for its end."""
    from testbed.emulator.loading import SetLoad
    from testbed.lab import Lab
    from testbed.load import flows_of, matrix_load, written_or_declared

    opened = Lab.open(lab)
    options = matrix_load(
        demands, gravity, weight or (), slices or (), by=by, protocol=protocol, size=packet_size, seed=seed
    )
    if options is not None and file is not None:
        raise BadInput(f"expected either the load file {file}, or --demands and --gravity, not both")
    written = options or written_or_declared(file, opened.topology)
    flows, notes = flows_of(written, opened.topology, scale)
    for line in notes:
        stderr.print(line, markup=False)
    if not dry_run:
        with opened.agent() as agent:
            agent.call(SetLoad(flows=flows, measured=True))
    _say_flows(lab, flows, dry_run, as_json)


def _say_flows(lab: str, flows: Any, dry_run: bool, as_json: bool) -> None:
    from testbed import units

    rate = sum(flow.rate for flow in flows)
    packets = sum(flow.rate / flow.mean_size / 8 for flow in flows)
    if as_json:
        print_json({"lab": lab, "rate": rate, "packets_per_second": packets, "flows": flows})
        return
    if dry_run:
        rows = [[f.name, f.source, f.sink, f.protocol, str(f.dscp), units.show(f.rate, units.RATE)] for f in flows]
        print_table(["flow", "from", "to", "protocol", "dscp", "rate"], rows)
    stdout.print(f"{len(flows)} flows, {units.show(rate, units.RATE)}/s, {packets:.0f} packets/s", markup=False)
    if not dry_run:
        stdout.print(f"see: testbed load status {lab}; end: testbed load stop {lab}", markup=False)


@app.command()
def status(lab: LabName, all_: All = False, svg: Drawing = None, as_json: AsJson = False) -> None:
    """Show what became of each flow so far. Exits 1 when over 1 % of a flow was not sent."""
    _tell(lab, False, all_, svg, as_json)


@app.command()
def stop(lab: LabName, all_: All = False, svg: Drawing = None, as_json: AsJson = False) -> None:
    """End the load, and show what became of each flow. Exits 1 when over 1 % of a flow was not sent."""
    _tell(lab, True, all_, svg, as_json)


def _tell(lab: str, stop: bool, all_: bool, svg: Path | None, as_json: bool) -> None:
    from testbed.emulator.loading import ReadLoad
    from testbed.lab import Lab
    from testbed.load import falls_short, keep, summary, warnings, worst_first
    from testbed.report.load import draw, rows
    from testbed.twin.starter import SAMPLES_FILE

    opened = Lab.open(lab)
    with opened.agent() as agent:
        report = agent.call(ReadLoad(stop=stop))
    keep(report, opened.folder.path / SAMPLES_FILE)
    if svg is not None:
        svg.write_text(draw(report), encoding="utf-8")
    if as_json:
        print_json(summary(report))
    else:
        chosen = report.flows if all_ else worst_first(report)[:SHOWN]
        print_table(*rows(chosen))
        left = len(report.flows) - len(chosen)
        if left:
            stdout.print(f"... and {left} flows that fare better (--all, --json)", markup=False)
        state = "running" if report.running else "not running"
        stdout.print(f"{len(report.flows)} flows, {state}", markup=False)
    for line in warnings(report):
        stderr.print(line, markup=False)
    if any(map(falls_short, report.flows)):
        raise typer.Exit(1)


def register(parent: typer.Typer) -> None:
    """Add this group's commands."""
    parent.add_typer(app, name="load")
