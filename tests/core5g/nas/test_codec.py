"""NAS messages: round trips, another implementation, and whatever bytes come."""

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pycrate_core.elt import Envelope
from pycrate_mobile.NAS5G import parse_NAS5G
from pycrate_mobile.TS24501_FGMM import FGMMTypeClasses
from pycrate_mobile.TS24501_FGSM import FGSMTypeClasses

from core5g.nas import mobility, sessions
from core5g.nas.codec import decode, encode
from core5g.nas.errors import NasError, SemanticError, UnknownType
from core5g.nas.fields import Field, SessionMessage

from .drawn import CLASSES, MESSAGES, messages_of

HEX = bytes.fromhex


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
@settings(max_examples=10)
@given(data=st.data())
def test_what_is_written_is_read(kind, data):
    message = data.draw(messages_of(kind))
    assert decode(encode(message)) == message


def elements(parsed):
    """Tags and contents of what pycrate found behind its header, and without a tag those that are mandatory."""
    found = {}
    for one in parsed._content[1:]:
        if not isinstance(one, Envelope) or one.get_trans() or one._name == "spare":
            continue
        tag = one["T"].get_val() if "T" in one._by_name else one._name
        found[tag] = one[-1].to_bytes() if one[-1].get_bl() % 8 == 0 else one[-1].to_uint()
    return found


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
@settings(max_examples=10)
@given(data=st.data())
def test_another_implementation_reads_the_same_elements(kind, data):
    message = data.draw(messages_of(kind))
    parsed, error = parse_NAS5G(encode(message), inner=False)
    assert parsed is not None
    assert error == 0
    found = elements(parsed)
    for tag, one in message.layout.optional.items():
        value = getattr(message, one.name)
        if isinstance(one, Field):
            assert found.get(tag) == (None if value is None else one.codec.write(value)), one.name
        else:
            assert found.get(tag >> 4) == value, one.name
    assert parsed.to_bytes() == encode(message)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda one: one.__name__)
def test_we_read_what_another_implementation_writes(kind):
    others = FGSMTypeClasses if issubclass(kind, SessionMessage) else FGMMTypeClasses
    theirs = others[kind.layout.kind]()
    wanted = {tag if isinstance(one, Field) else tag >> 4: one for tag, one in kind.layout.optional.items()}
    for each in theirs._content[1:]:
        if isinstance(each, Envelope) and "T" in each._by_name and each["T"].get_val() in wanted:
            each.set_trans(False)
        elif each._name == "QoSRules":  # its default is a rule of no bytes
            each["V"].set_val(HEX("010006 31 31 01 01 ff 09"))
    message = decode(theirs.to_bytes())
    assert isinstance(message, kind)


@given(st.binary(max_size=200))
@settings(max_examples=150)
@example(b"")
def test_any_bytes_are_a_message_or_refused(data):
    for head in (b"", b"\x7e\0", b"\x2e\1\1"):
        with contextlib.suppress(NasError):
            decode(head + data)


@given(MESSAGES, st.data())
@settings(max_examples=150)
def test_messages_cut_off_or_with_wrong_bits_are_read_or_refused(message, draw):
    data = encode(message)
    for _ in range(5):
        bit = draw.draw(st.integers(0, 8 * len(data) - 1))
        data = (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")
    for wrong in (data, data[: draw.draw(st.integers(0, len(data)))]):
        with contextlib.suppress(NasError):
            decode(wrong)


@pytest.mark.parametrize("data", [b"\x7e\0\x43" + b"\x80" * 60000, b"\x7e\0\x43" + b"\x73\0\0" * 20000])
@pytest.mark.timeout(2)
def test_long_messages_are_read_at_once(data):
    decode(data)


CLAUSE_7 = {
    "unknown optional TLV": ("7e0043 3901ff 730001aa", mobility.RegistrationComplete(steering=b"\xaa")),
    "unknown optional TLV-E": ("7e0043 7a0002ffff 730001aa", mobility.RegistrationComplete(steering=b"\xaa")),
    "unknown optional half": ("7e0043 a1 730001aa", mobility.RegistrationComplete(steering=b"\xaa")),
    "twice": ("7e0043 730001aa 730001bb", mobility.RegistrationComplete(steering=b"\xaa")),
    "half twice": ("2e0101c1 ffff 91 92", sessions.SessionRequest(session=1, transaction=1, kind=1)),
    "cut off": ("7e0043 730005aa", mobility.RegistrationComplete()),
    "only a tag": ("7e0043 73", mobility.RegistrationComplete()),
    "wrong syntax": ("7e0059 15 3003aabbcc", mobility.AuthenticationFailure(cause=0x15)),
    "first wrong, second right": ("7e0066 500101 50022000", mobility.NotificationResponse(sessions=frozenset({5}))),
}


@pytest.mark.parametrize(("data", "wanted"), CLAUSE_7.values(), ids=CLAUSE_7)
def test_optional_elements_that_are_not_understood_count_as_absent(data, wanted):
    """TS 24.501, 7.6 and 7.7."""
    assert decode(HEX(data)) == wanted


@pytest.mark.parametrize(
    ("data", "kind", "cause"),
    [
        ("7e0043 0301ff", SemanticError, 96),
        ("7e0044", SemanticError, 96),
        ("7e0041", SemanticError, 96),
        ("7e0041 79 000d0100", SemanticError, 96),
        ("7e0041 79 0003 0100f1", SemanticError, 96),
        ("2e0101c1 ff", SemanticError, 96),
        ("7e00ff", UnknownType, 97),
        ("2e0101ff", UnknownType, 97),
        ("7e00", NasError, None),
        ("7e01aabbccdd007e0043", NasError, None),
    ],
)  # fmt: skip
def test_what_must_be_understood_is_refused_with_its_cause(data, kind, cause):
    """TS 24.501, 7.2 to 7.5."""
    with pytest.raises(kind) as refused:
        decode(HEX(data))
    assert refused.value.cause == cause


def test_an_identity_response_of_a_real_core():
    """Open5GS 2.7.7, tests/unit/ngap-message-test.c: SUCI of 999-70, MSIN 0000021309."""
    read = decode(HEX("7e005c000d0199f907f0ff00000000203190"))
    assert isinstance(read, mobility.IdentityResponse)
    assert read.identity == mobility.Identity.__args__[0]("99970", "0", 0, 0, HEX("0000203190"))
