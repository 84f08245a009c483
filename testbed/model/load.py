"""Files a person wrote, into models; everything wrong with a file is told at once, each with its line and column."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from testbed.errors import BadInput
from testbed.model import explain, short
from testbed.model.base import WRITTEN, Model, Problem
from testbed.model.change import Change
from testbed.model.impairment import Impairment
from testbed.model.profile import DIRECTIONS, called, worked_out
from testbed.model.rack import Inventory
from testbed.model.source import Tree, parse_yaml, read_text, shown
from testbed.model.topology import Topology

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
        node, left = _descend(self.tree, problem.where)
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


def load_inventory(path: StrPath) -> Inventory:
    """Read a rack's inventory; paths in it are left as they were written.

    Raises:
        BadInput: see `load_topology`.
    """
    return load(path, Inventory)


def load_profile(call: str, beside: Path | None = None) -> tuple[Impairment, Impairment]:
    """Return what a link profile does forward and backward.

    Args:
        call: such as `lte` or `fibre(km=80)`. beside: a folder whose `netem_profiles` comes before the others.

    Raises:
        BadInput: no such profile or parameter (the message names the nearest), or the profile is wrong.
    """
    trees = worked_out(*called(call, beside))
    forward, backward = (_validated(trees[direction], Impairment, []) for direction in DIRECTIONS)
    return forward, backward


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
    return Written(_validated(tree, model, problems), tree)


def _validated(tree: Tree, model: type[M], problems: list[str]) -> M:
    """Return the model of a tree that has no problem so far.

    Raises:
        BadInput: it had, or has some; all of them, as the file goes.
    """
    try:
        result = model.model_validate(tree.plain(), context=WRITTEN)
    except ValidationError as error:
        problems += [_line(tree, model, one) for one in _telling(error.errors(include_url=False))]
    else:
        if not problems:
            return result
    raise BadInput("\n".join(sorted(dict.fromkeys(problems), key=_order)))


def _order(line: str) -> list[int]:
    """As the file goes; a problem that has no line comes first."""
    found = re.match(r".*?:(\d+):(\d+): ", line)
    return [int(number) for number in found.groups()] if found else []


def _telling(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without `found 0` of a list whose items are all there, and wrong: pydantic counts only the right ones."""
    inside = {error["loc"][:length] for error in errors for length in range(len(error["loc"]))}
    return [error for error in errors if not (error["type"] == "too_short" and error["loc"] in inside)]


def _line(tree: Tree, model: type[Model], error: ErrorDetails) -> str:
    """One problem: the place of the value, or of the key where that is what is wrong or where a value is missing."""
    found = explain.explain(model, error)
    node, left = _descend(tree, found.path)
    about_key = left or found.about_key
    place = (node.key or node.place) if about_key else node.place
    value = "" if about_key else shown(node)
    where = ".".join([node.where, *map(str, left)] if node.where else map(str, left))
    return f"{place}: {f'{where}: ' if where else ''}{value}{found.expected}"


def _path(where: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")


def _descend(tree: Tree, path: tuple[str | int, ...]) -> tuple[Tree, tuple[Any, ...]]:
    """Follow a path as far as the file goes; the rest is what the file lacks."""
    for index, key in enumerate(path):
        child = tree.child(key)
        if child is None:
            return tree, path[index:]
        tree = child
    return tree, ()
