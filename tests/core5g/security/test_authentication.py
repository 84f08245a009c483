"""5G-AKA from both sides, with every set of functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core5g.security import keys
from core5g.security.errors import MacFailure, NotFor5gs, SyncFailure, WrongSize
from core5g.security.milenage import Milenage
from core5g.security.octets import xor
from core5g.security.registry import ALGORITHMS, algorithm
from core5g.security.vectors import INDEXES, MOST, Usim, following, resynchronised, vector
from tests.core5g.security.published import rows

HEX = bytes.fromhex
NETWORK = keys.network_name("00101")
SIZE = {"milenage": (16, 16), "tuak": (32, 32)}
"""Bytes of K and of what is the operator's."""
NUMBERS = st.integers(INDEXES, 2**28)
RANDS = st.binary(min_size=16, max_size=16)


@pytest.fixture(params=ALGORITHMS)
def sim(request):
    return _sim(request.param)


def _sim(name, key=None, operator=None):
    kind, (key_size, size) = algorithm(name), SIZE[name]
    key = bytes(key_size) if key is None else key
    return kind.sim(key, kind.constant(key, bytes(size) if operator is None else operator))


@st.composite
def sims(draw, name):
    return _sim(name, *(draw(st.binary(min_size=size, max_size=size)) for size in SIZE[name]))


def flipped(text, bit):
    return (int.from_bytes(text, "big") ^ 1 << bit).to_bytes(len(text), "big")


@pytest.mark.parametrize("name", ALGORITHMS)
@given(data=st.data(), rand=RANDS, sqn=NUMBERS, amf=st.binary(min_size=2, max_size=2))
def test_home_and_sim_come_to_the_same_keys(name, data, rand, sqn, amf):
    one = data.draw(sims(name))
    made = vector(one, rand, sqn, amf, NETWORK)
    answer = Usim(one).respond(made.rand, made.autn, NETWORK)
    assert (answer.res_star, answer.k_seaf, answer.k_ausf) == (made.xres_star, made.k_seaf, made.k_ausf)
    assert made.k_seaf != made.k_ausf
    assert len(made.autn) == len(made.xres_star) == 16
    assert made.autn[6:8] == bytes((amf[0] | 0x80, amf[1])), "with the bit that says 5GS (TS 33.501, 6.1.3)"


@pytest.mark.parametrize("name", ALGORITHMS)
@given(data=st.data(), rand=RANDS, sqn=NUMBERS, bit=st.integers(0, 127))
def test_a_token_with_any_wrong_bit_is_refused(name, data, rand, sqn, bit):
    one = data.draw(sims(name))
    made = vector(one, rand, sqn, b"\x80\0", NETWORK)
    usim = Usim(one)
    with pytest.raises((MacFailure, SyncFailure)):
        usim.respond(rand, flipped(made.autn, bit), NETWORK)
    assert usim.respond(rand, made.autn, NETWORK), "what was refused has used up no number"


@pytest.mark.parametrize("size", [0, 5, 15, 17])
def test_a_token_of_another_size_is_refused(sim, size):
    with pytest.raises(MacFailure):
        Usim(sim).respond(bytes(16), bytes(size), NETWORK)
    with pytest.raises(MacFailure):
        resynchronised(sim, bytes(16), bytes(max(size - 2, 0)))
    with pytest.raises(WrongSize):
        vector(sim, bytes(16), 32, bytes(size), NETWORK)


def test_another_serving_network_has_other_keys(sim):
    """TS 33.501, 6.1.1.4: a network can't pass itself off as another."""
    made = vector(sim, bytes(16), 320, b"\x80\0", NETWORK)
    answer = Usim(sim).respond(made.rand, made.autn, keys.network_name("00102"))
    assert answer.res_star != made.xres_star
    assert answer.k_seaf != made.k_seaf


def test_a_token_for_2g_or_3g_is_refused(sim):
    """TS 33.501, 6.1.3.2: the phone looks at the bit after the SIM has believed the token."""
    number = (320).to_bytes(6, "big")
    autn = xor(number, sim.f2345(bytes(16)).ak) + b"\x7f\xff" + sim.f1(bytes(16), number, b"\x7f\xff")
    with pytest.raises(NotFor5gs) as refused:
        Usim(sim).respond(bytes(16), autn, NETWORK)
    assert refused.value.cause == 26
    assert (MacFailure.cause, SyncFailure.cause) == (20, 21)


