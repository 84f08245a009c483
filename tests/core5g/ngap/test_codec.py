"""NGAP messages: round trips, what is missing, and whatever bytes come."""

import contextlib
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core5g.ngap import codec
from core5g.ngap.codec import Message, decode, decode_value, encode, encode_value
from core5g.ngap.errors import NgapError

from .messages import MESSAGES, TRANSFERS

HEX = bytes.fromhex
REAL = {
    # Open5GS 2.7.7, tests/unit/ngap-message-test.c, tests 2 and 3
    "NGReset": "00140013000002000f400200c000580006400160010001",
    "NGSetupRequest": "0015004200000500 1b00090009f10728 000800000052400b 0400354720674e42 2d43550066000d00"
    "000000010009f107 0000000800154001 0001114009403035 484c41423032",
}


def plain(value: Any) -> Any:
    """A value as bytes: pycrate reads transfers that it knows inside of octet strings."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, tuple) and isinstance(value[0], str) and value[0].endswith("Transfer"):
        return encode_value(value[0], decode_value(value[0], value))
    return value


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_written_is_read(name):
    read = decode(encode(name, MESSAGES[name]))
    assert Message(read.name, plain(read.ies)) == (name, MESSAGES[name])


@pytest.mark.parametrize("name", TRANSFERS)
def test_transfers_that_are_written_are_read(name):
    assert decode_value(name, encode_value(name, TRANSFERS[name])) == TRANSFERS[name]


def needed(name):
    return [key for key, one in codec._KINDS[name].elements.items() if one.mandatory]


@pytest.mark.parametrize("name", [name for name in MESSAGES if needed(name)])
def test_what_is_missing_is_named_on_both_sides(name, monkeypatch):
    kind = codec._KINDS[name]
    for key in needed(name):
        rest = {each: value for each, value in MESSAGES[name].items() if each != key}
        with pytest.raises(ValueError, match=key):
            encode(name, rest)
        lax = {each: one._replace(mandatory=False) for each, one in kind.elements.items()}
        with monkeypatch.context() as patch:
            patch.setitem(codec._KINDS, name, kind._replace(elements=lax))
            data = encode(name, rest)
        with pytest.raises(NgapError, match=key) as refused:
            decode(data)
        assert refused.value.cause == ("protocol", "abstract-syntax-error-reject")


def test_elements_of_other_messages_are_refused():
    with pytest.raises(ValueError, match="Paging has no Cause"):
        encode("Paging", MESSAGES["Paging"] | {"Cause": ("misc", "unspecified")})


@pytest.mark.parametrize("name", REAL)
def test_messages_of_real_gnbs_are_read(name):
    assert decode(HEX(REAL[name])).name == name


def taken_or_refused(data):
    begin = time.perf_counter()
    with contextlib.suppress(NgapError):
        decode(data)
    assert time.perf_counter() - begin < 0.2, data[:40].hex()


@given(st.binary(max_size=300), st.sampled_from([0, 0x20, 0x40]), st.integers(0, 80))
@settings(max_examples=300)
def test_any_bytes_are_a_message_or_refused(data, outcome, procedure):
    taken_or_refused(data)
    taken_or_refused(bytes((outcome, procedure, 0)) + data)


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_cut_off_or_with_wrong_bits_are_read_or_refused(name):
    data, dice = encode(name, MESSAGES[name]), random.Random(name)
    for size in range(len(data)):
        taken_or_refused(data[:size])
    for _ in range(300):
        wrong = bytearray(data)
        for _ in range(dice.randint(1, 5)):
            wrong[dice.randrange(len(wrong))] ^= 1 << dice.randrange(8)
        taken_or_refused(bytes(wrong))


@pytest.mark.parametrize("size", [200_000, 300_000])
def test_long_bytes_are_refused_at_once(size):
    for data in (bytes(size), b"\xff" * size, encode("Paging", MESSAGES["Paging"]) + bytes(size)):
        taken_or_refused(data)
