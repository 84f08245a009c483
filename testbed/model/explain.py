"""A validation error of pydantic in the words of a file: which key, what was expected, the nearest right word."""

from __future__ import annotations

import re
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

from testbed.errors import nearest

WRITTEN_KEYS: dict[str, tuple[str, ...]] = {"Link": ("impairment", "profile"), "Router": ("config_file",)}
"""Keys that files have beyond the model's own; testbed.model.short turns them into those."""
_QUOTED = re.compile(r"'([^']*)'")


class Explained(NamedTuple):
    """An error: the keys and indexes to it in the file, what was expected, whether it is about the key itself."""

    path: tuple[str | int, ...]
    expected: str
    about_key: bool = False


def explain(model: type[BaseModel], error: ErrorDetails) -> Explained:
    """Put one error into words.

    Args:
        model: what was being validated; with it the names of union members are told from keys.
        error: of `ValidationError.errors()`.
    """
    path, about_key, owners, here = _resolve(model, error["loc"])
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return Explained(path, _unknown_key(str(path[-1]), owners), about_key=True)
    if kind == "missing":
        return Explained(path, _missing(path[-1], owners), about_key=True)
    if kind == "secret":  # told at its key: a value's place comes with the value
        return Explained(path, error["msg"], about_key=True)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        key = str(context["discriminator"]).strip("'")
        return _bad_tag((*path, key), kind, context, here)
    return Explained(path, _expected(error), about_key)


def keys_of(model: type[BaseModel]) -> list[str]:
    """Return the keys that a file may have where this model stands."""
    return [*model.model_fields, *WRITTEN_KEYS.get(model.__name__, ())]


def _unknown_key(key: str, owners: list[Any]) -> str:
    known = [name for owner in _models(owners) for name in keys_of(owner)]
    return f"unknown key {key!r}: expected one of {', '.join(dict.fromkeys(known))}{nearest(key, known)}"


def _missing(key: str | int, owners: list[Any]) -> str:
    if isinstance(key, int):
        return "expected two items"
    owner = next((owner for owner in _models(owners) if key in owner.model_fields), None)
    examples = owner.model_fields[key].annotation if owner else None
    words = [word for word in _members(examples) if get_origin(word) is Literal]
    choice = " or ".join(repr(value) for word in words for value in get_args(word))
    return f"missing key {key!r}{f': expected {choice}' if choice else ''}"


def _bad_tag(path: tuple[str | int, ...], kind: str, context: dict[str, Any], owners: list[Any]) -> Explained:
    known = _QUOTED.findall(str(context.get("expected_tags", ""))) or list(_tags(owners))
    if kind == "union_tag_not_found":
        return Explained(path, f"missing key {path[-1]!r}: expected one of {', '.join(known)}", about_key=True)
    tag = str(context["tag"])
    return Explained(path, f"expected one of {', '.join(known)}{nearest(tag, known)}")


def _expected(error: ErrorDetails) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "value_error":
        return str(context["error"])
    if kind == "refused":
        return str(context["expected"])
    if kind in ("literal_error", "enum"):
        known = _QUOTED.findall(str(context["expected"]))
        return f"expected one of {', '.join(known)}{nearest(str(value), known)}"
    if kind in _WORDS:
        return _WORDS[kind].format(**context)
    if kind == "string_type":
        return "expected text" if isinstance(value, dict | list | None) else "expected text: put it in quotes"
    return error["msg"]


_MAPPING, _LIST = "expected a mapping (key: value)", "expected a list"
_WHOLE, _NUMBER = "expected a whole number, without quotes", "expected a number, without quotes"
_WORDS: dict[str, str] = {
    "bool_type": "expected true or false, without quotes",
    "bool_parsing": "expected true or false, without quotes",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "expected a smaller whole number",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "expected a finite number",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than": "expected less than {lt}",
    "less_than_equal": "expected at most {le}",
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": _LIST,
    "list_type": _LIST,
    "too_short": "expected at least {min_length}, found {actual_length}",
    "too_long": "expected at most {max_length}, found {actual_length}",
}


class _Resolved(NamedTuple):
    """A location in the file; the types that have its last key, and those of what is there."""

    path: tuple[str | int, ...]
    about_key: bool
    owners: list[Any]
    here: list[Any]


def _resolve(model: type[BaseModel], loc: tuple[int | str, ...]) -> _Resolved:
    """Walk the types beside the location: names of union members are dropped, the rest are keys of the file."""
    here, owners = list(_members(model)), list(_members(model))
    path: list[str | int] = []
    for item in loc:
        if item == "[key]":
            return _Resolved(tuple(path), True, owners, here)
        chosen = [member for member in here if item in _names(member)]
        if chosen and len(here) > 1:
            here = [part for member in chosen for part in _members(_untagged(member))]
            continue
        path.append(item)
        owners, here = here, [part for member in here for part in _under(member, item)]
    return _Resolved(tuple(path), False, owners, here)


def _members(annotation: Any) -> Iterable[Any]:
    """The alternatives an annotation allows; a member with a Tag keeps it."""
    if get_origin(annotation) is Annotated:
        if any(isinstance(extra, Tag) for extra in annotation.__metadata__):
            return [annotation]
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [part for member in get_args(annotation) for part in _members(member)]
    return [] if annotation in (None, NoneType) else [annotation]


def _untagged(member: Any) -> Any:
    return get_args(member)[0] if get_origin(member) is Annotated else member


def _names(member: Any) -> tuple[str, ...]:
    """What pydantic calls a member of a union in a location: its tag, its discriminator's values."""
    if get_origin(member) is Annotated:
        return tuple(extra.tag for extra in member.__metadata__ if isinstance(extra, Tag))
    if isinstance(member, type) and issubclass(member, BaseModel) and "kind" in member.model_fields:
        return tuple(str(value) for value in get_args(member.model_fields["kind"].annotation))
    return ()


def _tags(members: list[Any]) -> Iterable[str]:
    return dict.fromkeys(name for member in members for name in _names(member))


def _under(member: Any, item: str | int) -> Iterable[Any]:
    member = _untagged(member)
    if isinstance(member, type) and issubclass(member, BaseModel):
        field = member.model_fields.get(str(item))
        if field is None:
            return []
        return _members(field.annotation)
    arguments = get_args(member)
    if get_origin(member) is dict:
        return _members(arguments[1])
    return _members(arguments[0]) if get_origin(member) in (tuple, list) and arguments else []


def _models(members: list[Any]) -> list[type[BaseModel]]:
    plain = [_untagged(member) for member in members]
    return [member for member in plain if isinstance(member, type) and issubclass(member, BaseModel)]
