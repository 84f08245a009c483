"""What every model shares: frozen, unknown keys refused, quantities with units at the edge."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from typing import Annotated, Any, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from testbed import units

WRITTEN: Mapping[str, bool] = {"written": True}
"""Validation context of text that a person wrote: quantities need their unit. Our own JSON has SI numbers instead."""


class Model(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong inside a model.

    Attributes:
        where: keys and indexes from that model. value: what is there. expected: instead.
        offset: where in a longer text the value stands, in characters.
    """

    where: tuple[str | int, ...]
    value: Any
    expected: str
    offset: int | None = None


def refuse(problems: list[Problem]) -> None:
    """Raise what a model's validator found, each at its own place; do nothing where there is nothing.

    Raises:
        ValidationError: with one error for each problem; pydantic puts the model's own place before theirs.
    """
    if problems:
        _raise(problems)


def _raise(problems: list[Problem]) -> NoReturn:
    lines = [
        InitErrorDetails(
            type=PydanticCustomError("refused", "{expected}", {"expected": p.expected}), loc=p.where, input=p.value
        )
        for p in problems
    ]
    raise ValidationError.from_exception_data("refused", lines)


@dataclass(frozen=True, slots=True)
class Unit:
    """Marks a field's annotation: its values are written in these units."""

    table: Mapping[str, float]

    def __hash__(self) -> int:
        return hash(tuple(self.table))


