"""`testbed profile list | show | preview`: what links can be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.complete import profiles
from testbed.cli.output import AsJson, print_json, print_table, stdout
from testbed.errors import BadInput

app = typer.Typer(no_args_is_help=True, help="What links can be: fibre, microwave in rain, 5G, satellites, ...")

Call = Annotated[
    str, typer.Argument(help="Such as lte or 'microwave(km=5, rain=40)'.", autocompletion=profiles, metavar="PROFILE")
]
Beside = Annotated[
    Path | None, typer.Option("--beside", help="Folder whose netem_profiles come first, as beside a topology.")
]


@app.command("list")
def list_(beside: Beside = None, as_json: AsJson = False) -> None:
    """List the profiles there are, with the defaults of their parameters."""
    from testbed.model.profile import all_profiles

    found = list(all_profiles(beside))
    if as_json:
        print_json([{"name": one.name, "call": one.call, "about": one.about, "file": str(one.path)} for one in found])
    else:
        print_table(["profile", "what it is"], [[one.call, one.about] for one in found])


@app.command()
def show(call: Call, beside: Beside = None, as_json: AsJson = False) -> None:
    """Show what a profile does both ways, its parameters with their spans, and where its figures come from."""
    from testbed.emulator.lower import patch_of
    from testbed.emulator.settings import write_patch
    from testbed.model.profile import called, load_profile

    profile, values = called(call, beside)
    ways = dict(zip(("forward", "backward"), load_profile(call, beside), strict=True))
    spans = [[name, str(values[name]), one.span, one.about] for name, one in profile.parameters.items()]
    if as_json:
        about = {"name": profile.name, "about": profile.about, "source": profile.source, "file": str(profile.path)}
        print_json({**about, "parameters": values, "spans": {row[0]: row[2] for row in spans}, **ways})
        return
    stdout.print(f"{profile.about}\n{profile.path}", markup=False)
    print_table(["direction", "does"], [[way, " ".join(write_patch(patch_of(one)))] for way, one in ways.items()])
    if spans:
        print_table(["parameter", "value", "takes", "meaning"], spans)
    stdout.print(f"source: {' '.join(profile.source.split())}", markup=False)


@app.command()
def preview(
    call: Call,
    over: Annotated[
        str | None, typer.Option("--over", help="Parameter to vary; the first number when not given.", metavar="NAME")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Draw into this file: .svg or .html.")] = None,
    beside: Beside = None,
    as_json: AsJson = False,
) -> None:
    """Plot what a profile will do: delays as netem draws them, losses, and all over a parameter."""
    from testbed.report import preview_plot
    from testbed.report.preview import preview as work_out

    drawing = _drawing(out)
    found = work_out(call, over, beside)
    if out and drawing:
        out.write_text(drawing(found), encoding="utf-8")
    if as_json:
        print_json(found)
    elif out:
        stdout.print(f"{out}", markup=False)
    else:
        stdout.print(f"{found.call}: {found.about}", markup=False)
        print_table(["delay", "forward", "", "backward", ""], list(preview_plot.delay_rows(found)))
        for line in preview_plot.loss_lines(found):
            stdout.print(line, markup=False)
        if found.over:
            unit = f", {found.unit}" if found.unit else ""
            print_table([f"{found.over}{unit}", "delay", "loss", "rate"], list(preview_plot.step_rows(found)))


def _drawing(out: Path | None):
    from testbed.report import preview_plot

    if out is None:
        return None
    drawings = {".svg": preview_plot.to_svg, ".html": preview_plot.to_html}
    if out.suffix not in drawings:
        raise BadInput(f"--out {out}: expected a name that ends in .svg or .html")
    if not out.parent.is_dir():
        raise BadInput(f"--out {out}: there is no folder {out.parent}")
    return drawings[out.suffix]


def register(parent: typer.Typer) -> None:
    """Add this group's commands."""
    parent.add_typer(app, name="profile")
