"""What commands on a scenario's file have in common: reading it, and where its broker takes questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zlib import crc32

import typer

from testbed.substrate.folder import home

if TYPE_CHECKING:
    from sdr.broker import scenario

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


def control_of(file: Path) -> str:
    """One address for each scenario's file, in a folder of the user's own."""
    folder = home() / "radio"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    socket = folder / f"{crc32(bytes(file.absolute())):08x}"
    return f"ipc://{socket}"
