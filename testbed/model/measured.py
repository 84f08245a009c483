"""Delay distributions from measurements: a column of a CSV file becomes the shape that netem draws delays from."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from testbed import units
from testbed.errors import BadInput, nearest
from testbed.model.source import Tree

POINTS = 512
"""Of a shape; more would not be seen: netem draws from a table."""
REACH = 32767 / 8192
"""How many times the jitter netem's 16-bit table can be from the mean."""
FEWEST = 30
"""Measurements below which a distribution would be guessed, not measured."""


_KEYS = ("csv", "column", "unit")


@dataclass(frozen=True, slots=True)
class Shape:
    """A distribution as netem has it.

    Attributes:
        delay: mean, seconds. jitter: standard deviation, or more where the tail is longer than the table reaches.
        points: deviations from the mean in `jitter`, at evenly spaced shares, ascending.
    """

    delay: float
    jitter: float
    points: tuple[float, ...]


def written_out(impairment: Tree, beside: Path) -> Tree:
    """Replace `distribution: {csv: FILE, column: NAME, unit: ms}` by delay, jitter and points; what is said stays.

    Args:
        impairment: a mapping as written. beside: the folder that the file's path starts from.

    Raises:
        BadInput: as `read_shape`, or a key is missing or unknown; with the place in the file.
    """
    asked = impairment.child("distribution") if isinstance(impairment.value, dict) else None
    if asked is None or not isinstance(asked.value, dict):
        return impairment
    if set(asked.value) != set(_KEYS) or not all(isinstance(child.value, str) for child in asked.value.values()):
        raise BadInput(f"{asked.place}: {asked.where}: expected exactly {', '.join(_KEYS)}, each with a text")
    said = asked.plain()
    try:
        shape = read_shape(beside / said["csv"], said["column"], said["unit"])
    except BadInput as error:
        raise BadInput(f"{asked.place}: {asked.where}: {error}") from None
    measured = {"delay": shape.delay, "jitter": shape.jitter}
    found = {key: replace(asked, value=units.show(value, units.TIME)) for key, value in measured.items()}
    points = replace(asked, value=[replace(asked, value=point) for point in shape.points])
    return replace(impairment, value={**found, **impairment.value, "distribution": points})


def read_shape(path: Path, column: str, unit: str) -> Shape:
    """Read a column of a CSV file with a header.

    Args:
        column: its name in the header. unit: of its numbers, one of testbed.units.TIME.

    Raises:
        BadInput: no such file, column or unit; a value that is no time, with its line; too few values; all the same.
    """
    if unit not in units.TIME:
        raise BadInput(f"unit {unit!r}: expected one of {', '.join(units.TIME)}{nearest(unit, units.TIME)}")
    values = [value * units.TIME[unit] for value in _column(path, column)]
    if len(values) < FEWEST:
        raise BadInput(f"{path}: {len(values)} values in column {column!r}; expected at least {FEWEST}")
    return shape_of(values, str(path))


def shape_of(values: Sequence[float], name: str = "measurements") -> Shape:
    """Return the shape of measured delays, in seconds.

    Raises:
        BadInput: they are all the same, so there is no spread to copy.
    """
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    ordered = sorted(values)
    if spread == 0.0:
        raise BadInput(
            f"{name}: all values are {units.show(mean, units.TIME)}; say it as `delay`, without distribution"
        )
    jitter = max(spread, (ordered[-1] - mean) / REACH, (mean - ordered[0]) / REACH)
    picked = (ordered[int((point + 0.5) / POINTS * len(ordered))] for point in range(POINTS))
    return Shape(mean, jitter, tuple(round((value - mean) / jitter, 5) for value in picked))


def _column(path: Path, column: str) -> Iterator[float]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = reader.fieldnames or ()
            if column not in names:
                raise BadInput(f"{path}:1: no column {column!r}{nearest(column, names)} (columns: {', '.join(names)})")
            for row in reader:
                yield _time(row[column], f"{path}:{reader.line_num}: {column}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: expected a readable CSV file with a header, but: {error}") from None


def _time(text: str | None, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise BadInput(f"{where}: value {text!r}: expected a number that is not negative")
    return value
