"""Concealed identities: the standard's examples, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core5g.security import suci
from core5g.security.errors import NotConcealed, WrongKey, WrongLength, WrongPoint, WrongSize, WrongTag

HEX = bytes.fromhex
PROFILES = (suci.PROFILE_A, suci.PROFILE_B)
MSIN, NAME = HEX("00012080f6"), b"verylongusername1"
PRIVATE = {
    suci.PROFILE_A: HEX("c53c22208b61860b06c62e5406a7b330c2b577aa5558981510d128247d38bd1d"),
    suci.PROFILE_B: HEX("f1ab1074477ebcc7f554ea1c5fc368b1616730155e0041ac447d6301975fecda"),
}
PUBLIC = {
    suci.PROFILE_A: "5a8d38864820197c3394b92613b20b91633cbd897119273bf8e4a6f4eec0a650",
    suci.PROFILE_B: "0272da71976234ce833a6907425867b82e074d44ef907dfb4b3e21c1c2256ebcd1",
}
EXAMPLES = [
    # TS 33.501, C.4.3.1, C.4.3.2, C.4.4.1, C.4.4.2: what is concealed; ephemeral private key; scheme output
    (suci.PROFILE_A, MSIN, "c80949f13ebe61af4ebdbd293ea4f942696b9e815d7e8f0096bbf6ed7de62256",
     "b2e92f836055a255837debf850b528997ce0201cb82adfe4be1f587d07d8457d" "cb02352410" "cddd9e730ef3fa87"),
    (suci.PROFILE_A, NAME, "be9eff3e9f22a4b42a3d236e7a6c500b3f2e7e0c7449988ba800d664bf4fcd97",
     "977d8b2fdaa7b64aa700d04227d5b440630ea4ec50f9082273a26bb678c92222"
     "8e358a1582adb15322c10e515141d2039a" "12e1d7783a97f1ac"),
    (suci.PROFILE_B, MSIN, "99798858a1dc6a2c68637149a4b1dbfd1fdff5addd62a2142f06699ed7602529",
     "039aab8376597021e855679a9778ea0b67396e68c66df32c0f41e9acca2da9b9d1" "46a33fc271" "6ac7dae96aa30a4d"),
    (suci.PROFILE_B, NAME, "90a5898bd29ffa3f261e00e980067c70a2b1b992a21f5b4fef6d4df69fe804ad",
     "03759bb22c563d9f4a6b3c1419e543fc2f39d6823f02a9d71162b39399218b244b"
     "be22d8b9f856a52ed381cd7eaf4cf2d525" "3cddc61a0a7882eb"),
]  # fmt: skip
HOMES = {scheme: suci.private_key(scheme, private) for scheme, private in PRIVATE.items()}
OUTPUT = {scheme: HEX(output) for scheme, plain, _, output in EXAMPLES if plain == MSIN}
SIZE = {suci.PROFILE_A: 32, suci.PROFILE_B: 33}
"""Bytes of a public key."""


def public_bytes(scheme):
    return HEX(PUBLIC[scheme])


@pytest.mark.parametrize("scheme", PROFILES)
def test_the_standard_s_pairs_of_keys(scheme):
    pair = suci.key_pair(scheme, PRIVATE[scheme])
    assert (pair.scheme, pair.private, pair.public.hex()) == (scheme, PRIVATE[scheme], PUBLIC[scheme])


@pytest.mark.parametrize("one", EXAMPLES, ids=["C.4.3.1", "C.4.3.2", "C.4.4.1", "C.4.4.2"])
def test_the_standard_s_examples(one):
    scheme, plain, ephemeral, output = one
    assert suci.conceal(scheme, public_bytes(scheme), plain, HEX(ephemeral)).hex() == output
    assert suci.reveal(scheme, HOMES[scheme], HEX(output)) == plain


@pytest.mark.parametrize("scheme", PROFILES)
@given(plain=st.binary(min_size=1, max_size=40))
def test_what_is_concealed_is_revealed(scheme, plain):
    output = suci.conceal(scheme, public_bytes(scheme), plain)
    assert len(output) == SIZE[scheme] + len(plain) + 8
    assert plain not in output or len(plain) < 4
    assert suci.reveal(scheme, HOMES[scheme], output) == plain


@pytest.mark.parametrize("scheme", PROFILES)
def test_new_pairs_of_keys_serve_and_differ(scheme):
    one, other = suci.key_pair(scheme), suci.key_pair(scheme)
    assert one != other
    assert len(one.private) == 32
    assert len(one.public) == SIZE[scheme]
    output = suci.conceal(scheme, one.public, MSIN)
    assert suci.reveal(scheme, suci.private_key(scheme, one.private), output) == MSIN
    with pytest.raises(WrongTag):
        suci.reveal(scheme, suci.private_key(scheme, other.private), output)
    assert one == suci.key_pair(scheme, one.private)


@pytest.mark.parametrize("scheme", PROFILES)
def test_two_times_the_same_looks_different(scheme):
    home = public_bytes(scheme)
    one, other = suci.conceal(scheme, home, MSIN), suci.conceal(scheme, home, MSIN)
    assert one[:32] != other[:32]
    assert one[-13:] != other[-13:]


@pytest.mark.parametrize("scheme", PROFILES)
@given(data=st.data())
def test_any_change_is_refused(scheme, data):
    output = OUTPUT[scheme]
    bit = data.draw(st.integers(0, 8 * len(output) - 1))
    # X25519 masks the highest bit of the last byte of a public key (RFC 7748, 5), but the key derivation takes all.
    wrong = (int.from_bytes(output, "big") ^ 1 << bit).to_bytes(len(output), "big")
    in_key = bit >= 8 * (len(output) - SIZE[scheme])
    with pytest.raises((WrongPoint, WrongTag) if in_key else WrongTag):
        suci.reveal(scheme, HOMES[scheme], wrong)


@pytest.mark.parametrize("scheme", PROFILES)
def test_public_keys_that_are_none_are_refused(scheme):
    """A point at infinity, one that is not on the curve, one not compressed, and Curve25519's point of low order."""
    rest = OUTPUT[scheme][SIZE[scheme] :]
    bad = {
        suci.PROFILE_A: [bytes(32), b"\1".ljust(32, b"\0")],
        suci.PROFILE_B: [bytes(33), b"\2" + b"\xff" * 32, b"\4" + bytes(32), b"\2" + (1).to_bytes(32, "big")],
    }[scheme]  # fmt: skip
    for public in bad:
        with pytest.raises(WrongPoint):
            suci.reveal(scheme, HOMES[scheme], public + rest)
        with pytest.raises(WrongKey, match=f"is none of scheme {scheme}"):
            suci.conceal(scheme, public, MSIN)


