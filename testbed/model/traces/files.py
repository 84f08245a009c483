"""Tracks from files: CSV tables, and mahimahi's packet delivery opportunities."""

from __future__ import annotations

import csv
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, cast

from testbed import units
from testbed.errors import BadInput, nearest
from testbed.model.source import read_text
from testbed.model.traces.track import FIELDS, Setting, Track, track_of

_UNITS = {**dict.fromkeys(("t", "delay", "wait", "jitter"), units.TIME), "loss": units.SHARE, "rate": units.RATE}
_WORDS = {"%": "%", "percent": "%", "share": "", **{unit: unit for table in _UNITS.values() for unit in table}}
OPPORTUNITY = 1514 * 8
"""Bits that the emulator counts for a 1500-byte packet and its Ethernet header: what one delivery opportunity carries.

mahimahi counts 1504 bytes for the same packet, with 4 of its tunnel (`PACKET_SIZE` in its link_queue.hh).
"""
WINDOW = 100
"""Milliseconds over which opportunities are counted into a rate."""
PAUSE = 20
"""Milliseconds between settings while there is no opportunity."""


def read_csv(path: Path, repeat: bool = False) -> Track:
    """Read a table whose header names `t` and any of delay, wait, jitter, loss, rate, each with its unit: `delay_ms`.

    Args:
        path: `t_s,delay_ms,loss_percent,rate_Mbit`, one line a change; an empty cell leaves its value as it is.
        repeat: begin anew one step after the last line.

    Raises:
        BadInput: with file, line, column and what was expected.
    """
    rows = csv.reader(read_text(path, "trace").splitlines(), skipinitialspace=True)
    columns = _header(next(rows, []), path)
    steps = [step for row in rows if (step := _row(row, columns, f"{path}:{rows.line_num}"))]
    _ascending(steps)
    if not steps:
        raise BadInput(f"{path}: expected at least one line below the header")
    times = [step.time - steps[0].time for step in steps]
    shifted = zip(times, (step.setting for step in steps), strict=True)
    return track_of(shifted, _lap(times) if repeat else None)


class _Step(NamedTuple):
    """A line of a table and its place, for messages."""

    where: str
    time: float
    setting: Setting


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


def _row(row: list[str], columns: list[tuple[str, float]], where: str) -> _Step | None:
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
    return _Step(where, time, cast(Setting, found))


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise BadInput(f"{where}: value {cell!r}: expected a number that is not negative")
    return value


def _lap(times: list[float]) -> float:
    """A table that repeats holds its last line as long as the others on average."""
    return times[-1] + (times[-1] / (len(times) - 1) if len(times) > 1 else 1.0)


def _ascending(steps: list[_Step]) -> None:
    for one, other in pairwise(steps):
        if other.time <= one.time:
            raise BadInput(f"{other.where}: t: {other.time:g} s is not after {one.time:g} s of the line above")


def read_mahimahi(path: Path) -> Track:
    """Read a mahimahi trace: a line for each packet that can leave, with its millisecond; it repeats for ever.

    The rate of each tenth of a second lets through as many 1500-byte packets as it has opportunities. Where it has
    none, packets wait for the next one.

    Raises:
        BadInput: a line that is no millisecond, goes back, or a trace that ends at 0.
    """
    moments = list(_milliseconds(path))
    if not moments or moments[-1] == 0:
        raise BadInput(f"{path}: expected delivery opportunities, one millisecond a line, and the last above 0")
    return track_of(_windows(moments), moments[-1] / 1000)


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


def _windows(moments: list[int]) -> Iterator[tuple[float, Setting]]:
    """Windows include their start; the last one its end too, which is where mahimahi begins the next lap."""
    lap = moments[-1]
    ends = [min(start + WINDOW, lap) for start in range(0, lap, WINDOW)]
    counts = Counter(min(moment, lap - 1) // WINDOW for moment in moments)
    rates = [counts[n] * OPPORTUNITY * 1000 / (end - n * WINDOW) for n, end in enumerate(ends)]
    for number, end in enumerate(ends):
        start = number * WINDOW
        if counts[number]:
            yield start / 1000, {"rate": rates[number], "wait": 0.0}
            continue
        opens = moments[bisect_left(moments, start)]
        for moment in range(start, end, PAUSE):
            yield moment / 1000, {"rate": rates[min(opens, lap - 1) // WINDOW], "wait": (opens - moment) / 1000}
