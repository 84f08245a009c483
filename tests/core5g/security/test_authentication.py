"""MILENAGE by its test sets, and 5G-AKA from both sides."""

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core5g.security import keys
from core5g.security.errors import MacFailure, SyncFailure
from core5g.security.milenage import Milenage, opc_of
from core5g.security.vectors import INDEXES, MOST, Usim, following, resynchronised, vector

HEX = bytes.fromhex
NETWORK = keys.network_name("00101")
SIXTEEN = st.binary(min_size=16, max_size=16)

SET_1 = {
    "k": "465b5ce8b199b49faa5f0a2ee238a6bc", "rand": "23553cbe9637a89d218ae64dae47bf35", "sqn": "ff9bb4d0b607",
    "amf": "b9b9", "op": "cdc202d5123e20f62b6d676ac72cb318", "opc": "cd63cb71954a9f4e48a5994e37a02baf",
    "f1": "4a9ffac354dfafb3", "f1s": "01cfaf9ec4e871e9", "f2": "a54211d5e3ba50bf", "f5": "aa689c648370",
    "f3": "b40ba9a3c58b2a05bbf0d987b21bf8cb", "f4": "f769bcd751044604127672711c6d3441", "f5s": "451e8beca43b",
}  # fmt: skip


def test_milenage_of_test_set_1():
    """TS 35.208, 4.3.1."""
    s = {name: HEX(text) for name, text in SET_1.items()}
    assert opc_of(s["k"], s["op"]) == s["opc"]
    sim = Milenage(s["k"], s["opc"])
    answers = sim.answers(s["rand"])
    assert (answers.res, answers.ck, answers.ik, answers.ak) == (s["f2"], s["f3"], s["f4"], s["f5"])
    assert sim.code(s["rand"], s["sqn"], s["amf"]) == s["f1"]
    assert sim.code(s["rand"], s["sqn"], s["amf"], again=True) == s["f1s"]
    assert sim.hidden(s["rand"]) == s["f5s"]


def test_keys_are_never_shown():
    sim = Milenage(bytes(16), bytes(16))
    assert "b'" not in repr(sim.answers(bytes(16)))
    made = vector(sim, bytes(16), 32, b"\x80\0", NETWORK)
    assert made.xres_star.hex() not in repr(made)
    assert "k_seaf" not in repr(made)


def test_names_of_serving_networks_have_three_digits_of_the_network():
    """TS 24.501, 9.12.1."""
    assert keys.network_name("00101") == b"5G:mnc001.mcc001.3gppnetwork.org"
    assert keys.network_name("310410") == b"5G:mnc410.mcc310.3gppnetwork.org"


def test_keys_are_hashes_of_exactly_their_parameters():
    text = bytes((0x6C,)) + NETWORK + len(NETWORK).to_bytes(2, "big")
    assert keys.k_seaf(bytes(32), NETWORK) == hmac.new(bytes(32), text, "sha256").digest()
    text = b"\x6d" + b"001010000000001" + b"\0\x0f" + b"\0\0" + b"\0\2"
    assert keys.k_amf(bytes(32), "001010000000001") == hmac.new(bytes(32), text, "sha256").digest()
    text = b"\x69\1\0\1\2\0\1"
    assert keys.of_algorithm(bytes(32), keys.NAS_CIPHERING, 2) == hmac.new(bytes(32), text, "sha256").digest()[16:]


@given(SIXTEEN, SIXTEEN, SIXTEEN, st.integers(INDEXES, 2**30))
def test_home_and_sim_come_to_the_same_keys(k, op, rand, sqn):
    sim = Milenage(k, opc_of(k, op))
    made = vector(sim, rand, sqn, b"\0\0", NETWORK)
    answer = Usim(sim).respond(made.rand, made.autn, NETWORK)
    assert (answer.res_star, answer.k_seaf) == (made.xres_star, made.k_seaf)
    assert made.autn[6] & 0x80, "the bit that says 5GS (TS 33.501, 6.1.3)"


@given(st.integers(0, 127))
def test_a_token_with_any_wrong_bit_is_refused(bit):
    sim = Milenage(bytes(16), bytes(16))
    made = vector(sim, bytes(16), 320, b"\x80\0", NETWORK)
    wrong = (int.from_bytes(made.autn, "big") ^ 1 << bit).to_bytes(16, "big")
    with pytest.raises(MacFailure):
        Usim(sim).respond(made.rand, wrong, NETWORK)


def test_a_token_is_taken_once_and_the_home_learns_the_number():
    sim, usim = Milenage(bytes(16), bytes(16)), Usim(Milenage(bytes(16), bytes(16)))
    made = vector(sim, b"r" * 16, 5000, b"\x80\0", NETWORK)
    usim.respond(made.rand, made.autn, NETWORK)
    with pytest.raises(SyncFailure) as refused:
        usim.respond(made.rand, made.autn, NETWORK)
    assert resynchronised(sim, made.rand, refused.value.auts) == 5000
    again = vector(sim, b"s" * 16, following(5000), b"\x80\0", NETWORK)
    assert usim.respond(again.rand, again.autn, NETWORK)


@given(st.integers(0, 111))
def test_a_resynchronisation_with_any_wrong_bit_is_refused(bit):
    sim = Milenage(bytes(16), bytes(16))
    usim = Usim(sim, last=640)
    made = vector(sim, bytes(16), 32, b"\x80\0", NETWORK)
    with pytest.raises(SyncFailure) as refused:
        usim.respond(made.rand, made.autn, NETWORK)
    wrong = (int.from_bytes(refused.value.auts, "big") ^ 1 << bit).to_bytes(14, "big")
    with pytest.raises(MacFailure):
        resynchronised(sim, made.rand, wrong)


def test_a_number_far_ahead_is_refused():
    """TS 33.102, C.2.1: else one forged number would use up all that come after it."""
    sim = Milenage(bytes(16), bytes(16))
    made = vector(sim, bytes(16), MOST, b"\x80\0", NETWORK)
    with pytest.raises(SyncFailure):
        Usim(sim).respond(made.rand, made.autn, NETWORK)


def test_numbers_of_other_indexes_may_come_out_of_order():
    """TS 33.102, C.2.2: vectors made ahead for another network are still good."""
    sim = Milenage(bytes(16), bytes(16))
    usim = Usim(sim)
    for sqn in (10 * INDEXES + 3, 9 * INDEXES + 4):
        made = vector(sim, bytes(16), sqn, b"\x80\0", NETWORK)
        usim.respond(made.rand, made.autn, NETWORK)


@given(st.integers(0, MOST))
def test_numbers_follow_each_other_in_sequence_and_index(sqn):
    after = following(sqn)
    assert after % INDEXES == (sqn + 1) % INDEXES
    assert after // INDEXES == (sqn // INDEXES + 1) % (2**43)