@pytest.mark.parametrize("name", ALGORITHMS)
@given(data=st.data(), last=st.integers(0, MOST), rand=RANDS)
def test_the_home_learns_the_sim_s_number_and_goes_on_from_there(name, data, last, rand):
    one = data.draw(sims(name))
    usim = Usim(one, last=last)
    made = vector(one, rand, 0, b"\x80\0", NETWORK)
    with pytest.raises(SyncFailure) as refused:
        usim.respond(rand, made.autn, NETWORK)
    assert len(refused.value.auts) == 14
    assert resynchronised(one, rand, refused.value.auts) == last
    if last < MOST - INDEXES:
        again = vector(one, rand, following(last), b"\x80\0", NETWORK)
        assert usim.respond(again.rand, again.autn, NETWORK).res_star == again.xres_star


@pytest.mark.parametrize("name", ALGORITHMS)
@given(bit=st.integers(0, 111), last=st.integers(INDEXES, MOST))
def test_a_resynchronisation_with_any_wrong_bit_is_refused(name, bit, last):
    one = _sim(name)
    made = vector(one, bytes(16), 32, b"\x80\0", NETWORK)
    with pytest.raises(SyncFailure) as refused:
        Usim(one, last=last).respond(made.rand, made.autn, NETWORK)
    with pytest.raises(MacFailure):
        resynchronised(one, made.rand, flipped(refused.value.auts, bit))


def test_a_resynchronisation_that_another_implementation_accepts():
    """Of hostap's tests of MILENAGE, for the SIM of TS 35.208, 4.3.20: its number is 1."""
    row = rows("milenage")[-1].values[0]
    assert resynchronised(Milenage(row["k"], row["opc"]), row["rand"], HEX("4f2039392ddd4bb4316ed4a14688")) == 1


def _taken(usim, sim, sqn):
    made = vector(sim, bytes(16), sqn, b"\x80\0", NETWORK)
    try:
        usim.respond(made.rand, made.autn, NETWORK)
    except SyncFailure:
        return False
    return True


def test_a_token_is_taken_once(sim):
    usim = Usim(sim)
    assert _taken(usim, sim, 5000)
    assert not _taken(usim, sim, 5000)
    assert usim.last == 5000
    assert _taken(usim, sim, following(5000))


def test_a_number_far_ahead_is_refused(sim):
    """TS 33.102, C.2.1: else one forged number would use up all that come after it; the limit is 2^28."""
    assert _taken(Usim(sim), sim, 2**28 * INDEXES)
    assert not _taken(Usim(sim), sim, (2**28 + 1) * INDEXES)
    assert _taken(Usim(sim, last=(2**30) * INDEXES), sim, (2**30 + 2**28) * INDEXES)


def test_numbers_of_other_indexes_may_come_out_of_order(sim):
    """TS 33.102, C.2.2: vectors made ahead for another network are still good."""
    usim = Usim(sim)
    assert _taken(usim, sim, 10 * INDEXES + 3)
    assert _taken(usim, sim, 9 * INDEXES + 4)
    assert usim.last == 10 * INDEXES + 3
    assert not _taken(usim, sim, 9 * INDEXES + 3)


@given(st.lists(st.integers(0, 40 * INDEXES), max_size=30))
def test_what_is_taken_is_newer_than_all_of_its_index(numbers):
    """TS 33.102, C.2.2, told in another way."""
    sim = _sim("milenage")
    usim, taken = Usim(sim, last=2 * INDEXES), {}
    for sqn in numbers:
        sequence, index = divmod(sqn, INDEXES)
        fresh = sequence > taken.get(index, 2)
        assert _taken(usim, sim, sqn) == fresh
        if fresh:
            taken[index] = sequence


@given(st.integers(0, MOST))
def test_numbers_follow_each_other_in_sequence_and_index(sqn):
    after = following(sqn)
    assert after % INDEXES == (sqn + 1) % INDEXES
    assert after // INDEXES == (sqn // INDEXES + 1) % (2**43)