@pytest.mark.parametrize("scheme", PROFILES)
def test_what_is_too_short_is_refused(scheme):
    for size in (0, 8, SIZE[scheme], SIZE[scheme] + 8):
        with pytest.raises(WrongLength, match=f"{size} bytes: expected {SIZE[scheme] + 9} at least"):
            suci.reveal(scheme, HOMES[scheme], OUTPUT[scheme][:size])


@pytest.mark.parametrize("scheme", [suci.PROFILE_A, suci.PROFILE_B, 3, 15])
@given(output=st.binary(max_size=60))
def test_any_bytes_are_refused(scheme, output):
    with pytest.raises(NotConcealed):
        suci.reveal(scheme, HOMES.get(scheme), output)


def test_without_a_scheme_nothing_is_hidden():
    """C.4.2.1."""
    assert suci.conceal(suci.NULL, b"", MSIN) == suci.reveal(suci.NULL, None, MSIN) == MSIN


@pytest.mark.parametrize(
    "call",
    [
        lambda: suci.private_key(7, bytes(32)), lambda: suci.private_key(suci.NULL, bytes(32)),
        lambda: suci.key_pair(7), lambda: suci.conceal(7, bytes(32), MSIN), lambda: suci.reveal(7, None, bytes(60)),
    ],
)  # fmt: skip
def test_schemes_that_are_not_known_are_refused(call):
    with pytest.raises(NotConcealed, match="expected 0"):
        call()


@pytest.mark.parametrize("scheme", PROFILES)
def test_a_key_of_another_size_or_profile_is_refused(scheme):
    other = PROFILES[2 - scheme]
    for call in (
        lambda: suci.private_key(scheme, bytes(31)), lambda: suci.key_pair(scheme, bytes(33)),
        lambda: suci.conceal(scheme, public_bytes(other), MSIN),
    ):  # fmt: skip
        with pytest.raises(WrongSize, match="bytes, expected 3"):
            call()
    for home in (HOMES[other], None):
        with pytest.raises(WrongKey, match=f"is none of scheme {scheme}"):
            suci.reveal(scheme, home, OUTPUT[scheme])


@pytest.mark.parametrize("value", [0, 2**256 - 1])
def test_numbers_that_are_no_private_key_of_profile_b_are_refused(value):
    """SEC 1, 3.2.1: between 1 and the order of the group."""
    with pytest.raises(WrongKey, match="not shown"):
        suci.private_key(suci.PROFILE_B, value.to_bytes(32, "big"))
