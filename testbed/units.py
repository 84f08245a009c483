"""Units at the edges: text such as `10ms`, `1Gbit` or `0.1%` becomes SI floats, and back.

Inside the product a time is seconds, a rate is bit/s, a share is a fraction from 0 to 1, memory is bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

TIME: Mapping[str, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "min": 60.0, "h": 3600.0}
RATE: Mapping[str, float] = {"bit": 1.0, "kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9, "Tbit": 1e12}
SIZE: Mapping[str, float] = {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "kB": 1e3, "MB": 1e6, "GB": 1e9}
SHARE: Mapping[str, float] = {"%": 0.01}

_QUANTITY = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*([A-Za-z%]+)")


def parse(text: str, units: Mapping[str, float], example: str) -> float:
    """Read a number with its unit.

    Args:
        text: such as `10ms`; the unit is required, so that a bare `10` is never misread.
        units: unit to factor, one of the tables of this module.
        example: a right value, for the message.

    Returns:
        The quantity in SI.

    Raises:
        ValueError: no number, no unit, an unknown unit, or not finite.
    """
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(f"expected a number with a unit ({', '.join(units)}), such as {example}")
    value = float(match[1]) * units[match[2]]
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, such as {example}")
    return value


def show(value: float, units: Mapping[str, float]) -> str:
    """Write an SI value in the unit that keeps it short: `show(0.0102, TIME)` is `10.2ms`."""
    if value == 0:
        return "0" + min(units, key=lambda unit: abs(units[unit] - 1))
    fitting = [unit for unit in units if abs(value) >= units[unit]]
    unit = max(fitting, key=lambda u: units[u]) if fitting else min(units, key=lambda u: units[u])
    return f"{value / units[unit]:.6g}{unit}"
