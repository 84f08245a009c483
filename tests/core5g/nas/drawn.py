"""Whole NAS messages, drawn at random: every mandatory element, any of the optional ones."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from core5g.nas import flows, mobility, sessions, values
from core5g.nas.fields import Codec, Field, Half, Halves, Message, SessionMessage

CLASSES: list[type[Message]] = [
    one for module in (mobility, sessions) for one in vars(module).values() if hasattr(one, "layout")
]

BYTE, HALF, PLMN = st.integers(0, 255), st.integers(0, 15), st.from_regex(r"[0-9]{5,6}", fullmatch=True)
POINTER = (st.integers(0, 1023), st.integers(0, 63), st.integers(0, 2**32 - 1))
SLICE = st.builds(values.Snssai, BYTE, st.none() | st.integers(0, 0xFFFFFE))
AREA = st.builds(values.Tai, PLMN, st.integers(0, 2**24 - 1))
ROUTING = st.from_regex(r"[0-9]{1,4}", fullmatch=True)
IDENTITY = st.one_of(
    st.builds(values.Suci, PLMN, ROUTING, HALF, BYTE, st.binary(max_size=60)),
    st.builds(values.Guti, PLMN, BYTE, *POINTER),
    st.builds(values.STmsi, *POINTER),
    st.builds(values.Imei, st.from_regex(r"[0-9]{15,16}", fullmatch=True)),
    st.just(values.NoIdentity()),
)
SESSIONS = st.frozensets(HALF)
RATE = st.integers(1, 0xFFFF).map(lambda number: number * 1000)
FILTERS = st.builds(flows.PacketFilter, HALF, st.integers(1, 3), st.binary(min_size=1, max_size=30))
RULE = st.builds(
    flows.QosRule,
    BYTE,
    st.integers(0, 63),
    st.sampled_from([flows.CREATE, 3]),
    st.booleans(),
    st.lists(FILTERS, max_size=3).map(tuple),
    BYTE,
)
FLOW = st.builds(
    flows.FlowDescription, st.integers(0, 63), st.integers(1, 3), st.none() | BYTE, *[st.none() | RATE] * 4
)
NAME = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=20)
LABEL = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)
V4, V6 = st.ip_addresses(v=4), st.integers(0, 2**64 - 1)
ADDRESSES = st.builds(values.Addresses, V4, st.none()) | st.builds(values.Addresses, st.none() | V4, V6)


def _timer(units: tuple[int, ...]) -> st.SearchStrategy[int]:
    """Seconds that a timer can say exactly."""
    exact = {unit * count for unit in units for count in range(32)}
    return st.sampled_from(sorted(exact))


CODECS: list[tuple[Codec[Any], st.SearchStrategy[Any]]] = [
    (values.IDENTITY, IDENTITY),
    (values.SNSSAI, SLICE),
    (values.NSSAI, st.lists(SLICE, min_size=1, max_size=8).map(tuple)),
    (values.REJECTED, st.lists(st.builds(values.RejectedSlice, SLICE, HALF), min_size=1, max_size=8).map(tuple)),
    (values.AREAS, st.lists(AREA, min_size=1, max_size=16).map(tuple)),
    (values.AREA, AREA),
    (values.CAPABILITY, st.builds(values.Capability, BYTE, BYTE, st.binary(max_size=6))),
    (values.TIMER_3, _timer((2, 30, 60, 600, 3600, 36000, 320 * 3600))),
    (values.TIMER_2, _timer((2, 60, 360))),
    (values.ADDRESSES, ADDRESSES),
    (values.AMBR, st.builds(values.Ambr, RATE, RATE)),
    (values.DNN, st.lists(LABEL, min_size=1, max_size=4).map(".".join)),
    (values.SESSIONS, SESSIONS),
    (values.CAUSES, st.lists(st.tuples(HALF, BYTE), min_size=1, max_size=15).map(tuple)),
    (values.NAME, NAME),
    (values.NUMBER, BYTE),
    (values.RAND, st.binary(min_size=16, max_size=16)),
    (values.AUTS, st.binary(min_size=14, max_size=14)),
    (values.ABBA, st.binary(min_size=2, max_size=8)),
    (values.TWO, st.binary(min_size=2, max_size=2)),
    (flows.RULES, st.lists(RULE, min_size=1, max_size=4).map(tuple)),
    (flows.DESCRIPTIONS, st.lists(FLOW, min_size=1, max_size=4).map(tuple)),
]


def values_of(one: Field | Half) -> st.SearchStrategy[Any]:
    """What an element may have."""
    if isinstance(one, Half):
        return HALF
    if one.codec is values.RAW:
        return st.binary(min_size=one.size or 1, max_size=one.size or 60)
    return next(drawn for codec, drawn in CODECS if codec is one.codec)


def messages_of(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Messages of one type."""
    needed: dict[str, st.SearchStrategy[Any]] = {}
    for one in kind.layout.mandatory:
        if isinstance(one, Halves):
            needed |= {name: HALF for name in (one.low, one.high) if name}
        else:
            needed[one.name] = values_of(one)
    if issubclass(kind, SessionMessage):
        needed |= {"session": st.integers(1, 15), "transaction": st.integers(0, 254)}
    optional = {one.name: values_of(one) for one in kind.layout.optional.values()}
    both = st.fixed_dictionaries(needed, optional=optional)
    return both.map(lambda drawn: kind(**drawn))


MESSAGES = st.sampled_from(CLASSES).flatmap(messages_of)
"""Messages of any type."""
