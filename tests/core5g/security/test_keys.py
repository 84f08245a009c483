"""Keys made of keys: whole chains that other implementations have computed, and the function itself."""

import hmac

import pytest

from core5g.security import keys
from core5g.security.milenage import Milenage
from core5g.security.vectors import vector

HEX = bytes.fromhex
NETWORK = keys.network_name("00101")


def test_names_of_serving_networks_have_three_digits_of_the_network():
    """TS 24.501, 9.12.1."""
    assert keys.network_name("00101") == b"5G:mnc001.mcc001.3gppnetwork.org"
    assert keys.network_name("310410") == b"5G:mnc410.mcc310.3gppnetwork.org"


def test_the_answer_that_the_home_expects():
    """TS 33.501, A.4 and A.5, as a program in Go printed them; the standard has no test data for annex A."""
    sim = Milenage(HEX("00112233445566778899aabbccddeeff"), HEX("62e75b8d6fa5bf46ec87a9276f9df54d"))
    made = vector(sim, HEX("00112233445566778899aabbccddeeff"), 1, HEX("8000"), NETWORK)
    assert made.autn.hex() == "de656c8b0bcf80004af30b82a8531115"
    assert made.xres_star.hex() == "31b6d938a5290ccc65bc829f9820a8d9"
    assert keys.hres_star(made.rand, made.xres_star).hex() == "3308fb7cf06a35f1cd086b904ce82ecf"


def test_the_chain_from_the_home_to_the_gnb():
    """TS 33.501, A.2, A.6, A.7 and A.9, as a program in C has them in its description, by TS 34.108's test SIM."""
    ck, ik = HEX("0102030405060708090a0b0c0d0e0f00"), HEX("02030405060708090a0b0c0d0e0f0001")
    ausf = keys.k_ausf(ck, ik, NETWORK, HEX("0304050607f7"))
    assert ausf.hex() == "20de4eb2b75c8dac301ad52773e2e37bd7b4b0c2fdb1c3751b98dd0df846aed5"
    seaf = keys.k_seaf(ausf, NETWORK)
    assert seaf.hex() == "d2bbc63b0c141247341c0fca3dc3bffdc6bfc1813489342de8487e7e4dc3728b"
    amf = keys.k_amf(seaf, "001010123456789")
    assert amf.hex() == "7e9f97707cef48318df182a7f9e7ba838a6fb36ab83a7d1baf2610b97a5b9dcf"
    assert keys.k_gnb(amf, 0).hex() == "617c2f3db714a5a10597591a25feb21a159ea7796109292b0b2ca579d9002b0c"


@pytest.mark.parametrize(
    ("purpose", "algorithm", "wanted"),
    [
        (keys.RRC_CIPHERING, 2, "66a09e992386c8d1df7892964c6fb522"),
        (keys.RRC_INTEGRITY, 0, "5c2cc2fda0f318a1e0ce35b9db5e80a5"),
        (keys.USER_CIPHERING, 2, "152052d3dfbc3f05869b7f920095be68"),
        (keys.USER_INTEGRITY, 0, "d0deb4584095599e5806eae4f67656d8"),
    ],
)
def test_keys_of_the_radio_s_algorithms(purpose, algorithm, wanted):
    """TS 33.501, A.8, as the tests of srsRAN Project's gNB have them."""
    gnb = HEX("45cbc3f8a81193fd5c5229300d59edf812e998a115ec4e0ce903ba89367e2628")
    assert keys.of_algorithm(gnb, purpose, algorithm).hex() == wanted


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (keys.next_hop(bytes(32), b"n" * 32), b"\x6f" + b"n" * 32 + b"\0\x20"),
        (keys.k_gnb_star(bytes(32), 1007, 561), b"\x70\3\xef\0\2\0\2\x31\0\3"),
        (keys.k_gnb_star(bytes(32), 1, 2016666), b"\x70\0\1\0\2\x1e\xc5\x9a\0\3"),
        (keys.k_gnb(bytes(32), 0x01020304, keys.OVER_OTHER), b"\x6e\1\2\3\4\0\4\2\0\1"),
        (keys.k_amf_prime(bytes(32), 0x01020304), b"\x72\0\0\1\1\2\3\4\0\4"),
        (keys.k_amf_prime(bytes(32), 0x01020304, handover=True), b"\x72\1\0\1\1\2\3\4\0\4"),
        (keys.k_amf(bytes(32), "001010000000001", b"\0\1\2"), b"\x6d001010000000001\0\x0f\0\1\2\0\3"),
    ],
    ids=[
        "NH",
        "K_NG-RAN*",
        "K_NG-RAN* at 28 GHz",
        "K_N3IWF",
        "K_AMF' at rest",
        "K_AMF' in a handover",
        "K_AMF of another ABBA",
    ],
)
def test_keys_without_published_values_are_hashes_of_their_parameters(made, text):
    """TS 33.220, B.2: a code, then each parameter with its length; TS 33.501, A.7, A.9 to A.11, A.13."""
    assert made == hmac.new(bytes(32), text, "sha256").digest()
