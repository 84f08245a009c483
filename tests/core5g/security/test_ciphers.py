"""Ciphers against all published test data, and against what another implementation made of the same."""

import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core5g.security import ciphers, snow3g, zuc
from core5g.security.errors import UnknownAlgorithm, WrongSize
from tests.core5g.security.published import rows

HEX = bytes.fromhex
KEYS = st.binary(min_size=16, max_size=16)


def reversed_words(data):
    """The data of SNOW 3G counts words from the other end."""
    return b"".join(data[at : at + 4] for at in (12, 8, 4, 0))


@pytest.mark.parametrize("row", rows("keystream"))
def test_key_streams_of_all_test_sets(row):
    """ETSI/SAGE, document 3 of each: TS 35.217 and TS 35.223, 3; the fourth of each is long."""
    key, vector = row["key"], row["vector"]
    words = -(-row["size"] // 4)
    if row["generator"] == "snow3g":
        stream = snow3g.keystream(reversed_words(key), reversed_words(vector), words)
    else:
        stream = zuc.keystream(key, vector, words)
    made = b"".join(word.to_bytes(4, "big") for word in stream)
    assert made.startswith(row["first"])
    assert made.endswith(row["last"])


@pytest.mark.parametrize("row", rows("ciphering"))
def test_ciphering_of_all_test_sets(row):
    """TS 33.501, D.4: TS 35.217, TS 33.401, C.1, and TS 35.223. What is left of a last byte is not looked at."""
    count = int.from_bytes(row["count"], "big")
    made = ciphers.cipher(
        row["algorithm"], row["key"], count, row["direction"], row["plain"], bearer=row["bearer"]
    )  # fmt: skip
    left = -row["bits"] % 8
    assert int.from_bytes(made, "big") >> left == int.from_bytes(row["cipher"], "big") >> left


@pytest.mark.parametrize("row", [one for one in rows("integrity") if one.values[0]["algorithm"] != 2])
def test_integrity_of_all_test_sets(row):
    """TS 35.217 (UIA2), TS 33.401, C.4 (128-EIA1), TS 35.223 (128-EIA3): most end within a byte."""
    count, fresh = (int.from_bytes(row[name], "big") for name in ("count", "fresh"))
    given_ = (row["direction"], row["message"])
    if row["algorithm"] == 1:
        assert snow3g.uia2(row["key"], count, fresh, *given_, bits=row["bits"]) == row["code"]
    else:
        assert zuc.eia3(row["key"], count, fresh >> 27, *given_, bits=row["bits"]) == row["code"]


def _whole(row):
    return row["bits"] % 8 == 0 and not int.from_bytes(row["fresh"], "big") & 2**27 - 1


@pytest.mark.parametrize("row", [one for one in rows("integrity") if _whole(one.values[0])])
def test_integrity_of_all_test_sets_of_whole_bytes(row):
    """TS 33.501, D.4: of TS 33.401, C.2 (128-EIA2), sets 2, 5 and 8 end with a byte, of C.4 sets 1 and 4."""
    count, bearer = int.from_bytes(row["count"], "big"), int.from_bytes(row["fresh"], "big") >> 27
    made = ciphers.code(row["algorithm"], row["key"], count, row["direction"], row["message"], bearer=bearer)
    assert made == row["code"]


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


@given(st.integers(0, 3), KEYS, st.integers(0, 2**32 - 1), st.integers(0, 31), st.binary(max_size=90))
def test_what_is_encrypted_twice_is_plain_again(algorithm, key, count, bearer, data):
    once = ciphers.cipher(algorithm, key, count, ciphers.UPLINK, data, bearer=bearer)
    assert len(once) == len(data)
    assert ciphers.cipher(algorithm, key, count, ciphers.UPLINK, once, bearer=bearer) == data


@given(st.integers(1, 3), st.binary(min_size=1, max_size=60), st.data())
def test_a_code_changes_with_every_bit(algorithm, data, draw):
    key = bytes(range(16))
    at = draw.draw(st.integers(0, 8 * len(data) - 1))
    other = (int.from_bytes(data, "big") ^ 1 << at).to_bytes(len(data), "big")
    made = ciphers.code(algorithm, key, 1, 0, data)
    assert made != ciphers.code(algorithm, key, 1, 0, other)
    assert made != ciphers.code(algorithm, key, 1, 0, data + b"\0"), "or another length"
    assert made != ciphers.code(algorithm, key, 1, 1, data)
    assert made != ciphers.code(algorithm, key, 2, 0, data)
    assert made != ciphers.code(algorithm, key, 1, 0, data, bearer=2)


@pytest.mark.parametrize("algorithm", [1, 2, 3])
def test_every_parameter_makes_another_key_stream(algorithm):
    def stream(key=bytes(16), count=1, direction=0, bearer=1):
        return ciphers.cipher(algorithm, key, count, direction, bytes(16), bearer=bearer)

    others = [stream(), stream(count=2), stream(direction=1), stream(bearer=2), stream(key=b"k" * 16)]
    assert len(set(others)) == len(others)


def test_without_an_algorithm_nothing_is_hidden_or_proven():
    assert ciphers.cipher(0, bytes(16), 1, 0, b"seen") == b"seen"
    assert ciphers.code(0, bytes(16), 1, 0, b"seen") == bytes(4)


@pytest.mark.parametrize("algorithm", [1, 2, 3])
@pytest.mark.parametrize("one", [ciphers.cipher, ciphers.code])
@pytest.mark.parametrize("size", [0, 15, 24, 32])
def test_keys_of_another_size_are_refused(one, algorithm, size):
    """AES would take 24 and 32 bytes, and be another cipher."""
    with pytest.raises(WrongSize, match=f"{size} bytes, expected 16"):
        one(algorithm, bytes(size), 0, 0, b"x")


@pytest.mark.parametrize("one", [ciphers.cipher, ciphers.code])
def test_algorithms_that_are_not_known_are_refused(one):
    with pytest.raises(UnknownAlgorithm, match=r"4 is not known; expected one of N[EI]A0, N[EI]A1, N[EI]A2, N[EI]A3"):
        one(4, bytes(16), 0, 0, b"x")


@pytest.mark.parametrize("algorithm", [1, 2, 3])
@pytest.mark.parametrize("one", [ciphers.cipher, ciphers.code])
def test_what_does_not_fit_is_no_other_count_or_bearer(one, algorithm):
    """A key stream used twice would be no secret."""
    for count, bearer in ((2**32, 1), (-1, 1), (1, 32), (1, -1)):
        with pytest.raises((ValueError, OverflowError, struct.error)):
            one(algorithm, bytes(16), count, 0, b"x", bearer=bearer)


def test_threads_do_not_disturb_each_other():
    """What encrypts by AES keeps its place in the key stream."""
    wanted = [ciphers.cipher(2, bytes(16), count, 0, bytes(40)) for count in range(64)]

    def work(_):
        return all(ciphers.cipher(2, bytes(16), count, 0, bytes(40)) == wanted[count] for count in range(64))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(100)))
    finally:
        sys.setswitchinterval(before)
