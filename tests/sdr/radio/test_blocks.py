"""What the radios are made of: sequences, points, checks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.radio import crc, modulation, sequences
from sdr.radio.carrier import RATES, Carrier
from testbed.errors import BadInput


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("spacing", [15_000, 30_000])
def test_symbols_and_prefixes_fill_a_slot(rate, spacing):
    if spacing == 30_000 and rate in {1_920_000, 5_760_000}:
        with pytest.raises(BadInput, match="no whole number of samples; expected another rate, such as 3840000"):
            Carrier(rate, spacing)
        return
    carrier = Carrier(rate, spacing)
    assert sum(carrier.prefixes) + 14 * carrier.fft == carrier.slot == rate // (spacing // 15)
    assert carrier.frequencies.max() < 0.41 * rate


def test_prefixes_are_those_of_the_clause():
    """TS 38.211 5.3.1, in its Ts of 1/30.72 MHz: 144 and 16 more at symbols 0 and 7; half of that, 16 more at 0."""
    assert Carrier(30_720_000, 15_000).prefixes == (160, *[144] * 6, 160, *[144] * 6)
    assert Carrier(30_720_000, 30_000).prefixes == (88, *[72] * 13)


@pytest.mark.parametrize(
    ("rate", "spacing", "match"), [(10_000_000, 15_000, "sample rate"), (1_920_000, 60_000, "spacing")]
)
def test_an_unknown_numerology_is_refused_with_what_is_known(rate, spacing, match):
    with pytest.raises(BadInput, match=match):
        Carrier(rate, spacing)


def test_synchronisation_signals_are_told_apart():
    """An m-sequence's periodic correlation is 127 at its place, -1 anywhere else."""
    table = np.array([sequences.pss(sector) for sector in range(3)])
    assert np.array_equal(table @ table.T, np.where(np.eye(3), 127, -1))
    cells = np.array([sequences.sss(cell) for cell in range(sequences.CELLS)])
    likeness = np.abs(cells @ cells.T) - 127 * np.eye(sequences.CELLS)
    assert likeness.max() < 127 / 2


def test_the_primary_signal_begins_as_the_clause_says():
    """By hand from TS 38.211 7.4.2.2.1: x(0 to 6) is 0 1 1 0 1 1 1, x(7) = x(4) + x(0) = 1, x(8) = x(5) + x(1) = 0."""
    assert sequences.pss(0)[:9].tolist() == [1, -1, -1, 1, -1, -1, -1, -1, 1]


@pytest.mark.parametrize("seed", [1, 12345, 2**31 - 1])
def test_pseudo_random_bits_are_those_of_the_recursion(seed):
    one, two = [1] + [0] * 30, [seed >> i & 1 for i in range(31)]
    for n in range(1800):
        one.append(one[n + 3] ^ one[n])
        two.append(two[n + 3] ^ two[n + 2] ^ two[n + 1] ^ two[n])
    expected = [a ^ b for a, b in zip(one[1600:1750], two[1600:1750], strict=True)]
    assert sequences.gold(np.array([seed]), 150)[0].tolist() == expected


def test_points_are_those_of_the_clause():
    """TS 38.211 5.1.3 to 5.1.6, each with its first bits."""
    assert modulation.constellation(2)[0b01] == pytest.approx((1 - 1j) / 2**0.5)
    assert modulation.constellation(4)[0b0010] == pytest.approx((3 + 1j) / 10**0.5)
    assert modulation.constellation(6)[0b000000] == pytest.approx((3 + 3j) / 42**0.5)
    assert modulation.constellation(8)[0] == pytest.approx((5 + 5j) / 170**0.5)


@settings(max_examples=40)
@given(st.sampled_from(modulation.ORDERS), st.integers(1, 5), st.randoms(use_true_random=False))
def test_bytes_come_back_from_their_points(order, groups, random):
    data = np.frombuffer(random.randbytes(2 * 12 * groups), np.uint8).reshape(2, -1)
    points = modulation.constellation(order)[modulation.values_of(data, order)]
    assert np.array_equal(modulation.bytes_of(modulation.decide(points, order), order), data)


@pytest.mark.parametrize("order", modulation.ORDERS)
def test_neighbouring_points_differ_in_one_bit(order):
    points = modulation.constellation(order)
    apart = np.abs(points[:, None] - points)
    near = (apart > 0) & (apart < apart[apart > 1e-3].min() * 1.01)
    values = np.arange(2**order)
    assert np.all(np.bitwise_count(values[:, None] ^ values)[near] == 1)


@pytest.mark.parametrize(("check", "polynomial"), [(2, 0x11021), (3, 0x1864CFB)])
@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=100))
def test_a_check_is_the_remainder_of_a_long_division(check, polynomial, payload):
    """By TS 38.212 5.1: the polynomials with their highest terms."""
    width = 8 * check
    number = int.from_bytes(payload, "big") << width
    for place in range(number.bit_length() - 1, width - 1, -1):
        number ^= (polynomial << (place - width)) * (number >> place & 1)
    block = crc.append(np.frombuffer(payload, np.uint8)[None], check)
    assert int.from_bytes(block[0, -check:].tobytes(), "big") == number


@settings(max_examples=40)
@given(st.integers(0, 49), st.integers(1, 255))
def test_a_changed_byte_is_noticed(place, change):
    blocks = crc.append(np.arange(96, dtype=np.uint8).reshape(2, 48), 2)
    assert crc.holds(blocks).all()
    blocks[1, place] ^= change
    assert crc.holds(blocks).tolist() == [True, False]
