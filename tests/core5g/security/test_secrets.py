"""Nothing that is printed, logged or raised holds a key."""

import pytest

from core5g.security import ciphers, keys, suci
from core5g.security.errors import MacFailure, SyncFailure, WrongKey, WrongSize, WrongTag
from core5g.security.registry import ALGORITHMS, algorithm
from core5g.security.vectors import Usim, vector

NETWORK = keys.network_name("00101")
SECRET = bytes.fromhex("5ec4e75ec4e75ec4e75ec4e75ec4e75e")
RAND = bytes(range(16))


def shown(value):
    return f"{value!r} {value} {getattr(value, 'args', '')}"


def assert_hidden(text, *secrets):
    for secret in secrets:
        assert len(secret) >= 6
        for form in (secret.hex(), secret.hex().upper(), repr(secret)[2:-1], str(int.from_bytes(secret, "big"))):
            assert form not in text


@pytest.mark.parametrize("name", ALGORITHMS)
def test_sims_and_what_they_answer_are_not_shown(name):
    constant = algorithm(name).constant(SECRET, SECRET * (2 if name == "tuak" else 1))
    sim = algorithm(name).sim(SECRET, constant)
    answers = sim.f2345(RAND)
    made = vector(sim, RAND, 320, b"\x80\0", NETWORK)
    usim = Usim(sim)
    response = usim.respond(RAND, made.autn, NETWORK)
    text = " ".join(map(shown, (sim, answers, made, usim, response)))
    assert_hidden(text, SECRET, constant, answers.res, answers.ck, answers.ik, answers.ak)
    assert_hidden(text, made.xres_star, made.k_seaf, made.k_ausf)
    assert repr(made.rand) in text, "what goes over the air is"
    with pytest.raises(SyncFailure) as used:
        usim.respond(RAND, made.autn, NETWORK)
    with pytest.raises(MacFailure) as foreign:
        usim.respond(RAND, bytes(16), NETWORK)
    assert_hidden(shown(used.value) + shown(foreign.value), SECRET, constant, answers.ak)


@pytest.mark.parametrize("scheme", [suci.PROFILE_A, suci.PROFILE_B])
def test_keys_of_the_home_network_are_not_shown(scheme):
    pair = suci.key_pair(scheme, SECRET * 2)
    assert_hidden(shown(pair) + shown(suci.private_key(scheme, pair.private)), pair.private)
    output = suci.conceal(scheme, pair.public, b"12345")
    with pytest.raises(WrongTag) as other:
        suci.reveal(scheme, suci.private_key(scheme, bytes(31) + b"\1"), output)
    with pytest.raises(WrongSize) as longer:
        suci.private_key(scheme, SECRET * 3)
    assert_hidden(shown(other.value) + shown(longer.value), SECRET)


def test_wrong_keys_are_not_shown():
    high = b"\xff" * 32
    with pytest.raises(WrongKey) as refused:
        suci.private_key(suci.PROFILE_B, high)
    assert_hidden(shown(refused.value), high)
    for one in (ciphers.cipher, ciphers.code):
        for number in (1, 2, 3):
            with pytest.raises(WrongSize) as longer:
                one(number, SECRET * 2, 0, 0, b"x")
            assert_hidden(shown(longer.value), SECRET)