def _quantity(
    table: Mapping[str, float], example: str, accept: Callable[[float], bool], span: str, whole: bool = False
) -> tuple[Any, ...]:
    """Validators of one kind of quantity: text is read with its unit; a number is SI already (our own JSON).

    Args:
        table: units, of testbed.units. example: a right value. accept: whether an SI value is in the span.
        span: the span in words, for the message. whole: the value is an integer (bytes).
    """

    def read(value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise ValueError(f"expected a quantity such as {example}")
        if isinstance(value, str):
            value = units.parse(value, table, example)
            return round(value) if whole else value
        if value != 0 and info.context is not None and info.context.get("written"):
            raise ValueError(f"expected a number with a unit ({', '.join(table)}), such as {example}")
        return value

    def within(value: float) -> float:
        if not accept(value):
            raise ValueError(f"expected {span}, such as {example}")
        return value

    number = {"type": "integer" if whole else "number", "description": "SI, in JSON the product wrote itself"}
    text = {"type": "string", "pattern": units.pattern(table), "examples": [example], "description": span}
    return BeforeValidator(read), AfterValidator(within), WithJsonSchema({"anyOf": [text, number]}), Unit(table)


_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
# `lo` is every node's own; the kernel keeps `all` and `default` for sysctl.
_TAKEN = frozenset({"lo", "all", "default"})


def _interface(value: str) -> str:
    if not _INTERFACE.fullmatch(value) or len(value) > 15:
        raise ValueError(
            "expected an interface name: a letter, then letters, digits, '_', '.' or '-', at most 15 in all"
        )
    if value in _TAKEN:
        raise ValueError(f"expected an interface name that the system does not use itself (not {value!r})")
    return value


def _name(value: str) -> str:
    if not _NAME.fullmatch(value) or len(value) > 40:
        raise ValueError("expected a name of lower-case letters, digits and inner hyphens, at most 40")
    return value


def _address(value: Any) -> IPv4Interface | IPv6Interface:
    """`10.0.0.1/30`. The prefix length is required: without it a link's end would silently be alone in its subnet."""
    if isinstance(value, IPv4Interface | IPv6Interface):
        return value
    if not isinstance(value, str) or "/" not in value:
        raise ValueError("expected an address with its prefix length, such as 10.0.0.1/30 or 2001:db8::1/64")
    try:
        address = ip_interface(value)
    except ValueError as error:
        raise ValueError(f"expected an address with its prefix length, such as 10.0.0.1/30 ({error})") from None
    return _usable(address)


def _usable(address: IPv4Interface | IPv6Interface) -> IPv4Interface | IPv6Interface:
    ip, network = address.ip, address.network
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback:
        raise ValueError("expected a unicast address that an interface can have")
    if isinstance(address, IPv4Interface) and network.prefixlen < 31:
        if ip == network.network_address:
            raise ValueError(f"expected a host's address; this is the network {network} itself")
        if ip == network.broadcast_address:
            raise ValueError(f"expected a host's address; this is the broadcast address of {network}")
    return address


def _host_address(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError("expected an IP address without prefix length, such as 10.0.0.1") from None


def _prefix(value: str) -> str:
    try:
        return str(ip_network(value))
    except ValueError as error:
        raise ValueError(f"expected a prefix such as 10.0.0.0/24 ({error})") from None


def _target(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        pass
    if _NAME.fullmatch(value) and len(value) <= 40:
        return value
    raise ValueError("expected a device's name or an IP address")


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("expected text that is not empty")
    return value


_CONTROLLER = re.compile(r"(?:tcp|ssl):(.+):(\d+)")


def _controller(value: str) -> str:
    """`tcp:127.0.0.1:6653` as ovs-vswitchd takes it; an IPv6 address stands in brackets."""
    found = _CONTROLLER.fullmatch(value)
    try:
        if value in ("testbed", "none"):
            return value
        if found and 1 <= int(found[2]) <= 65535 and ip_address(found[1].strip("[]")):
            return value
    except ValueError:
        pass
    raise ValueError("expected testbed, none, or where a controller listens, such as tcp:127.0.0.1:6653")


_YEAR = 366 * 86400.0

Seconds = Annotated[
    float, *_quantity(units.TIME, "10ms", lambda v: 0 <= v <= _YEAR, "a time that is not negative, at most a year")
]
Rate = Annotated[
    # The kernel counts whole bytes a second, and takes 0 for unlimited: less than 8 bit/s would be no limit at all.
    float, *_quantity(units.RATE, "100Mbit", lambda v: 8 <= v <= 1e14, "a rate above zero, from 8bit to 100Tbit")
]
Share = Annotated[float, *_quantity(units.SHARE, "0.1%", lambda v: 0 <= v <= 1, "a share from 0% to 100%")]
Bytes = Annotated[
    int, *_quantity(units.SIZE, "512MiB", lambda v: 0 < v <= 2**50, "a size above zero, at most 1 PiB", whole=True)
]
Frequency = Annotated[
    float, *_quantity(units.FREQUENCY, "11.52MHz", lambda v: 0 < v <= 1e12, "a frequency above zero, at most 1 THz")
]
Decibel = Annotated[float, *_quantity(units.DECIBEL, "-20dB", lambda v: abs(v) <= 400, "a ratio from -400dB to 400dB")]
"""A ratio of powers as 10 times its decimal logarithm."""
Dbm = Annotated[float, *_quantity(units.DBM, "23dBm", lambda v: abs(v) <= 400, "a power from -400dBm to 400dBm")]
"""A power over 1 mW, as 10 times the decimal logarithm."""
Shift = Annotated[float, *_quantity(units.FREQUENCY, "-300Hz", lambda v: abs(v) <= 1e12, "a shift of 1 THz at most")]
"""By how much a frequency is higher; lower where it is negative."""
Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
"""`true` or `false`; a quoted "false" or a number is refused, since any text would otherwise be read as one of them."""
Name = Annotated[str, AfterValidator(_name)]
Interface = Annotated[str, AfterValidator(_interface)]
Text = Annotated[str, AfterValidator(_text)]
Address = Annotated[
    IPv4Interface | IPv6Interface,
    BeforeValidator(_address),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.1/30"], "description": "address/prefix length"}),
]
HostAddress = Annotated[str, AfterValidator(_host_address)]
Prefix = Annotated[str, AfterValidator(_prefix)]
Target = Annotated[str, AfterValidator(_target)]
Vlan = Annotated[int, Strict(), Field(ge=1, le=4094)]
Controller = Annotated[str, AfterValidator(_controller)]
Port = Annotated[int, Strict(), Field(ge=1, le=65535)]
Metric = Annotated[int, Strict(), Field(ge=1, le=65535)]
