"""`testbed radio set | status | follow`: a broker while it runs."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from testbed.cli.output import AsJson, print_json, print_table, stdout, to_plain
from testbed.cli.radio_scenario import ControlOption, Scenario, control_of
from testbed.errors import BadInput
from testbed.model.source import parse_yaml

_PATIENCE = 10.0
"""Seconds; a broker answers between two blocks."""


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
    answer = ask(control or control_of(file), question, _PATIENCE)
    if as_json:
        print_json(answer)
    elif dry_run:
        stdout.print("it can be done")
    else:
        stdout.print(f"in force from count {answer['at']} on")


def status(file: Scenario, control: ControlOption = None, as_json: AsJson = False) -> None:
    """Show what went through a running broker's ports, and what every receiver hears of every transmitter."""
    from sdr.broker.control import ask

    found = ask(control or control_of(file), {"ask": "status"}, _PATIENCE)
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

    address, reader = control or control_of(file), Reader(store)
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


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}dB"


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


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("set")(change)
    app.command()(status)
    app.command()(follow)
