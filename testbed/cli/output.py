"""How commands speak: results on standard output (text or `--json`), progress and errors on standard error."""

from __future__ import annotations

import json
import sys
from types import TracebackType
from typing import Annotated, Any, Self

import msgspec
import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table

from testbed.emulator.messages import Progress

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

PIPE_WIDTH = 240
"""Columns of a table that is not read on a terminal: wide enough that no cell is folded."""

stdout = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_WIDTH)
stderr = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print any model, message, dataclass or plain value as indented JSON."""
    print(json.dumps(to_plain(value), indent=2, ensure_ascii=False))


def to_plain(value: Any) -> Any:
    """Return JSON-ready data: pydantic models, msgspec structs and dataclasses may nest in anything."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return msgspec.to_builtins(value, enc_hook=to_plain, str_keys=True)


def print_table(columns: list[str], rows: list[list[str]], title: str | None = None) -> None:
    """Print rows as a table whose cells are plain text (never markup)."""
    table = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(cell.replace("[", r"\[") for cell in row))
    stdout.print(table)


class Reporter:
    """Shows progress: a live line on a terminal, one line per event elsewhere."""

    def __init__(self) -> None:
        self._status = stderr.status("") if sys.stderr.isatty() else None
        self._last = ""

    def __enter__(self) -> Self:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._status:
            self._status.stop()

    def __call__(self, event: object) -> None:
        """Show one event, a `Progress` or words; on a pipe, a text's counts are printed at its start and end only."""
        counted = isinstance(event, Progress)
        text, done, total = (event.text, event.done, event.total) if counted else (str(event), 0, 0)
        count = f" {done}/{total}" if total else ""
        if self._status:
            self._status.update(text.replace("[", r"\[") + count)
        elif text != self._last or done == total:
            print(text + count, file=sys.stderr, flush=True)
        self._last = text
