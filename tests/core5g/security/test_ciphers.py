"""Ciphers against published test sets, and against what another implementation made of the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core5g.security import ciphers, snow3g, zuc

HEX = bytes.fromhex


def reversed_words(text):
    data = HEX(text)
    return b"".join(data[at : at + 4] for at in (12, 8, 4, 0))


def test_snow_3g_of_its_first_test_set():
    """ETSI/SAGE, UEA2 and UIA2, document 3 (TS 35.217), test set 1; it counts words from the other end."""
    stream = snow3g.words(
        reversed_words("2BD6459F82C5B300952C49104881FF48"), reversed_words("EA024714AD5C4D84DF1F9B251C0BF45F")
    )
    assert [next(stream), next(stream)] == [0xABEE9704, 0x7AC31373]


def test_zuc_of_its_first_test_set():
    """ETSI/SAGE, 128-EEA3 and 128-EIA3, document 3 (TS 35.223), test vector 1."""
    stream = zuc.words(bytes(16), bytes(16))
    assert [next(stream), next(stream)] == [0x27BEDE74, 0x018082DA]


PLAIN = HEX("981ba6824c1bfb1ab485472029b71d808ce33e2cc3c0b5fc1f3de8a6dc66b1f0")
KEY = HEX("d3c5d592327fb11c4035c6680af8c6d1")


@pytest.mark.parametrize(
    ("algorithm", "wanted"),
    [
        (1, "5d5bfe75eb04f68ce0a12377ea00b37d47c6a0ba06309155086a859c4341b37"),
        (2, "e9fed8a63d155304d71df20bf3e82214b20ed7dad2f233dc3c22d7bdeeed8e7"),
    ],
)
def test_ciphering_of_the_first_test_sets(algorithm, wanted):
    """TS 33.401, C.1 and C.2 (128-EEA1 and 128-EEA2), test set 1: 253 bits, of which the last five are left out."""
    made = ciphers.cipher(algorithm, KEY, 0x398A59B4, 1, PLAIN, bearer=0x15)
    assert made.hex()[:62] == wanted[:62]


def test_ciphering_by_zuc_of_the_first_test_set():
    """TS 35.222, 128-EEA3, test set 1: 193 bits, of which the last is left out."""
    plain = HEX("6cf65340735552ab0c9752fa6f9025fe0bd675d9005875b2")
    made = ciphers.cipher(3, HEX("173d14ba5003731d7a60049470f00a29"), 0x66035492, 0, plain, bearer=0xF)
    assert made.hex() == "a6c85fc66afb8533aafc2518dfe784940ee1e4b030238cc8"


def test_integrity_by_aes_of_the_second_test_set():
    """TS 33.401, C.2, 128-EIA2, test set 2: 64 bits."""
    assert ciphers.code(2, KEY, 0x398A59B4, 1, HEX("484583d5afe082ae"), bearer=0x1A).hex() == "b93787e6"


OTHERS = [
    # key, count, bearer, direction, data, EEA1, EIA1, EEA3, EIA3
    (
        "457c769f39d8644199c0e5bdbcfbc85b", 0xCB91CE37, 22, 1,
        "efe26c07ff0d21d7db0b33777738a5c674d37ff136eac13f553223a63841460d3b6aa1e68d682728f610fb1c7fd92d5fa2e81478007152dea8651f3fce59796168e9338b",
        "80662ca1e618f6a76e0754377209e8a4875775a3d92806b5966e0d91e5d20937b586452156279abcf98085e78bd513af4cdc37bfe874858a8a10e6cbea3937c8812e67cf",
        "f0da67a2",
        "8b449c7f73f5882323b37b7e4ee7e4cd76c708c2f94ffe6c23ed3b7c327350c50afd1a0910a5dc8c7b956894475110b4080159712ad834a9a1b36208658a96712a1ce2f7",
        "5e853954",
    ),
    (
        "87fe1a1a45cfed925923d43f99735b03", 0xBB2EDB20, 6, 0,
        "b1829c2e219c95ea9dcc11de459506c4f129b2635ed2db28768b0dc357d311cc481e6a12",
        "33c2178a64996c05be24e21e127f63068804d499904c0d66b6f05c890ce26facebc7189d",
        "e0b8a4e0",
        "cad62aecd338dc51eb3259b8ff896a9a8f93c7744b892f821c83c28231c7fa6ada59fd2b",
        "1281b7e1",
    ),
]  # fmt: skip


@pytest.mark.parametrize("one", OTHERS, ids=["downlink", "uplink"])
def test_snow_3g_and_zuc_as_another_implementation_has_them(one):
    """What the library of Open5GS 2.7.7 made of these; 300 more random ones were the same."""
    key, count, bearer, direction, data, eea1, eia1, eea3, eia3 = one
    given_ = (HEX(key), count, direction, HEX(data))
    assert ciphers.cipher(1, *given_, bearer=bearer).hex() == eea1
    assert ciphers.code(1, *given_, bearer=bearer).hex() == eia1
    assert ciphers.cipher(3, *given_, bearer=bearer).hex() == eea3
    assert ciphers.code(3, *given_, bearer=bearer).hex() == eia3


@given(st.integers(0, 3), st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1), st.binary(max_size=90))
def test_what_is_encrypted_twice_is_plain_again(algorithm, key, count, data):
    once = ciphers.cipher(algorithm, key, count, ciphers.UPLINK, data)
    assert len(once) == len(data)
    assert ciphers.cipher(algorithm, key, count, ciphers.UPLINK, once) == data


@given(st.integers(1, 3), st.binary(min_size=1, max_size=60), st.data())
def test_a_code_changes_with_every_bit(algorithm, data, draw):
    key = bytes(range(16))
    at = draw.draw(st.integers(0, 8 * len(data) - 1))
    other = (int.from_bytes(data, "big") ^ 1 << at).to_bytes(len(data), "big")
    assert ciphers.code(algorithm, key, 1, 0, data) != ciphers.code(algorithm, key, 1, 0, other)
    assert ciphers.code(algorithm, key, 1, 0, data) != ciphers.code(algorithm, key, 1, 1, data)


@pytest.mark.parametrize("one", [ciphers.cipher, ciphers.code])
def test_algorithms_that_are_not_known_are_refused(one):
    with pytest.raises(ValueError, match="4 is not known"):
        one(4, bytes(16), 0, 0, b"x")
