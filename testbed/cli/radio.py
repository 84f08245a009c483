"""`testbed radio`: the broker between virtual radios, and its control while it runs."""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any
from zlib import crc32

import typer

from testbed.cli import radio_plot, radio_record
from testbed.cli.background import until_done
from testbed.cli.labs import LabOption, only_lab
from testbed.cli.output import AsJson, Reporter, print_json, print_table, stdout, to_plain
from testbed.errors import BadInput, ExitCode, nearest
from testbed.model.source import parse_yaml
from testbed.substrate.folder import home

app = typer.Typer(no_args_is_help=True, help="Virtual radios (ZeroMQ): the channels between cells and UEs.")
for group in (radio_plot, radio_record):
    group.register(app)

Scenario = Annotated[Path, typer.Argument(help="Scenario file (YAML).", dir_okay=False, metavar="SCENARIO")]


ControlOption = Annotated[
    str | None,
    typer.Option("--control", help="Where the broker takes questions; a socket of this scenario by default.",
                 metavar="ADDRESS"),
]  # fmt: skip


@app.command()
def up(
    file: Scenario,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say who would hear whom, and start nothing.")] = False,
    store: Annotated[
        Path | None,
        typer.Option("--store", help="Add powers, SNRs and delays of all pairs to this SQLite file.", dir_okay=False),
    ] = None,
    every: Annotated[float, typer.Option("--every", help="Seconds from one measurement to the next.", min=0.05)] = 1.0,
    control: ControlOption = None,
    as_json: AsJson = False,
) -> None:
    """Pass samples between a scenario's radios until Ctrl-C. With --json, one line for each event, then the counts."""
    from sdr.broker.air import Air
    from sdr.broker.engine import Broker
    from testbed.telemetry.sinks import SqliteFile
    from testbed.telemetry.store import Store

    scenario = _read(file)
    if dry_run:
        Air(scenario)
        _show(scenario, as_json)
        return
    with ExitStack() as stack:
        samples = stack.enter_context(closing(Store([SqliteFile(store)] if store else [])))
        broker = stack.enter_context(
            Broker(
                scenario, _tell_as_json if as_json else _tell, control=control or _control_of(file), every=every,
                measured=lambda found: samples.add(one for level in found for one in level.samples(time.time())),
            )
        )  # fmt: skip
        report = stack.enter_context(Reporter())
        stdout.print(f"waiting for {', '.join(scenario.radios)}; end: Ctrl-C", markup=False) if not as_json else None
        began = time.monotonic()
        rates = _Rates(broker, report)
        until_done(broker.run, lambda: (rates.show(), samples.flush()))
        _summary(broker, time.monotonic() - began, as_json)


@app.command("set")
def change(
    file: Scenario,
    changes: Annotated[
        list[str],
        typer.Argument(help="Keys of the scenario and their values, such as channels.gnb.ue1.gain=-30dB; null takes a "
                            "key away.", metavar="KEY=VALUE..."),
    ],
    at: Annotated[int | None, typer.Option("--at", help="Count from which it is in force; at once by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it against the broker's scenario only.")] = False,
    control: ControlOption = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Change gains, positions, profiles, noise while samples go, all at one sample."""
    from sdr.broker.control import ask

    question = {"ask": "check" if dry_run else "set", "patch": _patch(changes), "at": at}
    answer = ask(control or _control_of(file), question, _PATIENCE)
    if as_json:
        print_json(answer)
    elif dry_run:
        stdout.print("it can be done")
    else:
        stdout.print(f"in force from count {answer['at']} on")


@app.command()
def status(file: Scenario, control: ControlOption = None, as_json: AsJson = False) -> None:
    """Show what went through a running broker's ports, and what every receiver hears of every transmitter."""
    from sdr.broker.control import ask

    found = ask(control or _control_of(file), {"ask": "status"}, _PATIENCE)
    if as_json:
        print_json(found)
        return
    rows = [
        [one["port"], "there" if one["live"] else "away", str(one["count"]), str(one["clipped"])]
        for one in found["ports"]
    ]
    print_table(["port", "radio", "samples", "clipped"], rows)
    rows = [
        [
            one["source"],
            one["sink"],
            *(_decibels(one[key]) for key in ("power", "snr", "sinr")),
            f"{one['delay'] * 1e6:.3f}us",
        ]
        for one in found["levels"]
    ]
    print_table(["from", "to", "power", "SNR", "SINR", "delay"], rows)


@app.command()
def demo(
    file: Annotated[
        Path | None,
        typer.Argument(help="Scenario file; a cell and two UEs by default.", dir_okay=False, metavar="[SCENARIO]"),
    ] = None,
    slots: Annotated[int, typer.Option("--slots", help="Slots (ms) measured in each step.", min=10)] = 200,
    as_json: AsJson = False,
) -> None:
    """Play a scenario with built-in radios: what they measure, beside what the scenario states."""
    from sdr.demo import STEPS, example
    from sdr.demo import demo as run

    with TemporaryDirectory(prefix="testbed-radio-") as name, Reporter() as report:
        folder = Path(name)
        scenario = _read(file) if file else example(folder)
        steps = (("as the scenario says", {}),) if file else STEPS
        report("radios find each other")
        found = []
        for title, told in run(scenario, folder, slots, steps):
            found.append({"step": title, "radios": told})
            if not as_json:
                _show_step(title, told)
        if as_json:
            print_json(found)
        if any(one.agrees is False for step in found for one in step["radios"]):
            raise typer.Exit(ExitCode.NO)


def _show_step(title: str, told: list[Any]) -> None:
    rows = []
    for one in told:
        heard = one.heard
        if heard.source is None:
            rows.append([heard.radio, "nobody", *["-"] * 8])
            continue
        stated = ["fades", "-"] if one.gain is None else [f"{one.gain:.2f}dB", f"{one.delay * 1e9:.1f}ns"]
        rows.append([
            heard.radio, heard.source, f"{heard.gain:.2f}dB", stated[0], f"{heard.delay * 1e9:.1f}ns", stated[1],
            f"{heard.snr:.1f}dB", f"{heard.offset:.1f}Hz", f"{heard.evm:.2%}", f"{heard.bler:.1%}",
        ])  # fmt: skip
    columns = ["radio", "hears", "gain", "stated", "delay", "stated", "SNR", "offset", "EVM", "BLER"]
    print_table(columns, rows, title=title)


@app.command()
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

    scenario = _read(file)
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


@app.command()
def follow(
    file: Scenario,
    store: Annotated[
        Path, typer.Argument(help="SQLite file of samples: rsrp (dBm) and sinr (dB) of radio:SOURCE:SINK.")
    ],
    every: Annotated[
        float, typer.Option("--every", help="Seconds from one look at the store to the next.", min=0.05)
    ] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Take what is there, and end.")] = False,
    blocks: Annotated[int | None, typer.Option("--blocks", help="Resource blocks; as many as fit by default.")] = None,
    control: ControlOption = None,
    as_json: AsJson = False,
) -> None:
    """Keep a running broker's gains and noise like what was measured, until Ctrl-C."""
    from sdr.broker.control import ask
    from sdr.broker.scenario import Scenario as Model
    from sdr.measured import Reader, patch

    address, reader = control or _control_of(file), Reader(store)
    end = threading.Event()
    while True:
        scenario = Model.model_validate(ask(address, {"ask": "status"}, _PATIENCE)["scenario"])
        found = reader.new(scenario)
        if found:
            changes = patch(scenario, found, blocks)
            at = ask(address, {"ask": "set", "patch": changes}, _PATIENCE)["at"]
            _say_followed(found, changes, at, as_json)
        try:
            if once or end.wait(every):
                return
        except KeyboardInterrupt:  # the way to end it
            return


def _say_followed(found: list[Any], changes: dict[str, Any], at: int, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"at": at, "measured": to_plain(found), "patch": changes}), flush=True)
        return
    for one in found:
        told = [f"{name} {value:.1f}{unit}" for name, value, unit in
                (("RSRP", one.rsrp, "dBm"), ("SINR", one.sinr, "dB")) if value is not None]  # fmt: skip
        stdout.print(f"{one.source} to {one.sink}: {', '.join(told)} (from count {at})", markup=False)


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
        agent.call(Play(tracks=tracks_of(link, track, [1 if ends.index(source) else 0], "radio link")))


