"""`testbed radio up`: the broker between virtual radios."""

from __future__ import annotations

import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Still
from pathlib import Path
from typing import Annotated, Any

import typer

from testbed.cli import radio_stacks
from testbed.cli.output import AsJson, Reporter, print_json, print_table, stdout, to_plain

app = typer.Typer(no_args_is_help=True, help="Virtual radios (ZeroMQ): the channels between cells and UEs.")
app.add_typer(radio_stacks.app, name="stacks")

Scenario = Annotated[Path, typer.Argument(help="Scenario file (YAML).", dir_okay=False, metavar="SCENARIO")]


@app.command()
def up(
    file: Scenario,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say who would hear whom, and start nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pass samples between a scenario's radios until Ctrl-C. With --json, one line for each event, then the counts."""
    from sdr.broker.engine import Broker
    from sdr.broker.scenario import Scenario as Model
    from testbed.model.load import load

    scenario = load(file, Model)
    if dry_run:
        _show(scenario, as_json)
        return
    with Broker(scenario, _tell_as_json if as_json else _tell) as broker, Reporter() as report:
        stdout.print(f"waiting for {', '.join(scenario.radios)}; end: Ctrl-C", markup=False) if not as_json else None
        began = time.monotonic()
        _run(broker, _Rates(broker, report))
        _summary(broker, time.monotonic() - began, as_json)


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


def _run(broker: Any, rates: _Rates) -> None:
    """In a thread of its own: a signal then never falls between a sample's sum and its sending."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(broker.run, stop)
        try:
            while True:
                try:
                    return running.result(timeout=1.0)
                except Still:
                    rates.show()
        except KeyboardInterrupt:  # the way to end it
            stop.set()
            running.result()
        finally:
            stop.set()


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
