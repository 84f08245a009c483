"""Units at the edges: text such as `10ms`, `1Gbit` or `0.1%` becomes SI floats, and back.

Inside the product a time is seconds, a rate is bit/s, a share is a fraction from 0 to 1, memory is bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal, DecimalException

TIME: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}
RATE: Mapping[str, float] = {"bit": 1.0, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9, "Tbit": 1e12}
SIZE: Mapping[str, float] = {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "kB": 1e3, "MB": 1e6, "GB": 1e9}
SHARE: Mapping[str, float] = {"%": 0.01}
FREQUENCY: Mapping[str, float] = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9}
DECIBEL: Mapping[str, float] = {"dB": 1.0}
DBM: Mapping[str, float] = {"dBm": 1.0}

_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?"
_QUANTITY = re.compile(rf"({_NUMBER})\s*([A-Za-z%]+)")


def pattern(units: Mapping[str, float]) -> str:
    """Return the regular expression (ECMA 262, for JSON schemas) that text in these units matches."""
    return rf"^\s*{_NUMBER}\s*({'|'.join(units)})\s*$"


def parse(text: str, units: Mapping[str, float], example: str) -> float:
    """Read a number with its unit.

    Args:
        text: such as `10ms`; the unit is required, so that a bare `10` is never misread.
        units: unit to factor, one of the tables of this module.
        example: a right value, for the message.

    Returns:
        The quantity in SI, the float nearest to what was written.

    Raises:
        ValueError: no number, no unit, an unknown unit, or not finite.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(f"expected a number with a unit ({', '.join(units)}), such as {example}{_hint(match, units)}")
    try:
        # In decimal, so that 0.1% is 0.001 and not 0.001 with a binary rounding on top.
        value = float(Decimal(match[1]) * _factor(units[match[2]]))
    except DecimalException:
        value = math.inf
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, such as {example}")
    return value


def show(value: float, units: Mapping[str, float]) -> str:
    """Write an SI value for people, six digits at most: `show(0.0102, TIME)` is `10.2ms`."""
    rounded = float(f"{value:.6g}")  # before the unit is chosen, else 0.9999999 s would be 1000ms
    unit = _fitting(rounded, units)
    return f"{rounded / units[unit]:.6g}{unit}"


def write(value: float, units: Mapping[str, float]) -> str:
    """Write an SI value for files: `parse` of the text is exactly `value` again."""
    unit = _fitting(value, units)
    base = min(units, key=lambda name: abs(units[name] - 1))
    for candidate in (unit, base):
        text = f"{_plain(Decimal(repr(float(value))) / _factor(units[candidate]))}{candidate}"
        if parse(text, units, text) == value:
            return text
    raise ValueError(f"{value!r} cannot be written in {', '.join(units)}")


def _factor(factor: float) -> Decimal:
    return Decimal(repr(factor))


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if len(text) <= 20 else str(number.normalize())


def _fitting(value: float, units: Mapping[str, float]) -> str:
    """The largest unit that leaves one or more before the point; the smallest where none does; the base unit for 0."""
    if value == 0:
        return min(units, key=lambda name: abs(units[name] - 1))
    fitting = [name for name in units if abs(value) >= units[name]]
    return max(fitting, key=lambda name: units[name]) if fitting else min(units, key=lambda name: units[name])


def _hint(match: re.Match[str] | None, units: Mapping[str, float]) -> str:
    """`100mbit` and `5MS` are slips of the Shift key; say so rather than guess, since `m` and `M` differ elsewhere."""
    same = [name for name in units if match is not None and name.lower() == match[2].lower()]
    return f"; did you mean {match[1] + same[0]!r}?" if match is not None and same else ""