_PATIENCE = 10.0
"""Seconds; a broker answers between two blocks."""


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}dB"


def _read(file: Path) -> Any:
    from sdr.broker.scenario import Scenario as Model
    from testbed.model.load import load

    return load(file, Model).beside(file.absolute().parent)


def _control_of(file: Path) -> str:
    """One address for each scenario's file, in a folder of the user's own."""
    folder = home() / "radio"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket = folder / f"{crc32(bytes(file.absolute())):08x}"
    return f"ipc://{socket}"


def _patch(changes: list[str]) -> dict[str, Any]:
    """Turn `a.b=1` into `{a: {b: 1}}`; values are read as YAML."""
    patch: dict[str, Any] = {}
    for change in changes:
        key, equals, value = change.partition("=")
        if not equals or not all(parts := key.split(".")):
            raise BadInput(f"{change!r}: expected KEY=VALUE, such as channels.gnb.ue1.gain=-30dB")
        inner = patch
        for part in parts[:-1]:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise BadInput(f"{change!r}: {part} has a value already")
        inner[parts[-1]] = parse_yaml(f"value: {value}", change).plain()["value"]
    return patch


def _show(scenario: Any, as_json: bool) -> None:
    if as_json:
        print_json(scenario)
        return
    rows = [
        [name, f"{(radio.rate or scenario.rate) / 1e6:g}", radio.style, *map(" ".join, (radio.transmit, radio.receive))]
        for name, radio in scenario.radios.items()
    ]
    print_table(["radio", "Msample/s", "style", "transmits at", "receives from"], rows)
    print_table(["from", "to", "gain"], [[d.source, d.sink, f"{d.pair.gain:g}dB"] for d in scenario.directions()])


class _Rates:
    """Shows how fast samples go, on a terminal."""

    def __init__(self, broker: Any, report: Reporter) -> None:
        self._broker, self._report = broker, report
        self._before, self._at = broker.report(), time.monotonic()

    def show(self) -> None:
        now, ports = time.monotonic(), self._broker.report()
        seconds = now - self._at
        told = [
            f"{one.port} {_mega(one.count - was.count, seconds)}" for was, one in zip(self._before, ports, strict=True)
        ]
        self._before, self._at = ports, now
        if sys.stderr.isatty():
            self._report(f"Msample/s: {', '.join(told)}")


def _mega(samples: int, seconds: float) -> str:
    return f"{samples / seconds / 1e6:.2f}"


def _tell(event: Any) -> None:
    stdout.print(str(event), markup=False)


def _tell_as_json(event: Any) -> None:
    print(json.dumps(to_plain(event)), flush=True)


def _summary(broker: Any, seconds: float, as_json: bool) -> None:
    ports = broker.report()
    if as_json:
        print(json.dumps({"seconds": seconds, "ports": to_plain(ports)}), flush=True)
        return
    rows = [[one.port, "there" if one.live else "away", str(one.count), _mega(one.count, seconds)] for one in ports]
    print_table(["port", "radio", "samples", "Msample/s"], rows)


def register(parent: typer.Typer) -> None:
    """Add this group's commands."""
    parent.add_typer(app, name="radio")
