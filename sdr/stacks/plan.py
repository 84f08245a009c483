"""All of a scenario's files, and the programs that are started with them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sdr.stacks import enb, project, subscribers, ue
from sdr.stacks.model import Stacks
from testbed.errors import BadInput, Unable

if TYPE_CHECKING:
    from sdr.broker.scenario import Scenario

CORE = "core"
"""Folder of the subscribers' files."""

_OF_STACK = {
    "srsran-project": ("gnb", ("-c", "gnb.yml"), "project"),
    "srsran-4g": ("srsenb", ("enb.conf",), "srsran_4g"),
    "srsran-4g-nr": ("srsenb", ("enb.conf",), "srsran_4g"),
}


@dataclass(frozen=True, slots=True)
class Started:
    """A program of a scenario, started in the folder that has its name.

    Attributes:
        kind: what it is in the scenario. stack: what it is in the world. binary: file name. program: path, where given.
        image: which of the images has it.
    """

    name: str
    kind: Literal["cell", "ue"]
    stack: str
    binary: str
    arguments: tuple[str, ...]
    program: str | None
    image: str


def stacks_of(scenario: Scenario) -> Stacks:
    """Return what a scenario says of programs.

    Raises:
        BadInput: it says nothing.
    """
    if scenario.stacks is None:
        raise BadInput("the scenario has no key 'stacks': expected it, to say which programs the radios are")
    return scenario.stacks


def started(scenario: Scenario) -> Iterator[Started]:
    """Give a scenario's programs, cells first.

    Raises:
        BadInput: see `stacks_of`.
    """
    stacks = stacks_of(scenario)
    for name, cell in stacks.cells.items():
        binary, arguments, image = _OF_STACK[cell.stack]
        yield Started(name, "cell", cell.stack, binary, arguments, cell.program, image)
    for name, one in stacks.ues.items():
        yield Started(name, "ue", "srsue", "srsue", ("ue.conf",), one.program, "srsran_4g")


def files(scenario: Scenario) -> dict[str, str]:
    """Return all configuration files, by their path in the folder that they go to.

    Raises:
        BadInput: see `stacks_of`.
    """
    stacks = stacks_of(scenario)
    found: dict[str, Mapping[str, str]] = {CORE: subscribers.files(stacks)}
    for number, (name, cell) in enumerate(stacks.cells.items(), 1):
        make = project.files if cell.stack == "srsran-project" else enb.files
        found[name] = make(stacks, name, scenario.cells[name], scenario.rate, number)
    for number, name in enumerate(stacks.ues, 1):
        found[name] = ue.files(stacks, name, scenario.ues[name], scenario.rate, number)
    return {f"{folder}/{name}": text for folder, texts in found.items() for name, text in texts.items()}


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files that only their owner may read, since keys are in some; files that are there are replaced.

    Raises:
        Unable: a file cannot be written.
    """
    for name, text in texts.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _replace(path, text)
        except OSError as error:
            raise Unable(f"{path}: cannot be written: {error.strerror}") from None


def _replace(path: Path, text: str) -> None:
    """The name gets its contents whole, and never with another's permissions."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    beside.replace(path)
