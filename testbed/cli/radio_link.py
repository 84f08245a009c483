"""`testbed radio link`: a scenario's pair through time as a link of a lab."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from testbed.cli.labs import LabOption, only_lab
from testbed.cli.output import AsJson, print_json, print_table
from testbed.cli.radio_scenario import Scenario, read
from testbed.errors import BadInput, nearest


def link(
    file: Scenario,
    source: Annotated[str, typer.Argument(help="Cell or UE that sends.")],
    sink: Annotated[str, typer.Argument(help="UE or cell that receives.")],
    seconds: Annotated[float, typer.Option("--seconds", help="How long; 0 for one moment.", min=0.0)] = 0.0,
    every: Annotated[float, typer.Option("--every", help="Seconds from one setting to the next.", min=0.001)] = 0.1,
    blocks: Annotated[
        int | None, typer.Option("--blocks", help="Resource blocks; as many as fit by default.", min=1, max=275)
    ] = None,
    qam: Annotated[str, typer.Option("--table", help="CQI and MCS tables: 64qam or 256qam.")] = "64qam",
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write them as a trace: `trace: csv:FILE`.", dir_okay=False)
    ] = None,
    play: Annotated[
        str | None,
        typer.Option("--play", help="Play them on this link of a lab, from its end called SOURCE.", metavar="LINK"),
    ] = None,
    lab: LabOption = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Turn a pair's channel through time into a link: SINR, CQI, MCS; the delay, loss and rate that packets meet."""
    from numpy import arange

    from sdr.radio.link import RanLink
    from sdr.track import Follower, fitting, table, track

    scenario = read(file)
    follower = Follower(scenario, RanLink(blocks=blocks or fitting(scenario.rate), table=qam))
    moments = follower.moments(source, sink, arange(0, seconds + every / 2, every) if seconds else arange(1.0))
    if csv:
        csv.write_text(table(moments))
    if play:
        _play(lab, play, source, track(moments))
    if as_json:
        print_json(moments)
        return
    rows = [
        [f"{one.time:.3f}", f"{one.sinr:.1f}dB", str(one.cqi), "-" if one.mcs is None else str(one.mcs),
         f"{one.rate / 1e6:.2f}", f"{one.delay * 1e3:.2f}ms", f"{one.loss:.2%}"]
        for one in moments
    ]  # fmt: skip
    print_table(["s", "SINR", "CQI", "MCS", "Mbit/s", "delay", "loss"], rows)


def _play(lab: str | None, link: str, source: str, track: Any) -> None:
    from testbed.emulator.lower import tracks_of
    from testbed.emulator.playing import Play

    opened = only_lab(lab)
    found = opened.topology.links.get(link)
    if found is None:
        raise BadInput(f"no link called {link!r} in {opened.name}{nearest(link, opened.topology.links)}")
    ends = [end.node for end in found.endpoints]
    if source not in ends:
        raise BadInput(f"link {link} of {opened.name} joins {' and '.join(ends)}; expected one called {source}")
    with opened.agent() as agent:
        agent.call(Play(tracks=tracks_of(link, track, [1 if ends.index(source) else 0])))


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(link)
