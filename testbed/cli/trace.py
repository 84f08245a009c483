"""`testbed trace play | stop | status | show | list`: links through time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from testbed.cli.complete import links, traces
from testbed.cli.labs import LabOption, only_lab
from testbed.cli.output import AsJson, print_json, print_table, stdout

app = typer.Typer(
    no_args_is_help=True, help="Links through time: measured traces, satellites, rain, load, random walks."
)

Spec = Annotated[
    str,
    typer.Argument(
        help="csv:FILE, mahimahi:FILE, radio:SCENARIO:SOURCE:SINK or a generator such as 'leo-pass(seed=1)'.",
        autocompletion=traces,
        metavar="TRACE",
    ),
]
Repeat = Annotated[bool, typer.Option("--repeat", help="Begin anew at the end; mahimahi's always do.")]


@app.command()
def play(
    link: Annotated[str, typer.Argument(help="Link.", autocompletion=links)],
    trace: Spec,
    lab: LabOption = None,
    forward: Annotated[bool, typer.Option("--forward", help="Only from the first end to the second.")] = False,
    backward: Annotated[bool, typer.Option("--backward", help="Only from the second end to the first.")] = False,
    repeat: Repeat = False,
    as_json: AsJson = False,
) -> None:
    """Play a trace on a link, in the lab; this command does not wait for its end."""
    from testbed.emulator.lower import tracks_of
    from testbed.emulator.playing import Play
    from testbed.model.traces.spec import anchored, read_trace

    track = read_trace(trace, repeat=repeat)
    ways: tuple[tuple[Literal[0, 1], bool], ...] = ((0, forward), (1, backward))
    ends: list[Literal[0, 1]] = [end for end, asked in ways if asked or forward == backward]
    tracks = tracks_of(link, track, ends, anchored(trace, Path()), repeat)
    opened = only_lab(lab)
    with opened.agent() as agent:
        state = agent.call(Play(tracks=tracks))
    if as_json:
        print_json(
            {"seconds": track.seconds, "settings": len(track.times), "repeats": track.lap is not None, **told(state)}
        )
        return
    again = ", again and again" if track.lap is not None else ""
    stdout.print(f"{link}: {len(track.times)} settings over {track.seconds:g} s{again}", markup=False)
    stdout.print(f"undo: testbed trace stop {link} --lab {opened.name} --restore", markup=False)


@app.command()
def stop(
    names: Annotated[list[str] | None, typer.Argument(help="Links; all when none.", autocompletion=links)] = None,
    restore: Annotated[bool, typer.Option("--restore", help="Give links back what they had before.")] = False,
    lab: LabOption = None,
    as_json: AsJson = False,
) -> None:
    """End traces; links stay as they are then, or get back what they had."""
    from testbed.emulator.playing import StopPlay

    _say(lab, StopPlay(links=tuple(names or ()), restore=restore), as_json)


@app.command()
def status(lab: LabOption = None, as_json: AsJson = False) -> None:
    """Show what plays, and how late settings were made. Exits 1 when something was refused."""
    from testbed.emulator.playing import PlayStatus

    if _say(lab, PlayStatus(), as_json).failed:
        raise typer.Exit(1)


def _say(lab: str | None, request: Any, as_json: bool) -> Any:
    with only_lab(lab).agent() as agent:
        state = agent.call(request)
    if as_json:
        print_json(told(state))
        return state
    stdout.print(f"playing: {', '.join(state.playing) or 'nothing'}; {state.applied} settings made", markup=False)
    late = told(state)["late_ms"]
    if late:
        stdout.print("late: " + ", ".join(f"{name} {value:.2f} ms" for name, value in late.items()), markup=False)
    for line in state.failed:
        stdout.print(f"refused: {line}", markup=False)
    return state


def told(state: Any) -> dict[str, Any]:
    """Sum up how traces go."""
    from testbed.emulator.playing import lateness

    late = {name: 1e3 * value for name, value in lateness(state.late).items()}
    return {"playing": state.playing, "applied": state.applied, "late_ms": late or None, "failed": state.failed}


@app.command()
def show(trace: Spec, repeat: Repeat = False, as_json: AsJson = False) -> None:
    """Show what a trace sets when, without a lab."""
    from testbed.emulator.settings import write_setting
    from testbed.model.traces.spec import read_trace

    track = read_trace(trace, repeat=repeat)
    if as_json:
        print_json({"times": track.times, "settings": track.settings, "lap": track.lap})
        return
    rows = [[f"{time:.3f}", write_setting(one)] for time, one in zip(track.times, track.settings, strict=True)]
    print_table(["seconds", "sets"], rows)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the generators, with the defaults of their arguments."""
    from testbed.model.traces.generators import GENERATORS
    from testbed.model.traces.spec import defaults

    if as_json:
        print_json({name: defaults(generator) for name, generator in GENERATORS.items()})
        return
    for name, generator in GENERATORS.items():
        given = ", ".join(
            f"{key}={value if isinstance(value, str) else f'{value:g}'}" for key, value in defaults(generator).items()
        )
        about = (generator.__doc__ or "").strip().splitlines()[0]
        stdout.print(f"{name}({given})\n  {about}", markup=False)


def register(parent: typer.Typer) -> None:
    """Add this group's commands."""
    parent.add_typer(app, name="trace")
