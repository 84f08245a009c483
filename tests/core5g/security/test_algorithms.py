"""The functions f1 to f5: each set by its published data, and the contract that all keep."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core5g.security import keccak
from core5g.security.errors import UnknownAlgorithm, WrongSize
from core5g.security.milenage import Milenage, opc_of
from core5g.security.registry import ALGORITHMS, algorithm
from core5g.security.tuak import Shape, Tuak, topc_of
from testbed.errors import BadInput
from tests.core5g.security.published import rows

OPERATOR = {"milenage": 16, "tuak": 32}
"""Bytes of what is the operator's (OP, TOP)."""
SIXTEEN = st.binary(min_size=16, max_size=16)


def assert_is(sim, row):
    answers = sim.f2345(row["rand"])
    assert (answers.res, answers.ck, answers.ik, answers.ak) == (row["f2"], row["f3"], row["f4"], row["f5"])
    assert sim.f1(row["rand"], row["sqn"], row["amf"]) == row["f1"]
    assert sim.f1s(row["rand"], row["sqn"], row["amf"]) == row["f1s"]
    assert sim.f5s(row["rand"]) == row["f5s"]


@pytest.mark.parametrize("row", rows("milenage"))
def test_milenage_of_all_test_sets(row):
    """TS 35.208, 4.3.1 to 4.3.20."""
    assert opc_of(row["k"], row["op"]) == row["opc"]
    assert_is(Milenage(row["k"], row["opc"]), row)


@pytest.mark.parametrize("row", rows("tuak"))
def test_tuak_of_all_test_sets(row):
    """TS 35.233, 6.3 to 6.8: keys of 128 and 256 bits, all sizes of results, one permutation and two."""
    sizes = {"mac": len(row["f1"]), "res": len(row["f2"]), "ck": len(row["f3"]), "ik": len(row["f4"])}
    assert topc_of(row["k"], row["top"], row["iterations"]) == row["topc"]
    assert_is(Tuak(row["k"], row["topc"], Shape(**sizes, iterations=row["iterations"])), row)


@pytest.mark.parametrize("row", rows("keccak"))
def test_the_permutation_of_all_test_sets(row):
    """TS 35.232, the test sets of Keccak-f[1600]."""
    assert keccak.permuted(row["before"]) == row["after"]


@given(st.binary(max_size=134))
def test_the_permutation_makes_python_s_own_shake(message):
    state = ((message + b"\x1f").ljust(135, b"\0") + b"\x80").ljust(keccak.SIZE, b"\0")
    assert keccak.permuted(state)[:136] == hashlib.shake_256(message).digest(136)


@pytest.mark.parametrize("size", [0, 199, 201])
def test_states_of_another_size_are_refused(size):
    with pytest.raises(ValueError, match="expected 200"):
        keccak.permuted(bytes(size))


@pytest.mark.parametrize("name", ALGORITHMS)
@given(data=st.data())
def test_results_have_the_sizes_of_5gs_and_depend_on_everything(name, data):
    """TS 33.102, 6.3.7: MAC 64 bits, AK 48, CK and IK 128; TS 33.501, A.4: RES 32 to 128."""
    kind = algorithm(name)
    key, operator = data.draw(SIXTEEN), data.draw(st.binary(min_size=OPERATOR[name], max_size=OPERATOR[name]))
    rand, sqn, amf = data.draw(SIXTEEN), data.draw(st.binary(min_size=6, max_size=6)), b"\x80\0"
    sim = kind.sim(key, kind.constant(key, operator))
    answers = sim.f2345(rand)
    assert [len(one) for one in (answers.res, answers.ck, answers.ik, answers.ak)] == [8, 16, 16, 6]
    assert len(sim.f1(rand, sqn, amf)) == len(sim.f1s(rand, sqn, amf)) == 8
    seen = {sim.f1(rand, sqn, amf), sim.f1s(rand, sqn, amf), answers.res, answers.ck, answers.ik}
    assert len(seen) == 5
    assert sim.f5s(rand) != answers.ak
    other = kind.sim(key, kind.constant(key, bytes(one ^ 1 for one in operator)))
    assert other.f1(rand, sqn, amf) != sim.f1(rand, sqn, amf)
    assert other.f2345(rand) != answers


@pytest.mark.parametrize("name", ALGORITHMS)
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["f1", "f1s", "f2345", "f5s"])), max_size=20))
def test_no_call_leaves_anything_behind(name, calls):
    """What a SIM says to a challenge is the same whatever it was asked before."""
    kind = algorithm(name)
    constant = kind.constant(bytes(16), bytes(OPERATOR[name]))
    used = kind.sim(bytes(16), constant)
    for number, function in calls:
        rest = (bytes(6), bytes(2)) if function.startswith("f1") else ()
        fresh = kind.sim(bytes(16), constant)
        rand = bytes((number,)) * 16
        assert getattr(used, function)(rand, *rest) == getattr(fresh, function)(rand, *rest)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 15, 17, 33])
def test_other_sizes_are_refused_and_not_shown(name, size):
    kind, wrong, right = algorithm(name), b"\xa5" * size, bytes(OPERATOR[name])
    sim = kind.sim(bytes(16), right)
    for call in (
        lambda: kind.sim(wrong, right), lambda: kind.sim(bytes(16), wrong), lambda: kind.constant(wrong, right),
        lambda: kind.constant(bytes(16), wrong), lambda: sim.f2345(wrong), lambda: sim.f5s(wrong),
        lambda: sim.f1(wrong, bytes(6), bytes(2)), lambda: sim.f1(bytes(16), wrong, bytes(2)),
        lambda: sim.f1s(bytes(16), bytes(6), wrong),
    ):  # fmt: skip
        with pytest.raises(WrongSize, match=f"{size} bytes, expected") as refused:
            call()
        assert "a5" not in str(refused.value)


@pytest.mark.parametrize("sizes", [{"mac": 4}, {"res": 12}, {"ck": 8}, {"ik": 24}, {"iterations": 0}])
def test_tuak_takes_no_other_shapes(sizes):
    """TS 35.231, 5.1; without a permutation the result would hold the key itself."""
    with pytest.raises(BadInput, match="expected"):
        Shape(**sizes)
    if "iterations" in sizes:
        with pytest.raises(BadInput, match="expected"):
            topc_of(bytes(16), bytes(32), **sizes)


def test_unknown_names_are_told_the_known_ones():
    with pytest.raises(UnknownAlgorithm, match="milenage, tuak; did you mean 'milenage'"):
        algorithm("milenge")
