"""How values are written in the three formats that srsRAN reads: sections of `key = value`, libconfig, YAML."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq


@dataclass(frozen=True, slots=True)
class Because:
    """A value with the reason for it, which is written beside it."""

    value: Any
    reason: str


Settings = Mapping[str, Any]
"""Values by key; a value may be `Because`, further settings, or a sequence of these."""


def sections(settings: Mapping[str, Settings]) -> str:
    """Write `[section]` and `key = value` lines, as Boost's program_options reads them."""
    return "\n".join("\n".join([f"[{name}]", *_lines(keys)]) + "\n" for name, keys in settings.items())


def _lines(keys: Settings) -> Iterator[str]:
    for key, value in keys.items():
        if isinstance(value, Because):
            yield f"# {value.reason}"
        yield f"{key} = {_plain(_bare(value))}"


def libconfig(settings: Settings) -> str:
    """Write libconfig (version 1.5): groups in braces, lists in parentheses, tuples of numbers as arrays."""
    return "".join(f"{key} =\n{_group(value, '')};\n\n" for key, value in settings.items())


def _group(value: Any, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, Mapping):
        keys = "".join(_setting(key, one, inner) for key, one in value.items())
        return f"{indent}{{\n{keys}{indent}}}"
    return f"{indent}(\n" + ",\n".join(_group(one, inner) for one in value) + f"\n{indent})"


def _setting(key: str, value: Any, indent: str) -> str:
    note = f"{indent}// {value.reason}\n" if isinstance(value, Because) else ""
    value = _bare(value)
    if isinstance(value, Mapping | list):
        return f"{note}{indent}{key} =\n{_group(value, indent)};\n"
    if isinstance(value, tuple):
        return f"{note}{indent}{key} = [ {', '.join(map(str, value))} ];\n"
    text = f'"{value}"' if isinstance(value, str) else _plain(value)
    return f"{note}{indent}{key} = {text};\n"


def yaml(settings: Settings) -> str:
    """Write YAML 1.2."""
    stream = io.StringIO()
    writer = YAML()
    writer.width = 1000
    writer.dump(_commented(settings), stream)
    return stream.getvalue()


def _commented(value: Any) -> Any:
    if isinstance(value, Mapping):
        result = CommentedMap()
        for key, one in value.items():
            result[key] = _commented(_bare(one))
            if isinstance(one, Because):
                result.yaml_add_eol_comment(one.reason, key)
        return result
    if isinstance(value, Sequence) and not isinstance(value, str):
        return CommentedSeq(_commented(one) for one in value)
    return value


def _bare(value: Any) -> Any:
    return value.value if isinstance(value, Because) else value


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
