"""`testbed mininet`: scripts written for Mininet."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.labs import only_lab
from testbed.cli.output import Reporter, print_json, stdout

mininet = typer.Typer(help="Scripts written for Mininet, unmodified.", no_args_is_help=True)


@mininet.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run(
    script: Annotated[Path, typer.Argument(help="Python script that uses Mininet.")],
    arguments: Annotated[list[str] | None, typer.Argument(help="Its arguments.")] = None,
    substrate: Annotated[
        str, typer.Option(help="auto (native as root where the kernel has netem, else uml), native or uml.")
    ] = "auto",
    memory: Annotated[str | None, typer.Option(help="Memory of the guest, such as 1GiB.")] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds until a script in a guest is killed (exit code 124).")
    ] = 3600.0,
    open_vswitch: Annotated[
        bool,
        typer.Option(
            "--open-vswitch", help="Switches whose class the script leaves open are Open vSwitch, not bridges."
        ),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say where it would run, and why.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --dry-run: say it as JSON.")] = False,
) -> None:
    """Run a script on our engine; its output and exit code are the script's own.

    In a guest, Mininet's CLI takes the commands that are piped in.
    """
    from testbed.emulator.messages import Output
    from testbed.mininet_run import Script, choose, run_in_guest, run_natively

    found = Script.find(script, arguments or (), open_vswitch=open_vswitch)
    where, why = choose(substrate)
    size = _bytes(memory)
    if dry_run:
        if as_json:
            print_json({"script": str(found.file), "substrate": where, "why": why})
        else:
            stdout.print(f"{found.file} would run on {where}: {why}", markup=False)
        return
    if where == "native":
        run_natively(found)

    def write(event: Output) -> None:
        stream = sys.stdout if event.stream == "stdout" else sys.stderr
        stream.buffer.write(event.data)
        stream.flush()

    piped = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    given = replace(found, stdin=piped)
    with Reporter() as report:
        code = run_in_guest(given, write, memory=size, timeout=timeout, progress=report)
    raise typer.Exit(code)


@mininet.command()
def cli(
    lab: Annotated[str | None, typer.Argument(help="Name of the lab; may be left out when one is up.")] = None,
    script: Annotated[Path | None, typer.Option(help="Carry out this file's commands instead of those typed.")] = None,
) -> None:
    """Open Mininet's CLI on a lab that is up: `h1 ping h2`, pingall, net, link h1 s1 down, help."""
    from testbed.errors import BadInput
    from testbed.mininet_cli import run

    if script is not None and not script.is_file():
        raise BadInput(f"{script}: expected a file with commands of Mininet's CLI; there is no such file")
    run(only_lab(lab), None if script is None else str(script))


def _bytes(text: str | None) -> int | None:
    from testbed import units
    from testbed.errors import BadInput

    try:
        return None if text is None else round(units.parse(text, units.SIZE, "1GiB"))
    except ValueError as error:
        raise BadInput(f"--memory {text!r}: {error}") from None


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.add_typer(mininet, name="mininet")
