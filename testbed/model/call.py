"""Calls as people write them in files and commands: `fibre(km=80)`, `rain-event(profile=microwave(km=5), peak=60)`."""

from __future__ import annotations

import re

from testbed.errors import BadInput

_CALL = re.compile(r"\s*([a-z0-9][a-z0-9.-]*)\s*(?:\((.*)\))?\s*")
_ARGUMENT = re.compile(r"\s*([a-z][a-z0-9_]*)\s*=\s*(\S(?:.*\S)?)\s*")


def parse(text: str, what: str, example: str) -> tuple[str, dict[str, str]]:
    """Read a call.

    Args:
        what: it calls. example: a right one; both are for messages.

    Returns:
        The name, and the arguments as they are written.

    Raises:
        BadInput: it is none, or gives an argument twice.
    """
    match = _CALL.fullmatch(text)
    if match is None:
        raise BadInput(f"expected {what} such as {example}")
    given: dict[str, str] = {}
    for part in _parts(match[2] or ""):
        argument = _ARGUMENT.fullmatch(part)
        if argument is None:
            raise BadInput(f"{part.strip()!r}: expected NAME=VALUE, as in {example}")
        if argument[1] in given:
            raise BadInput(f"{part.strip()!r}: {argument[1]} is given twice")
        given[argument[1]] = argument[2]
    return match[1], given


def _parts(text: str) -> list[str]:
    """Split at the commas that stand in no inner call."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts if text.strip() else []
