"""Tracks from files: CSV tables, and mahimahi's packet delivery opportunities."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import cast

from testbed import units
from testbed.errors import BadInput, nearest
from testbed.model.source import read_text
from testbed.model.traces.track import FIELDS, Setting, Track, track_of

_UNITS = {"t": units.TIME, "delay": units.TIME, "jitter": units.TIME, "loss": units.SHARE, "rate": units.RATE}
_WORDS = {"%": "%", "percent": "%", "share": "", **{unit: unit for table in _UNITS.values() for unit in table}}
_OPPORTUNITY = 1504 * 8
"""Bits of one delivery opportunity: an Ethernet MTU and 4 bytes of the tunnel (mahimahi's PACKET_SIZE)."""


def read_csv(path: Path, repeat: bool = False) -> Track:
    """Read a table whose header names `t` and any of delay, jitter, loss, rate, each with its unit: `delay_ms`.

    Args:
        path: `t_s,delay_ms,loss_percent,rate_Mbit`, one line a change; an empty cell leaves its value as it is.
        repeat: begin anew one step after the last line.

    Raises:
        BadInput: with file, line, column and what was expected.
    """
    rows = csv.reader(read_text(path, "trace").splitlines(), skipinitialspace=True)
    columns = _header(next(rows, []), path)
    steps = [step for row in rows if (step := _row(row, columns, f"{path}:{rows.line_num}"))]
    _ascending(path, [time for time, _ in steps])
    if not steps:
        raise BadInput(f"{path}: expected at least one line below the header")
    start = steps[0][0]
    shifted = [(time - start, setting) for time, setting in steps]
    return track_of(shifted, _lap([time for time, _ in shifted]) if repeat else None)


def _header(names: list[str], path: Path) -> list[tuple[str, float]]:
    columns = []
    for name in names:
        field, _, unit = name.strip().partition("_")
        known = _UNITS.get(field)
        if known is None:
            raise BadInput(f"{path}:1: column {name!r}{nearest(field, _UNITS)}; expected t, {', '.join(FIELDS)}")
        if unit not in _WORDS or (_WORDS[unit] and _WORDS[unit] not in known) or (unit == "share" and field != "loss"):
            examples = "_percent or _share" if field == "loss" else " or ".join(f"_{word}" for word in known)
            raise BadInput(f"{path}:1: column {name!r}: expected its unit too: {field}{examples}")
        columns.append((field, known[_WORDS[unit]] if _WORDS[unit] else 1.0))
    if [field for field, _ in columns].count("t") != 1:
        raise BadInput(f"{path}:1: expected one column of times, such as t_s, and others, such as delay_ms")
    return columns


def _row(row: list[str], columns: list[tuple[str, float]], where: str) -> tuple[float, Setting] | None:
    if not any(cell.strip() for cell in row):
        return None
    if len(row) != len(columns):
        raise BadInput(f"{where}: {len(row)} cells; expected {len(columns)}, as in the header")
    found = {}
    for cell, (field, factor) in zip(row, columns, strict=True):
        if cell.strip() or field == "t":
            found[field] = _number(cell, f"{where}: {field}") * factor
    if found.get("loss", 0.0) > 1.0:
        raise BadInput(f"{where}: loss: more than all")
    if found.get("rate", math.inf) < 8:
        raise BadInput(f"{where}: rate: expected at least 8 bit/s")
    time = found.pop("t")
    return time, cast(Setting, found)


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise BadInput(f"{where}: value {cell!r}: expected a number that is not negative")
    return value


def _ascending(path: Path, times: list[float]) -> None:
    for number, (one, other) in enumerate(pairwise(times), 3):
        if other <= one:
            raise BadInput(f"{path}:{number}: t: {other:g} s is not after {one:g} s of the line above")


def _lap(times: list[float]) -> float:
    """A table that repeats holds its last line as long as the others on average."""
    return times[-1] + (times[-1] / (len(times) - 1) if len(times) > 1 else 1.0)


def read_mahimahi(path: Path, step: float = 0.1) -> Track:
    """Read a mahimahi trace: a line for each packet that can leave, with its millisecond; it repeats for ever.

    Args:
        step: seconds of which the opportunities are counted together into a rate. In a step without any, the rate is
            such that a packet leaves at the next one.

    Raises:
        BadInput: a line that is no millisecond, goes back, or a trace that ends at 0.
    """
    moments = list(_milliseconds(path))
    if not moments or moments[-1] == 0:
        raise BadInput(f"{path}: expected delivery opportunities, one millisecond a line, and the last above 0")
    lap = moments[-1] / 1000
    return track_of(_rates(moments, step, lap), max(lap, math.nextafter(_last(lap, step), math.inf)))


def _milliseconds(path: Path) -> Iterator[int]:
    before = 0
    for number, line in enumerate(read_text(path, "mahimahi trace").splitlines(), 1):
        text = line.strip()
        if not text.isascii() or not text.isdigit():
            raise BadInput(f"{path}:{number}: value {text!r}: expected a whole number of milliseconds")
        if int(text) < before:
            raise BadInput(f"{path}:{number}: {text} ms is before {before} ms of the line above")
        before = int(text)
        yield before


def _last(lap: float, step: float) -> float:
    return (max(1, math.ceil(lap / step - 1e-9)) - 1) * step


def _rates(moments: list[int], step: float, lap: float) -> Iterator[tuple[float, Setting]]:
    position = 0
    for number in range(max(1, math.ceil(lap / step - 1e-9))):
        start, end = number * step, min((number + 1) * step, lap)
        last = end >= lap
        first = position
        while position < len(moments) and (last or moments[position] < end * 1000):
            position += 1
        if position > first:
            yield start, {"rate": (position - first) * _OPPORTUNITY / (end - start)}
        else:
            yield start, {"rate": _OPPORTUNITY / (moments[position] / 1000 - start)}
