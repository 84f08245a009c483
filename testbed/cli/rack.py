"""`testbed rack`: a rack of real routers, how it does, and the hands of its test bench."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli.output import AsJson, Reporter, print_json, print_table, stdout
from testbed.errors import ExitCode

if TYPE_CHECKING:
    from testbed.enrol import Enrolment, Offer
    from testbed.rack_view import RackPlan, RackState

rack = typer.Typer(
    help="A rack of real routers in a kernel of its own, reached by nothing but SSH.", no_args_is_help=True
)


@rack.command()
def up(
    file: Annotated[Path, typer.Argument(help="Topology of the rack (YAML).")],
    name: Annotated[str | None, typer.Option(help="Name of the rack; the topology's when not given.")] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="First three numbers of the devices' loopback addresses, such as 127.77.0; a free one when not given."
        ),
    ] = None,
    substrate: Annotated[str, typer.Option(help="auto (uml where guests can run), native or uml.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be made.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a rack up; return when every device answers over SSH and says its neighbours are full."""
    from testbed.rack import rack_up

    if dry_run:
        from testbed.rack_view import plan

        _print_plan(plan(file, name=name, base=base, substrate=substrate), as_json)
        return
    with Reporter() as report:
        handle = rack_up(file, report, name=name, base=base, substrate=substrate)
    if as_json:
        inventory = str(handle.inventory_path)
        print_json({"rack": handle.name, "substrate": handle.lab().substrate, "inventory": inventory})
    else:
        stdout.print(f"rack {handle.name} is up; its inventory: {handle.inventory_path}", markup=False)


def _print_plan(plan: RackPlan, as_json: bool) -> None:
    if as_json:
        print_json(plan)
        return
    memory = f", {plan.memory // 2**20} MiB of memory at most" if plan.memory else ""
    stdout.print(f"rack {plan.rack}: substrate {plan.substrate}{memory} ({plan.why})", markup=False)
    print_table(
        ["device", "role", "SSH here", "management", "interfaces"],
        [[d.name, d.role, d.ssh, d.management, " ".join(d.interfaces)] for d in plan.devices],
    )
    stdout.print(f"{len(plan.links)} links: {' '.join(plan.links)}", markup=False)
    stdout.print(f"bench: {plan.bench}   folder: {plan.folder}", markup=False)
    stdout.print("nothing was changed (--dry-run)")


@rack.command()
def down(name: Annotated[str, typer.Argument(help="Rack.")], as_json: AsJson = False) -> None:
    """Take a rack down wholly."""
    from testbed.rack import rack_down

    rack_down(name)
    if as_json:
        print_json({"down": [name]})
    else:
        stdout.print(f"rack {name} is down")


@rack.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the racks there are, dead ones too; `testbed rack status NAME` asks one how it does."""
    from testbed.rack import racks
    from testbed.rack_view import glance

    found = [glance(each) for each in racks()]
    if as_json:
        print_json({"racks": found})
    else:
        print_table(["rack", "substrate", "state", "inventory"], [_row(each) for each in found])


def _row(state: RackState) -> list[str]:
    how = "up" if state.liveness.alive else f"dead: {state.liveness.reason}"
    return [state.rack, state.substrate, how, state.inventory]


@rack.command()
def status(name: Annotated[str, typer.Argument(help="Rack.")], as_json: AsJson = False) -> None:
    """Ask a rack and each of its devices, over SSH, how they do. Exits 1 when one does not answer."""
    from testbed.rack import open_rack
    from testbed.rack_view import state

    seen = state(open_rack(name))
    if as_json:
        print_json(seen)
    else:
        print_table(["rack", "substrate", "state", "inventory"], [_row(seen)])
        print_table(
            ["device", "role", "SSH here", "answers", "neighbours full"],
            [[d.name, d.role, d.ssh, d.said, f"{d.full} of {d.neighbours}" if d.answers else ""] for d in seen.devices],
        )
    if not seen.well:
        raise typer.Exit(ExitCode.NO)


@rack.command()
def enrol(
    inventory: Annotated[Path, typer.Argument(help="Inventory of the rack (YAML).")],
    devices: Annotated[list[str] | None, typer.Argument(help="Devices; all when none is named.")] = None,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            help="What the one device's key must have, SHA256:..., as its own console prints it; asks nobody."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take a key that has changed; needs --fingerprint, the new key's.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what the devices offer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Enrol host keys: ask for them without logging in, have them compared, add them to the known_hosts file.

    Exits 1 when a key was declined, is another than --fingerprint, or has changed.
    """
    from testbed import enrol as enrolling

    enrolment = enrolling.survey(inventory, devices or ())
    enrolling.check(enrolment, fingerprint, replace)
    accepted: list[enrolling.Offer] = []
    if not dry_run:
        accepted = list(enrolment.pending) if fingerprint else _compared(enrolment)
        enrolling.enrol(enrolment, accepted)
    rows = [enrolling.outcome(offer, offer in accepted, dry_run) for offer in enrolment.offers]
    if as_json:
        print_json({"known_hosts": str(enrolment.known_hosts), "devices": rows})
    else:
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    if not dry_run and len(accepted) < len(enrolment.pending):
        raise typer.Exit(ExitCode.NO)


def _compared(enrolment: Enrolment) -> list[Offer]:
    """Have somebody at the terminal compare each pending key."""
    from testbed.enrol import CONSOLE, ask_needed

    if enrolment.pending and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ask_needed(enrolment)
    accepted = []
    for offer in enrolment.pending:
        typer.echo(f"{offer.device} ({offer.host}) offers {offer.shown}\ncompare with {CONSOLE}", err=True)
        if typer.confirm("are they equal?", default=False, err=True):
            accepted.append(offer)
    return accepted


@rack.command(context_settings={"ignore_unknown_options": True})
def bench(
    name: Annotated[str, typer.Argument(help="Rack.")],
    words: Annotated[
        list[str],
        typer.Argument(
            help="cut LINK | mend LINK | impair LINK KEY=VALUE... | power-off DEVICE | power-on DEVICE | status"
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Be the hands at the rack: pull a cable, spoil a link, switch a device off. The controller never does this."""
    from testbed.rack import bench as hands

    said = hands(name, *words)
    if as_json:
        print_json({"rack": name, "bench": words, "said": said.splitlines()})
    else:
        stdout.print(said, markup=False)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.add_typer(rack, name="rack")
