"""Configuration that other programs read, written as YAML 1.2 with the reason beside a surprising value."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
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


def yaml(settings: Settings, heading: str = "") -> str:
    """Write YAML 1.2; the same settings give the same bytes.

    Args:
        heading: a comment at the top.
    """
    stream = io.StringIO()
    writer = YAML()
    writer.width = 1000
    body = _commented(settings)
    if heading:
        body.yaml_set_start_comment(heading)
    writer.dump(body, stream)
    return stream.getvalue()


def _commented(value: Any) -> Any:
    if isinstance(value, Mapping):
        result = CommentedMap()
        for key, one in value.items():
            result[key] = _commented(bare(one))
            if isinstance(one, Because):
                result.yaml_add_eol_comment(one.reason, key)
        return result
    if isinstance(value, Sequence) and not isinstance(value, str):
        return CommentedSeq(_commented(one) for one in value)
    return value


def bare(value: Any) -> Any:
    """Return a value without its reason."""
    return value.value if isinstance(value, Because) else value
