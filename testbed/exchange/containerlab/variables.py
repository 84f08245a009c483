"""What containerlab replaces in a file: environment variables everywhere, magic variables in some values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from testbed.exchange.base import Findings
from testbed.model.source import Place

_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-=+])([^}]*))?\})")
_MAGIC = re.compile(r"__(\w+?)__")


def expand(text: str, file: str, environment: Mapping[str, str], findings: Findings) -> str:
    """Replace environment variables as bash does: `$X`, `${X}`, `${X:-default}`, `${X:=default}`, `${X:+other}`, `$$`.

    A variable that is not set and has no default is refused, where containerlab would go on with nothing in its place.
    """
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if "$" in line and not line.lstrip().startswith("#"):
            lines[number - 1] = _expand_line(line, file, number, environment, findings)
    return "\n".join(lines)


def _expand_line(line: str, file: str, number: int, environment: Mapping[str, str], findings: Findings) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1]:
            return "$"
        name, operator, word = match[2] or match[3], match[4] or "", match[5] or ""
        given = environment.get(name)
        there = bool(given) if ":" in operator else given is not None
        if "+" in operator:
            return word if there else ""
        if not there and not operator:
            expected = f"expected the environment to have {name}; write ${{{name}:-default}}, or $${name} for the text"
            findings.refuse(Place(file, number, match.start() + 1), f"value {match[0]!r}: {expected}")
        return (given or "") if there else word

    return _VARIABLE.sub(value, line)


class Magic:
    """The magic variables of one lab."""

    def __init__(self, lab: str, file: Path) -> None:
        self._lab = f"clab-{lab}"
        self._folder = str(file.parent / self._lab)

    def replaced(self, text: str, node: str) -> str:
        """Return text with what a node's magic variables stand for; unknown ones are left as they are."""
        known = {
            "clabLabName": self._lab,
            "clabNodeName": node,
            "clabDir": self._folder,
            "clabNodeDir": f"{self._folder}/{node}",
        }
        return _MAGIC.sub(lambda match: known.get(match[1], match[0]), text)
