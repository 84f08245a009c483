"""NGAP messages to bytes and back, by pycrate (3GPP TS 38.413, 9.4; ASN.1 aligned PER).

A message is its name and its information elements, each by the standard's own name (`AMF-UE-NGAP-ID`), in pycrate's
form of values: numbers, bytes, `(choice, value)`, `(bits, length)`, mappings, lists. Which elements a message has,
their order, numbers and criticality come from the ASN.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from pycrate_asn1dir import NGAP
from pycrate_asn1rt.err import ASN1Err
from pycrate_core.charpy import CharpyErr
from pycrate_core.utils import PycrateErr

from core5g.ngap.errors import NgapError

_PDU = NGAP.NGAP_PDU_Descriptions.NGAP_PDU
_OUTCOMES = {
    "InitiatingMessage": "initiatingMessage",
    "SuccessfulOutcome": "successfulOutcome",
    "UnsuccessfulOutcome": "unsuccessfulOutcome",
}
_MOST = 256 * 1024
"""Bytes of a message; the longest that are sent are paging and system information, some kilobytes."""
_WRONG = (ASN1Err, CharpyErr, PycrateErr, ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError)
"""What pycrate raises on bytes that are no such value."""


class Message(NamedTuple):
    """A message of NGAP: its type's name in TS 38.413, and its elements."""

    name: str
    ies: dict[str, Any]


class _Element(NamedTuple):
    number: int
    criticality: str
    kind: str
    mandatory: bool


class _Kind(NamedTuple):
    outcome: str
    procedure: int
    criticality: str
    elements: dict[str, _Element]


def _names() -> dict[int, str]:
    """Elements' names by their numbers."""
    constants = NGAP.NGAP_Constants
    found = {}
    for attribute in dir(constants):
        one = getattr(constants, attribute)
        if attribute.startswith("id_") and one._tr is not None and one._tr._name == "ProtocolIE-ID":
            found[one.get_val()] = one._name.removeprefix("id-")
    return found


_NAMES = _names()


def _elements(sequence: Any) -> dict[str, _Element]:
    """What a message's or a transfer's container may have; PrivateMessage has a container of another kind."""
    if "protocolIEs" not in sequence._cont:
        return {}
    table = sequence._cont["protocolIEs"]._cont._cont["id"]._const_tab
    value = table.get_val() if table is not None else None
    if value is None:
        return {}
    return {_NAMES[row["id"]]: _element(row) for row in value.root + (value.ext or []) if "Value" in row}


def _element(row: Mapping[str, Any]) -> _Element:
    value = row["Value"]
    kind = value._tr._name if value._tr is not None else value.TYPE
    return _Element(row["id"], row["criticality"], kind, row["presence"] == "mandatory")


def _kinds() -> Iterator[tuple[str, _Kind]]:
    for row in NGAP.NGAP_PDU_Descriptions.NGAP_ELEMENTARY_PROCEDURES.get_val().root:
        for key, outcome in _OUTCOMES.items():
            if key in row:
                name = row[key]._tr._name
                yield name, _Kind(outcome, row["procedureCode"], row.get("criticality", "ignore"), _elements(row[key]))


_KINDS = dict(_kinds())
_BY_PROCEDURE = {(kind.outcome, kind.procedure): name for name, kind in _KINDS.items()}


def encode(name: str, ies: Mapping[str, Any]) -> bytes:
    """Return a message; elements that are None are left out.

    Raises:
        ValueError: a mandatory element is missing, or one is not of this message; our own mistake.
    """
    kind = _KINDS[name]
    value = (name, {"protocolIEs": _container(name, kind.elements, ies)})
    _PDU.set_val((kind.outcome, {"procedureCode": kind.procedure, "criticality": kind.criticality, "value": value}))
    return bytes(_PDU.to_aper())


def _container(name: str, elements: Mapping[str, _Element], ies: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = {key: value for key, value in ies.items() if value is not None}
    if unknown := given.keys() - elements.keys():
        raise ValueError(f"{name} has no {', '.join(sorted(unknown))}")
    if missing := [key for key, one in elements.items() if one.mandatory and key not in given]:
        raise ValueError(f"{name} lacks {', '.join(missing)}")
    return [
        {"id": one.number, "criticality": one.criticality, "value": (one.kind, given[key])}
        for key, one in elements.items()
        if key in given
    ]


def decode(data: bytes) -> Message:
    """Return the message that bytes are.

    Raises:
        NgapError: they are none, or one that lacks a mandatory element.
    """
    if len(data) > _MOST:
        raise NgapError(f"an NGAP message of {len(data)} bytes; expected at most {_MOST}")
    try:
        _PDU.from_aper(data)
        outcome, body = _PDU.get_val()
        name = _BY_PROCEDURE.get((outcome, body["procedureCode"]))
        if name is None:
            raise NgapError(f"procedure {body['procedureCode']} is not known", "abstract-syntax-error-reject")
        found = _found(name, _KINDS[name].elements, body["value"][1]["protocolIEs"])
    except _WRONG as error:
        raise NgapError(f"no NGAP message: {type(error).__name__}: {error}") from None
    return Message(name, found)


def _found(name: str, elements: Mapping[str, _Element], container: list[Any]) -> dict[str, Any]:
    found = {_NAMES[one["id"]]: one["value"][1] for one in container if one["id"] in _NAMES}
    missing = [key for key, one in elements.items() if one.mandatory and key not in found]
    if missing:
        raise NgapError(f"{name} without {', '.join(missing)}", "abstract-syntax-error-reject")
    return found


@cache
def _type(name: str) -> Any:
    return getattr(NGAP.NGAP_IEs, name.replace("-", "_"))


@cache
def _transfer(name: str) -> dict[str, _Element]:
    kind = _type(name)
    return _elements(kind)


def encode_value(name: str, value: Any) -> bytes:
    """Return a value of a type that travels inside another one, such as the transfers for the SMF.

    Args:
        name: of the type. value: where the type is a container of elements, these by name.

    Raises:
        ValueError: as `encode`.
    """
    kind, elements = _type(name), _transfer(name)
    kind.set_val({"protocolIEs": _container(name, elements, value)} if elements else value)
    return bytes(kind.to_aper())


def decode_value(name: str, data: bytes | tuple[str, Any]) -> Any:
    """Return what `encode_value` takes.

    Args:
        data: as it stands in a message: pycrate reads what it knows to be in an octet string, if it can.

    Raises:
        NgapError: the bytes are no such value.
    """
    kind, elements = _type(name), _transfer(name)
    try:
        if isinstance(data, bytes):
            kind.from_aper(data)
            value = kind.get_val()
        else:
            value = data[1]
        return _found(name, elements, value["protocolIEs"]) if elements else value
    except _WRONG as error:
        raise NgapError(f"no {name}: {type(error).__name__}: {error}") from None
