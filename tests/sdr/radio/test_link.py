"""From SINR to a link: tables, block errors, and what packets meet."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.radio import modulation
from sdr.radio.link import RanLink
from sdr.radio.receiver import Receiver
from sdr.radio.schemes import CQI, MCS, Scheme, block_errors, information, loss
from sdr.radio.transmitter import Transmitter
from testbed.errors import BadInput
from tests.sdr.radio.air import WIDE, noisy

EFFICIENCIES = {
    "64qam": ".1523 0.2344 0.3770 0.6016 0.8770 1.1758 1.4766 1.9141 2.4063 2.7305 3.3223 3.9023 4.5234 5.1152 5.5547",
    "256qam": ".1523 0.3770 0.8770 1.4766 1.9141 2.4063 2.7305 3.3223 3.9023 4.5234 5.1152 5.5547 6.2266 6.9141 7.4063",
}
"""As the tables' last columns print them, apart from order and rate."""


@pytest.mark.parametrize("table", CQI)
def test_channel_qualities_have_the_tables_efficiencies(table):
    assert [scheme.efficiency for scheme in CQI[table]] == pytest.approx(
        [float(text) for text in EFFICIENCIES[table].split()], abs=5.1e-5
    )


def test_schemes_are_as_many_as_in_the_tables_and_end_with_the_same():
    assert (len(MCS["64qam"]), len(MCS["256qam"])) == (29, 28)
    assert all(MCS[table][-1] == CQI[table][-1] for table in MCS)
    assert MCS["64qam"][16].efficiency == pytest.approx(2.5703, abs=5e-5)
    assert MCS["256qam"][20].efficiency == pytest.approx(5.3320, abs=5e-5)


def test_information_is_what_theory_says():
    """QPSK at 0 dB carries 2 · 0.4859 bits (two binary channels of Es/N0 0 dB each); any points carry all far above."""
    assert information(2, 0.0)[0] == pytest.approx(2 * 0.4859, abs=1e-3)
    for order in modulation.ORDERS:
        assert information(order, 45.0) == pytest.approx((order, 0), abs=1e-3)
        assert information(order, 8.0)[0] < math.log2(1 + 10**0.8)


@pytest.mark.parametrize(("order", "snr"), [(2, 3.0), (4, 10.0), (6, 16.0), (8, 20.0)])
def test_the_radios_carry_the_information_that_block_errors_are_computed_from(order, snr):
    """The two fidelities agree: what received points tell of the sent ones, mean within 2 %, deviation within 7 %.

    Equalising by an estimated channel costs some hundredths of the SNR; that is the difference.
    """
    transmitter = Transmitter(WIDE, order=order, seed=5)
    samples = noisy(transmitter.read(WIDE.frame), WIDE, float(transmitter.amplitude) ** 2, snr)
    seen = Receiver(WIDE, order).feed(np.concatenate((samples, samples[: WIDE.slot])))
    points = modulation.constellation(order)
    measured = []
    for each in seen[1:4]:
        sent = points[modulation.values_of(transmitter.blocks(each.slot), order)].ravel()[::7]
        got = each.points.ravel()[::7]
        noise = 10 ** (-snr / 10)
        likely = np.exp(-(np.abs(got[:, None] - points) ** 2 - np.abs(got - sent)[:, None] ** 2) / noise).mean(axis=1)
        measured.append(-np.log2(likely))
    mean, variance = information(order, snr)
    assert np.mean(measured) == pytest.approx(mean, rel=0.02)
    assert np.std(measured) == pytest.approx(math.sqrt(variance), rel=0.07)


@settings(max_examples=40)
@given(st.sampled_from(MCS["256qam"]), st.floats(-10, 35), st.integers(100, 100_000))
def test_more_signal_fails_less(scheme, snr, bits):
    assert 0 <= block_errors(scheme, snr + 0.5, bits) <= block_errors(scheme, snr, bits) <= 1


def test_no_code_beats_capacity():
    """Half of long blocks fail where the code rate is the information: here QPSK, rate 1/2, at 0.19 dB."""
    half = Scheme(2, 0.5)
    assert block_errors(half, 0.19 + loss(half) - 0.3, 8_000) > 0.9
    assert block_errors(half, 0.19 + loss(half) + 0.8, 8_000) < 0.1


@pytest.mark.parametrize("table", CQI)
def test_a_better_channel_is_never_slower(table):
    link = RanLink(table=table)
    rates = [link.impairment(sinr).rate or 0 for sinr in range(-15, 45)]
    assert rates[0] == 0
    assert all(later >= rate * 0.98 for rate, later in pairwise(rates))
    assert {link.cqi(sinr) for sinr in range(-15, 45)} == set(range(16))


def test_the_best_channel_carries_what_its_scheme_does():
    """52 blocks · 12 · 14 · 0.86 · 5.5547 bits a millisecond, without loss or repetition; out of range nothing."""
    best = RanLink().impairment(40)
    assert best.rate == pytest.approx(52 * 12 * 14 * 0.86 * 948 / 1024 * 6 * 1000, rel=1e-4)
    assert (best.delay, best.loss) == (pytest.approx(3e-3), 0)
    assert RanLink().impairment(-20).loss == 1
    assert RanLink().impairment(-math.inf).loss == 1


def test_repetitions_cost_time_and_save_blocks():
    link, once = RanLink(), RanLink(transmissions=1)
    at = next(sinr for sinr in np.arange(0, 20, 0.01) if once.impairment(sinr).loss > 0.05)
    assert link.impairment(at).loss < 1e-6
    fails = once.impairment(at).loss
    assert link.impairment(at).delay == pytest.approx(3e-3 + 8e-3 * fails, rel=1e-3)
    scheme = MCS["64qam"][link.mcs(link.cqi(at))]
    assert link.impairment(at).rate == pytest.approx(link.bits(scheme) / link.slot / (1 + fails), rel=1e-3)


@pytest.mark.parametrize("sinr", [3.0, 12.0, 20.0])
def test_a_link_at_a_measured_sinr_is_the_link_at_the_true_one(sinr):
    """Both fidelities report the same CQI or its neighbour, and rates within 12 %."""
    transmitter = Transmitter(WIDE)
    samples = noisy(transmitter.read(2 * WIDE.frame), WIDE, float(transmitter.amplitude) ** 2, sinr)
    measured = float(np.mean([each.snr for each in Receiver(WIDE).feed(samples)]))
    assert abs(RanLink().cqi(measured) - RanLink().cqi(sinr)) <= 1
    assert RanLink().impairment(measured).rate == pytest.approx(RanLink().impairment(sinr).rate, rel=0.12)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"table": "64-qam"}, "expected one of 64qam, 256qam; did you mean '64qam'"),
        ({"blocks": 0}, "blocks is 0; expected 1 to 275"),
        ({"overhead": math.nan}, "overhead is nan"),
        ({"transmissions": 0}, "transmissions is 0"),
    ],
)
def test_a_link_that_cannot_be_is_refused(options, match):
    with pytest.raises(BadInput, match=match):
        RanLink(**options)


def test_a_sinr_that_is_no_number_is_refused():
    with pytest.raises(BadInput, match="SINR is nan"):
        RanLink().impairment(math.nan)
