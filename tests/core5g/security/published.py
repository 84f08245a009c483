"""Test data of the standards, as tables beside this file: their first columns say which clause each row is of."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

_NUMBERS = {"algorithm", "bearer", "bits", "direction", "iterations", "size"}
_TEXTS = {"clause", "generator", "set", "source"}


def rows(name: str) -> list[Any]:
    """Return a table's rows as parameters of a test: dictionaries of bytes, texts and numbers."""
    with (Path(__file__).parent / "data" / f"{name}.csv").open(newline="") as table:
        return [pytest.param(_read(row), id="-".join(list(row.values())[:2])) for row in csv.DictReader(table)]


def _read(row: dict[str, str]) -> dict[str, Any]:
    return {key: text if key in _TEXTS else _value(key, text) for key, text in row.items()}


def _value(key: str, text: str) -> int | bytes:
    return int(text) if key in _NUMBERS else bytes.fromhex(text)
