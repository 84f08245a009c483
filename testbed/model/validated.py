"""From a tree to a model; everything wrong is told at once, each with its line and column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from testbed.errors import BadInput
from testbed.model import explain
from testbed.model.base import WRITTEN, Model
from testbed.model.source import Tree, shown

M = TypeVar("M", bound=Model)


def validated(
    tree: Tree, model: type[M], problems: Iterable[str] = (), context: Mapping[str, bool] | None = WRITTEN
) -> M:
    """Make a model of a tree, wherever its values come from.

    Args:
        problems: what is known to be wrong already. context: None where quantities come without unit, in SI.

    Raises:
        BadInput: one line for each problem, in the order of the file.
    """
    found = list(problems)
    try:
        result = model.model_validate(tree.plain(), context=context)
    except ValidationError as error:
        found += [_line(tree, model, one) for one in _telling(error.errors(include_url=False))]
    else:
        if not found:
            return result
    raise BadInput("\n".join(sorted(dict.fromkeys(found), key=_order)))


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
    node, left = descend(tree, found.path)
    about_key = left or found.about_key
    place = (node.key or node.place) if about_key else node.place
    value = "" if about_key else shown(node)
    where = ".".join([node.where, *map(str, left)] if node.where else map(str, left))
    return f"{place}: {f'{where}: ' if where else ''}{value}{found.expected}"


def descend(tree: Tree, path: tuple[str | int, ...]) -> tuple[Tree, tuple[Any, ...]]:
    """Follow a path as far as the file goes; the rest is what the file lacks."""
    for index, key in enumerate(path):
        child = tree.child(key)
        if child is None:
            return tree, path[index:]
        tree = child
    return tree, ()
