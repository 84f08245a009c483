"""Models as YAML that a person would write: units, short forms, nothing that is as it would be anyway."""

from __future__ import annotations

from io import StringIO
from typing import Any, get_args

from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import LiteralScalarString

from testbed import units
from testbed.model.base import Model, Unit
from testbed.model.impairment import GilbertElliott, Impairment
from testbed.model.topology import Bridge, Endpoint, Host, Link, LinkTrace, Router, Switch

_ONE_LINE = (Impairment, GilbertElliott, Endpoint, LinkTrace)


def dump(model: Model, comment: str = "") -> str:
    """Write a model as YAML; `testbed.model.load.loads` gives an equal model again.

    Args:
        model: a topology, change, inventory or impairment. comment: lines for the top of the file.
    """
    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    top = tree(model)
    top.fa.set_block_style()
    if comment:
        top.yaml_set_start_comment(comment)
    yaml.dump(top, stream)
    return stream.getvalue()


def tree(model: Model) -> CommentedMap:
    """Return what `dump` writes as mappings, lists and scalars, which JSON can hold as well."""
    result = CommentedMap()
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if field.is_required() or value != field.get_default(call_default_factory=True):
            result[name] = _value(value, unit_of(field))
    if isinstance(model, Link):
        _merge_directions(result, model)
    if isinstance(model, _ONE_LINE) or (isinstance(model, Host | Router | Bridge | Switch) and "config" not in result):
        result.fa.set_flow_style()
    return result


def _merge_directions(result: CommentedMap, link: Link) -> None:
    if link.forward == link.backward and "forward" in result:
        result.pop("backward")
        result.insert(1, "impairment", result.pop("forward"))


def _value(value: Any, unit: Unit | None) -> Any:
    if isinstance(value, Endpoint) and value == Endpoint(node=value.node, interface=value.interface):
        return f"{value.node}:{value.interface}"
    if isinstance(value, LinkTrace) and value.forward == value.backward and not value.repeat:
        return value.forward
    if isinstance(value, Model):
        return tree(value)
    if isinstance(value, dict):
        return CommentedMap((key, _value(child, None)) for key, child in value.items())
    return _sequence(value) if isinstance(value, tuple) else _scalar(value, unit)


def _sequence(value: tuple[Any, ...]) -> CommentedSeq:
    result = CommentedSeq(_value(child, None) for child in value)
    if not any(isinstance(child, CommentedMap) for child in result):
        result.fa.set_flow_style()
    return result


def _scalar(value: Any, unit: Unit | None) -> Any:
    if unit is not None and value is not None:
        return units.write(value, unit.table)
    if isinstance(value, str):
        return LiteralScalarString(value) if _fits_a_block(value) else str(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _fits_a_block(text: str) -> bool:
    """Text of several lines that YAML's `|` keeps byte for byte."""
    lines = text.split("\n")
    plain = all(line.isprintable() and line == line.rstrip() for line in lines)
    return len(lines) > 1 and plain and bool(lines[0]) and not lines[0].startswith(" ")


def unit_of(field: FieldInfo) -> Unit | None:
    """Look for the mark on the field itself and in `Rate | None`."""
    found = [extra for extra in field.metadata if isinstance(extra, Unit)]
    for member in get_args(field.annotation):
        found += [extra for extra in getattr(member, "__metadata__", ()) if isinstance(extra, Unit)]
    return found[0] if found else None
