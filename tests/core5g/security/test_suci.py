"""Concealed identities: the standard's examples, and what is refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from core5g.security import suci
from core5g.security.errors import NotConcealed

HEX = bytes.fromhex
EXAMPLES = {
    # TS 33.501, C.4.3 and C.4.4: private key of the home, output, MSIN in BCD
    suci.PROFILE_A: (
        "c53c22208b61860b06c62e5406a7b330c2b577aa5558981510d128247d38bd1d",
        "b2e92f836055a255837debf850b528997ce0201cb82adfe4be1f587d07d8457dcb02352410cddd9e730ef3fa87",
    ),
    suci.PROFILE_B: (
        "f1ab1074477ebcc7f554ea1c5fc368b1616730155e0041ac447d6301975fecda",
        "039aab8376597021e855679a9778ea0b67396e68c66df32c0f41e9acca2da9b9d146a33fc2716ac7dae96aa30a4d",
    ),
}


@pytest.mark.parametrize("scheme", EXAMPLES)
def test_the_standards_examples(scheme):
    private, output = map(HEX, EXAMPLES[scheme])
    assert suci.reveal(scheme, suci.private_key(scheme, private), output).hex() == "00012080f6"


HOMES = {
    suci.PROFILE_A: suci.private_key(suci.PROFILE_A, HEX(EXAMPLES[suci.PROFILE_A][0])),
    suci.PROFILE_B: suci.private_key(suci.PROFILE_B, HEX(EXAMPLES[suci.PROFILE_B][0])),
}


def public_bytes(scheme):
    home = HOMES[scheme]
    if isinstance(home, x25519.X25519PrivateKey):
        return home.public_key().public_bytes_raw()
    assert isinstance(home, ec.EllipticCurvePrivateKey)
    return home.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


@pytest.mark.parametrize("scheme", EXAMPLES)
@given(plain=st.binary(min_size=1, max_size=8))
def test_what_is_concealed_is_revealed(scheme, plain):
    output = suci.conceal(scheme, public_bytes(scheme), plain)
    assert plain not in output or len(plain) < 4
    assert suci.reveal(scheme, HOMES[scheme], output) == plain


def test_two_times_the_same_looks_different():
    home = public_bytes(suci.PROFILE_A)
    assert suci.conceal(suci.PROFILE_A, home, b"12345") != suci.conceal(suci.PROFILE_A, home, b"12345")


@pytest.mark.parametrize("scheme", EXAMPLES)
@given(data=st.data())
def test_any_change_is_refused(scheme, data):
    output = HEX(EXAMPLES[scheme][1])
    bits = st.integers(0, 8 * len(output) - 1)
    # X25519 masks the highest bit of the last byte of a public key (RFC 7748, 5), but the key derivation takes all.
    wrong = (int.from_bytes(output, "big") ^ 1 << data.draw(bits)).to_bytes(len(output), "big")
    with pytest.raises(NotConcealed):
        suci.reveal(scheme, HOMES[scheme], wrong)


@pytest.mark.parametrize("scheme", [suci.PROFILE_A, suci.PROFILE_B, 3, 15])
@given(output=st.binary(max_size=60))
def test_any_bytes_are_refused(scheme, output):
    with pytest.raises(NotConcealed):
        suci.reveal(scheme, HOMES.get(scheme), output)


def test_without_a_scheme_nothing_is_hidden():
    assert suci.conceal(suci.NULL, b"", b"123") == suci.reveal(suci.NULL, None, b"123") == b"123"


def test_schemes_that_are_not_known_have_no_keys():
    with pytest.raises(NotConcealed, match="expected 0"):
        suci.private_key(7, bytes(32))
