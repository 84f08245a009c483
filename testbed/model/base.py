"""What every model shares: frozen, unknown keys refused, quantities with units at the edge."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from testbed import units


class Model(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


def _quantity(table: Mapping[str, float], example: str) -> Callable[[Any], Any]:
    """Text is read with its unit; a float is SI already (our own JSON); a bool is never a number."""

    def read(value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError(f"expected a quantity such as {example}, not true or false")
        return units.parse(value, table, example) if isinstance(value, str) else value

    return read


_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def _interface(value: str) -> str:
    if not _INTERFACE.fullmatch(value) or len(value) > 15:
        raise ValueError("expected an interface name: a letter, then letters, digits, '_', '.' or '-', at most 15 in all")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or len(value) > 40:
        raise ValueError("expected a name of lower-case letters, digits and inner hyphens, at most 40")
    return value


Seconds = Annotated[float, BeforeValidator(_quantity(units.TIME, "10ms")), Field(ge=0)]
Rate = Annotated[float, BeforeValidator(_quantity(units.RATE, "100Mbit")), Field(gt=0)]
Share = Annotated[float, BeforeValidator(_quantity(units.SHARE, "0.1%")), Field(ge=0, le=1)]
Bytes = Annotated[int, BeforeValidator(lambda v: int(_quantity(units.SIZE, "512MiB")(v))), Field(gt=0)]
Name = Annotated[str, AfterValidator(_name)]
Interface = Annotated[str, AfterValidator(_interface)]
