"""How values are written in two of the formats that srsRAN reads: sections of `key = value`, libconfig."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from testbed.model.settings import Because, Settings, bare


def sections(settings: Mapping[str, Settings]) -> str:
    """Write `[section]` and `key = value` lines, as Boost's program_options reads them."""
    return "\n".join("\n".join([f"[{name}]", *_lines(keys)]) + "\n" for name, keys in settings.items())


def _lines(keys: Settings) -> Iterator[str]:
    for key, value in keys.items():
        if isinstance(value, Because):
            yield f"# {value.reason}"
        yield f"{key} = {_plain(bare(value))}"


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
    value = bare(value)
    if isinstance(value, Mapping | list):
        return f"{note}{indent}{key} =\n{_group(value, indent)};\n"
    if isinstance(value, tuple):
        return f"{note}{indent}{key} = [ {', '.join(map(str, value))} ];\n"
    text = f'"{value}"' if isinstance(value, str) else _plain(value)
    return f"{note}{indent}{key} = {text};\n"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
