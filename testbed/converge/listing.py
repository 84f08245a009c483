"""A plan as lines for people: `+` for what comes, `-` for what goes, `~` for what changes, each with old -> new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from testbed import units
from testbed.converge.difference import Edit
from testbed.converge.plan import Plan
from testbed.emulator.standing import RouterChange
from testbed.model.dump import unit_of
from testbed.model.impairment import Impairment

Sign = Literal["+", "-", "~"]
_SIGNS: dict[str, Sign] = {"add": "+", "remove": "-", "change": "~"}
_KINDS = {"nodes": "node", "links": "link", "demands": "demand"}
_DIRECTIONS = ("forward", "backward")


@dataclass(frozen=True, slots=True)
class Row:
    """One line: sign, what it is about (`link a-b`), and what of it (`delay 10ms -> 20ms`)."""

    sign: Sign
    what: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.what}{': ' if self.text else ''}{self.text}"


def rows(plan: Plan) -> list[Row]:
    """Return what a plan changes, a line each; settings that change alike in both directions share one."""
    found = [_row(edit, plan.edits) for edit in plan.edits if not _spoken_for(edit, plan.edits)]
    return found + [_router(change) for change in plan.routers] + [_command(*it) for it in plan.commands]


def _row(edit: Edit, edits: Sequence[Edit]) -> Row:
    kind, *rest = edit.path
    if kind not in _KINDS:
        return Row("~", str(kind), _changed(" ".join(map(str, rest)), edit))
    depth = 2 if kind == "demands" else 1
    what = f"{_KINDS[str(kind)]} {' -> '.join(map(str, rest[:depth]))}"
    if len(rest) <= depth:
        return Row(_SIGNS[edit.op], what, _whole(edit))
    alike = rest[depth] in _DIRECTIONS and _other_way(edit) in edits
    return Row("~", what, _changed(" ".join(_word(word) for word in rest[depth + alike :]), edit))


def _spoken_for(edit: Edit, edits: Sequence[Edit]) -> bool:
    return edit.path[2:3] == ("backward",) and _other_way(edit) in edits


def _other_way(edit: Edit) -> Edit:
    other = _DIRECTIONS[1 - _DIRECTIONS.index(str(edit.path[2]))]
    return Edit(edit.op, (*edit.path[:2], other, *edit.path[3:]), edit.old, edit.new)


def _word(word: str | int) -> str:
    return f"{('first', 'second')[word]} end" if isinstance(word, int) else word


def _whole(edit: Edit) -> str:
    """Say what is added or removed; of what is replaced as a whole, both."""
    told = [_brief(value) for value in (edit.old, edit.new) if value is not None]
    return " -> ".join(told) + (", made anew with its links" if edit.op == "change" and len(told) > 1 else "")


def _brief(value: Any) -> str:
    if isinstance(value, dict) and "endpoints" in value:
        return " -- ".join(f"{end['node']}:{end['interface']}" for end in value["endpoints"])
    if isinstance(value, dict):
        return str(value.get("kind", ""))
    return _shown(value)


def _changed(name: str, edit: Edit) -> str:
    if edit.path[-1] == "config":
        return "configuration" if edit.old and edit.new else "configuration given" if edit.new else "configuration made"
    field = Impairment.model_fields.get(str(edit.path[-1])) if set(edit.path) & set(_DIRECTIONS) else None
    unit = unit_of(field) if field is not None else None
    old, new = (units.show(v, unit.table) if unit and v is not None else _shown(v) for v in (edit.old, edit.new))
    return f"{name} {old} -> {new}"


def _shown(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "measured" if len(value) > 8 else " ".join(map(_shown, value))
    if isinstance(value, dict) and value.get("repeat") is False:
        return " ".join(f"{key}={value[key]}" for key in _DIRECTIONS if value[key] is not None)
    if isinstance(value, dict):
        return " ".join(f"{key}={_shown(child)}" for key, child in value.items() if child is not None)
    return str(value)


def _router(change: RouterChange) -> Row:
    count = len(change.lines.splitlines())
    return Row("~", f"router {change.node}", f"{count} line(s) of configuration, without a restart")


def _command(node: str, line: str) -> Row:
    return Row("+", f"run in {node}", line)
