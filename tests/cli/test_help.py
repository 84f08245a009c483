"""Every command explains itself, in the words that were written."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from testbed.cli import app

_BESIDES = re.compile(r"[\s│]")


def _commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for part, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, f"{name} {part}")


COMMANDS = dict(_commands(typer.main.get_command(app), "testbed"))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_all_that_was_written(name, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    command = COMMANDS[name]
    printed = command.get_help(typer.Context(command, info_name=name)) + capsys.readouterr().out
    told = _BESIDES.sub("", printed)
    for one in command.params:
        written = _BESIDES.sub("", getattr(one, "help", None) or "").replace("\\[", "[")
        assert written in told
