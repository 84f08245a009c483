"""What commands on a scenario have in common: reading it, where its broker takes questions, telling and keeping."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zlib import crc32

import typer

from testbed.cli.output import stdout, to_plain
from testbed.substrate.folder import home

if TYPE_CHECKING:
    from sdr.broker import scenario
    from testbed.telemetry.store import Store

Scenario = Annotated[Path, typer.Argument(help="Scenario file (YAML).", dir_okay=False, metavar="SCENARIO")]


ControlOption = Annotated[
    str | None,
    typer.Option("--control", help="Where the broker takes questions; a socket of this scenario by default.",
                 metavar="ADDRESS"),
]  # fmt: skip


def read(file: Path) -> scenario.Scenario:
    """Read a scenario; what its channels were recorded in lies beside it."""
    from sdr.broker.scenario import Scenario as Model
    from testbed.model.load import load

    return load(file, Model).beside(file.absolute().parent)


def kept(path: Path | None) -> Store:
    """Return a store of samples, which are in this file, too, where one is named."""
    from testbed.telemetry.sinks import SqliteFile
    from testbed.telemetry.store import Store

    return Store([SqliteFile(path)] if path else [])


def teller(as_json: bool) -> Callable[[object], None]:
    """Return what tells an event: in words, or as a line of JSON."""

    def tell(event: object) -> None:
        if as_json:
            print(json.dumps(to_plain(event)), flush=True)
        else:
            stdout.print(str(event), markup=False)

    return tell


def control_of(file: Path) -> str:
    """One address for each scenario's file, in a folder of the user's own."""
    folder = home() / "radio"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket = folder / f"{crc32(bytes(file.absolute())):08x}"
    return f"ipc://{socket}"
