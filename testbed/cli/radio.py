"""`testbed radio up | demo`: the broker between virtual radios, and built-in ones at its ports."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from testbed.cli import radio_control, radio_link, radio_plot, radio_record, radio_stacks
from testbed.cli.background import until_done
from testbed.cli.output import AsJson, Reporter, print_json, print_table, stdout, to_plain
from testbed.cli.radio_scenario import ControlOption, Scenario, control_of, kept, read, teller
from testbed.errors import ExitCode

app = typer.Typer(no_args_is_help=True, help="Virtual radios (ZeroMQ): the channels between cells and UEs.")
for group in (radio_control, radio_link, radio_plot, radio_record):
    group.register(app)
app.add_typer(radio_stacks.app, name="stacks")


@app.command()
def up(
    file: Scenario,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say who would hear whom, and start nothing.")] = False,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store",
            help="Add powers, SNRs and delays of all pairs, and what was clipped, to this SQLite file.",
            dir_okay=False,
        ),
    ] = None,
    every: Annotated[float, typer.Option("--every", help="Seconds from one measurement to the next.", min=0.05)] = 1.0,
    control: ControlOption = None,
    as_json: AsJson = False,
) -> None:
    """Pass samples between a scenario's radios until Ctrl-C. With --json, one line for each event, then the counts."""
    from sdr.broker.air import Air
    from sdr.broker.engine import Broker

    scenario = read(file)
    if dry_run:
        Air(scenario)
        _show(scenario, as_json)
        return
    with ExitStack() as stack:
        samples = stack.enter_context(closing(kept(store)))
        broker = stack.enter_context(
            Broker(
                scenario, teller(as_json), control=control or control_of(file), every=every,
                measured=lambda found: samples.add(sample for one in found for sample in one.samples(time.time())),
            )
        )  # fmt: skip
        report = stack.enter_context(Reporter())
        stdout.print(f"waiting for {', '.join(scenario.radios)}; end: Ctrl-C", markup=False) if not as_json else None
        began = time.monotonic()
        rates = _Rates(broker, report)
        until_done(broker.run, lambda: (rates.show(), samples.flush()))
        _summary(broker, time.monotonic() - began, as_json)


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
        scenario = read(file) if file else example(folder)
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
