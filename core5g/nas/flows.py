"""QoS rules and flows: which packets of a session travel how (3GPP TS 24.501, 9.11.4.12 and 9.11.4.13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from core5g.nas.fields import Codec
from core5g.nas.values import rate, rate_bytes

CREATE, DELETE, MODIFY = 1, 2, 3
"""Operations of rules and of descriptions; rules have more."""
MATCH_ALL = b"\x01"
"""Components of a packet filter that takes every packet."""
DOWNLINK, UPLINK, BOTH = 1, 2, 3


class PacketFilter(NamedTuple):
    """What packets a rule takes. `components`: as on the wire; empty where the filter is to be deleted."""

    number: int
    direction: int = BOTH
    components: bytes = MATCH_ALL


class QosRule(NamedTuple):
    """A rule: the packets of its filters belong to a flow. `precedence`: lower ones are looked at first."""

    number: int
    flow: int
    operation: int = CREATE
    default: bool = False
    filters: tuple[PacketFilter, ...] = ()
    precedence: int = 255


class FlowDescription(NamedTuple):
    """A flow's quality; rates in bit/s, up and down, guaranteed (GFBR) and at most (MFBR)."""

    flow: int
    operation: int = CREATE
    quality: int | None = None
    guaranteed_uplink: int | None = None
    guaranteed_downlink: int | None = None
    maximum_uplink: int | None = None
    maximum_downlink: int | None = None


_DELETE_FILTERS = 5
_PARAMETERS = ("quality", "guaranteed_uplink", "guaranteed_downlink", "maximum_uplink", "maximum_downlink")


def _read_rules(data: bytes) -> tuple[QosRule, ...]:
    return tuple(_rule(number, body) for number, body in _bodies(data))


def _bodies(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        end = at + 3 + int.from_bytes(data[at + 1 : at + 3], "big")
        if end > len(data) or end <= at + 3:
            raise ValueError("expected a QoS rule")
        yield data[at], data[at + 3 : end]
        at = end


def _rule(number: int, body: bytes) -> QosRule:
    operation, default, count = body[0] >> 5, bool(body[0] & 16), body[0] & 15
    filters, at = [], 1
    for _ in range(count):
        if operation == _DELETE_FILTERS:
            filters.append(PacketFilter(body[at] & 15, 0, b""))
            at += 1
            continue
        end = at + 2 + body[at + 1]
        if end > len(body):
            raise ValueError("expected a packet filter")
        filters.append(PacketFilter(body[at] & 15, body[at] >> 4 & 3, body[at + 2 : end]))
        at = end
    precedence, flow = (body[at], body[at + 1] & 63) if len(body) > at + 1 else (255, 0)
    return QosRule(number, flow, operation, default, tuple(filters), precedence)


def _write_rules(value: Iterable[QosRule]) -> bytes:
    parts = ((one.number, _rule_body(one)) for one in value)
    return b"".join(bytes((number,)) + len(body).to_bytes(2, "big") + body for number, body in parts)


def _rule_body(one: QosRule) -> bytes:
    head = bytes((one.operation << 5 | one.default << 4 | len(one.filters),))
    if one.operation == DELETE:
        return head
    return head + b"".join(_filter(one.operation, each) for each in one.filters) + bytes((one.precedence, one.flow))


def _filter(operation: int, one: PacketFilter) -> bytes:
    if operation == _DELETE_FILTERS:
        return bytes((one.number,))
    return bytes((one.direction << 4 | one.number, len(one.components))) + one.components


def _read_descriptions(data: bytes) -> tuple[FlowDescription, ...]:
    found, at = [], 0
    while at < len(data):
        flow, operation, count = data[at] & 63, data[at + 1] >> 5, data[at + 2] & 63
        at += 3
        parameters: dict[str, int] = {}
        for _ in range(count):
            name, size = data[at], data[at + 1]
            content = data[at + 2 : at + 2 + size]
            if len(content) != size:
                raise ValueError("expected a parameter of a flow")
            if 1 <= name <= len(_PARAMETERS):
                parameters[_PARAMETERS[name - 1]] = content[0] if name == 1 else rate(content)
            at += 2 + size
        found.append(FlowDescription(flow, operation, **parameters))
    return tuple(found)


def _write_descriptions(value: Iterable[FlowDescription]) -> bytes:
    return b"".join(map(_description, value))


def _description(one: FlowDescription) -> bytes:
    parts = []
    for index, name in enumerate(_PARAMETERS, start=1):
        number = getattr(one, name)
        if number is not None:
            content = bytes((number,)) if index == 1 else rate_bytes(number)
            parts.append(bytes((index, len(content))) + content)
    return bytes((one.flow, one.operation << 5, bool(parts) << 6 | len(parts))) + b"".join(parts)


RULES = Codec(_read_rules, _write_rules)
DESCRIPTIONS = Codec(_read_descriptions, _write_descriptions)


def everything(flow: int, number: int = 1) -> QosRule:
    """Return the default rule of a session: every packet travels in this flow."""
    return QosRule(number, flow, default=True, filters=(PacketFilter(1),))
