"""Files a person wrote, into models; everything wrong with a file is told at once, each with its line and column."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from testbed.model import short
from testbed.model.base import Model, Problem
from testbed.model.change import Change
from testbed.model.rack import Inventory
from testbed.model.source import Tree, parse_yaml, read_text
from testbed.model.topology import Topology
from testbed.model.traffic import Traffic
from testbed.model.validated import descend, validated

M = TypeVar("M", bound=Model)
StrPath = str | os.PathLike[str]
Expand = Callable[[Tree, Path], list[str]]


@dataclass(frozen=True, slots=True)
class Written(Generic[M]):
    """A model and the file it was read from: what is found wrong with it later is told by line and column, too.

    Attributes:
        tree: None for a model that nobody wrote; then problems are told by their path in it.
    """

    model: M
    tree: Tree | None = None

    def tell(self, problem: Problem) -> str:
        """Return `file:line:column: where: value 'x': expected ...`."""
        if self.tree is None:
            return f"{_path(problem.where)}: value {problem.value!r}: {problem.expected}"
        node, left = descend(self.tree, problem.where)
        place = node.place if problem.offset is None else node.inside(problem.offset)
        where = ".".join(map(str, (node.where, *left)))
        return f"{place}: {where}: value {problem.value!r}: {problem.expected}"


_SHORT_FORMS: dict[type[Model], Expand] = {Topology: short.topology}


def load_topology(path: StrPath) -> Topology:
    """Read a topology file; short forms, profiles and configuration files are resolved.

    Args:
        path: the YAML file; what it names is looked for beside it.

    Raises:
        BadInput: one line for each problem: `file:line:column: where: value 'x': expected ...`.
    """
    return load(path, Topology)


def written_topology(path: StrPath) -> Written[Topology]:
    """Read a topology file and keep where in it everything stands.

    Raises:
        BadInput: see `load_topology`.
    """
    file = Path(path)
    return _read(read_text(file, "topology file"), Topology, file)


def load_change(path: StrPath) -> Change:
    """Read a change file.

    Raises:
        BadInput: see `load_topology`.
    """
    return load(path, Change)


def written_change(path: StrPath) -> Written[Change]:
    """Read a change file and keep where in it everything stands.

    Raises:
        BadInput: see `load_topology`.
    """
    file = Path(path)
    return _read(read_text(file, "change file"), Change, file)


def written_load(path: StrPath) -> Written[Traffic]:
    """Read a load file and keep where in it everything stands.

    Raises:
        BadInput: see `load_topology`.
    """
    file = Path(path)
    return _read(read_text(file, "load file"), Traffic, file)


def load_inventory(path: StrPath) -> Inventory:
    """Read a rack's inventory; paths in it are left as they were written.

    Raises:
        BadInput: see `load_topology`.
    """
    return load(path, Inventory)


def load(path: StrPath, model: type[M]) -> M:
    """Read a YAML file into a model; quantities need their unit.

    Raises:
        BadInput: see `load_topology`.
    """
    file = Path(path)
    return loads(read_text(file, f"{model.__name__.lower()} file"), model, file)


def loads(text: str, model: type[M], file: StrPath = "<text>") -> M:
    """Read YAML text into a model, as if it were in `file`.

    Raises:
        BadInput: see `load_topology`.
    """
    return _read(text, model, file).model


def _read(text: str, model: type[M], file: StrPath) -> Written[M]:
    tree = parse_yaml(text, str(file))
    expand = _SHORT_FORMS.get(model)
    problems = expand(tree, Path(file).parent) if expand else []
    return Written(validated(tree, model, problems), tree)


def _path(where: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
