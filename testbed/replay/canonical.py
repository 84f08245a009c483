"""Canonical JSON (RFC 8785, JCS): one value, one sequence of bytes, so that a hash of it means something."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Any

from pydantic import BaseModel


def encode(value: Any) -> bytes:
    """Serialise as RFC 8785 says: keys sorted by UTF-16 code units, numbers as ECMAScript writes them, no white space.

    Args:
        value: dict with text keys, list, tuple, str, bool, None, int or float, nested.

    Returns:
        UTF-8 bytes.

    Raises:
        ValueError: NaN, an infinity, an integer a double cannot hold, a lone surrogate, or another type.
    """
    return "".join(_pieces(value)).encode()


def digest(value: Any) -> str:
    """Return the SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(encode(value)).hexdigest()


def plain(model: BaseModel, exclude: set[str] | None = None) -> dict[str, Any]:
    """Return a model as JSON types, ready for `encode`."""
    return model.model_dump(mode="json", exclude=exclude)


def _pieces(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _object(value)
    elif isinstance(value, list | tuple):
        yield from _array(value)
    else:
        yield _scalar(value)


def _object(value: dict[Any, Any]) -> Iterator[str]:
    if not all(isinstance(key, str) for key in value):
        raise ValueError(f"an object's keys must be text: {sorted(map(repr, value))}")
    yield "{"
    for position, key in enumerate(sorted(value, key=_utf16)):
        yield f"{',' if position else ''}{_text(key)}:"
        yield from _pieces(value[key])
    yield "}"


def _array(value: list[Any] | tuple[Any, ...]) -> Iterator[str]:
    yield "["
    for position, item in enumerate(value):
        if position:
            yield ","
        yield from _pieces(item)
    yield "]"


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return _number(value)
    raise ValueError(f"{type(value).__name__} has no place in JSON: {value!r}")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")  # big-endian bytes sort as the code units do; a lone surrogate raises ValueError


def _text(value: str) -> str:
    value.encode()  # a lone surrogate raises UnicodeEncodeError, a ValueError
    return encode_basestring(value)


def _integer(value: int) -> str:
    if abs(value) >= 2**1023 or int(float(value)) != value:
        raise ValueError(f"{value} does not fit a double exactly (expected at most 2^53); write it as text")
    return _number(float(value))


def _number(value: float) -> str:
    """Write a double as ECMAScript's Number::toString does (ECMA-262, 6.1.6.1.20)."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no place in JSON; expected a finite number")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    digits, point = _shortest(abs(value))
    return sign + _layout(digits, point)


def _shortest(value: float) -> tuple[str, int]:
    """Return the shortest digits that read back as `value`, and where the decimal point stands in them."""
    mantissa, _, exponent = f"{value!r}e0".partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = whole + fraction
    point = len(whole) + int(exponent.partition("e")[0])
    stripped = digits.lstrip("0")
    return stripped.rstrip("0"), point - (len(digits) - len(stripped))


def _layout(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    mantissa = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{point - 1:+d}"
