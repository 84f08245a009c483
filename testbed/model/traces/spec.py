"""Traces as they are named: a file (`csv:drive.csv`, `mahimahi:att-lte.up`) or a generator, `leo-pass(seed=3)`."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from testbed.errors import BadInput, nearest
from testbed.model.call import parse
from testbed.model.traces.files import read_csv, read_mahimahi
from testbed.model.traces.track import Track

FILES = ("csv", "mahimahi", "radio")


def read_trace(text: str, beside: Path = Path(), repeat: bool = False) -> Track:
    """Return the track that a text names.

    Args:
        text: `csv:FILE`, `mahimahi:FILE`, `radio:FILE:SOURCE:SINK` (one direction between two radios of a scenario, see
            sdr.track) or a generator's call. beside: the folder that files are looked for in.
        repeat: begin anew at its end; mahimahi's always do.

    Raises:
        BadInput: no such generator, argument or file, or something in the file is wrong.
    """
    kind, colon, file = text.partition(":")
    if colon and kind == "radio":
        from sdr.track import read_radio  # the channel emulator takes longer still

        return read_radio(*_pair(file.strip(), beside), repeat)
    if colon and kind in FILES:
        path = beside / file.strip()
        return read_csv(path, repeat) if kind == "csv" else read_mahimahi(path)
    return _generated(text, repeat)


def _generated(text: str, repeat: bool) -> Track:
    from testbed.model.traces.generators import GENERATORS  # numpy takes long to import, and few labs have traces

    name, given = parse(text, "csv:FILE, mahimahi:FILE, or a generator", "random-walk(seed=1)")
    generator = GENERATORS.get(name)
    if generator is None:
        known = ", ".join((*(f"{kind}:FILE" for kind in FILES), *GENERATORS))
        raise BadInput(f"no trace called {name!r}{nearest(name, GENERATORS)} (known: {known})")
    arguments = defaults(generator) | _arguments(name, generator, given)
    track = generator(**arguments)
    return replace(track, lap=float(arguments["seconds"])) if repeat else track


def between(text: str, source: str, sink: str) -> str:
    """Return the trace of one direction of a link between two nodes: radios have their names where none are given."""
    return f"{text.rstrip()}:{source}:{sink}" if re.fullmatch(r"radio:[^:]+", text) else text


def _pair(text: str, beside: Path) -> tuple[Path, str, str]:
    parts = text.rsplit(":", 2)
    if len(parts) != 3:
        raise BadInput("expected radio:FILE:SOURCE:SINK, such as radio:town.yaml:gnb:ue1")
    return beside / parts[0], parts[1], parts[2]


def anchored(text: str, beside: Path) -> str:
    """Return a trace's text with its file's whole path, so that it means the same from every folder."""
    kind, colon, file = text.partition(":")
    return f"{kind}:{(beside / file.strip()).absolute()}" if colon and kind in FILES else text


def defaults(generator: Callable[..., Track]) -> dict[str, float | str]:
    """Return a generator's arguments with their defaults."""
    return {name: one.default for name, one in inspect.signature(generator).parameters.items()}


def _arguments(name: str, generator: Callable[..., Track], given: dict[str, str]) -> dict[str, float | str]:
    known = defaults(generator)
    found: dict[str, float | str] = {}
    for key, text in given.items():
        if key not in known:
            raise BadInput(f"{name} has no argument {key!r}{nearest(key, known)} (it has: {', '.join(known)})")
        found[key] = text if isinstance(known[key], str) else _number(key, text)
    return found


def _number(key: str, text: str) -> float:
    from testbed.model.traces.generators import LIMITS

    low, high = LIMITS[key]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise BadInput(f"{key}={text}: expected a number from {low:g} to {high:g}")
    return value
