"""A transmitter and a receiver, joined by channels of known truth."""

from functools import cache
from math import erfc, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.radio.carrier import Carrier
from sdr.radio.measurement import bler
from sdr.radio.receiver import Receiver
from sdr.radio.transmitter import Transmitter
from testbed.errors import BadInput
from tests.sdr.radio.air import MIDDLE, NARROW, WIDE, late, noisy, turned


@cache
def sent(carrier: Carrier, order: int = 2, frames: int = 2, cell: int = 501):
    """A transmitter's first frames, and the power of its resource elements."""
    transmitter = Transmitter(carrier, cell, order, seed=7)
    return transmitter.read(frames * carrier.frame), float(transmitter.amplitude) ** 2


@settings(max_examples=12)
@given(st.lists(st.integers(0, 5000), max_size=12))
def test_a_stream_is_the_same_however_it_is_cut(cuts):
    transmitter = Transmitter(NARROW, 501, seed=7)
    parts = [transmitter.read(n) for n in cuts]
    whole = Transmitter(NARROW, 501, seed=7).read(sum(cuts))
    assert np.array_equal(np.concatenate([whole[:0], *parts]), whole)


def test_seeds_give_streams_of_their_own():
    one, other = (Transmitter(NARROW, seed=seed).blocks(5) for seed in (1, 2))
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, Transmitter(NARROW, seed=1).blocks(6))


@settings(max_examples=8)
@given(st.lists(st.integers(1, 30_000), min_size=1, max_size=20))
def test_what_is_measured_does_not_depend_on_the_pieces(cuts):
    samples, power = sent(NARROW)
    samples = noisy(turned(samples, NARROW, 4000), NARROW, power, 15)
    receiver = Receiver(NARROW)
    pieces = np.split(samples, np.minimum(np.cumsum(cuts), len(samples)))
    assert [each for piece in pieces for each in receiver.feed(piece)] == Receiver(NARROW).feed(samples)


@pytest.mark.parametrize("carrier", [NARROW, MIDDLE, WIDE, Carrier(23_040_000, 30_000), Carrier(30_720_000, 15_000)])
@pytest.mark.parametrize("order", [2, 8])
def test_a_clean_signal_is_received_whole(carrier, order):
    """Only complex64's rounding is left: EVM under 0.1 %, delay under 1 ps, level to 0.001 dB."""
    samples, power = sent(carrier, order)
    seen = Receiver(carrier, order).feed(samples)
    assert len(seen) == 2 * carrier.slots
    assert [each.slot for each in seen] == 2 * list(range(carrier.slots))
    assert bler(seen) == 0
    assert {each.cell for each in seen} == {501}
    assert max(each.evm for each in seen) < 1e-3
    assert max(abs(each.delay) for each in seen) < 1e-12
    assert seen[-1].rsrp == pytest.approx(10 * np.log10(power), abs=1e-3)


@pytest.mark.parametrize("delay", [0.3, 7.5, 1000.123, 60_000.77])
def test_a_delay_is_measured_to_a_fraction_of_a_sample(delay):
    """A sample lasts 87 ns. At 30 dB a slot's error is at most 0.2 ns and spreads by 0.06 ns; Cramér-Rao: 0.037 ns."""
    samples, power = sent(WIDE, frames=3)
    seen = Receiver(WIDE).feed(noisy(late(samples, delay), WIDE, power, 30))
    errors = [(each.delay - ((delay + WIDE.frame / 2) % WIDE.frame - WIDE.frame / 2) / WIDE.rate) for each in seen]
    assert len(seen) >= 18
    assert np.abs(errors).max() < 0.2e-9
    assert np.std(errors) < 0.06e-9


@pytest.mark.parametrize("offset", [-1.2, -0.77, -0.5, -0.25, 0.001, 0.25, 0.6, 1.0])
def test_a_carrier_offset_is_found_and_measured(offset):
    """Offsets in subcarriers; each slot to 15 Hz, a thousandth of one, at 15 dB."""
    samples, power = sent(WIDE)
    seen = Receiver(WIDE).feed(noisy(turned(samples, WIDE, offset * 15_000), WIDE, power, 15))
    assert len(seen) == 20
    assert max(abs(each.offset - offset * 15_000) for each in seen) < 15
    assert bler(seen) == 0


@pytest.mark.parametrize("snr", [0.0, 10.0, 20.0, 40.0])
def test_level_and_noise_are_measured(snr):
    """The mean of 80 slots: RSRP within 0.05 dB, SNR within 0.1 dB. One slot's RSRP at 0 dB spreads by 0.21 dB, for it
    is the mean of 1248 squares of signal and noise, so all are within 0.8 dB."""
    samples, power = sent(WIDE, frames=8)
    seen = Receiver(WIDE).feed(noisy(samples * np.float32(0.1), WIDE, power / 100, snr))
    assert np.mean([each.rsrp for each in seen]) == pytest.approx(10 * np.log10(power) - 20, abs=0.05)
    assert max(abs(each.rsrp - 10 * np.log10(power) + 20) for each in seen) < 0.8
    assert np.mean([each.snr for each in seen]) == pytest.approx(snr, abs=0.1)


@pytest.mark.parametrize("snr", [25.0, 35.0])
def test_error_vectors_are_the_noise(snr):
    """Equalising by a channel averaged over 2 · 19 pilots adds at most 0.25 dB."""
    samples, power = sent(WIDE, 4)
    seen = Receiver(WIDE, 4).feed(noisy(samples, WIDE, power, snr))
    evm = np.sqrt(np.mean([each.evm**2 for each in seen]))
    assert 20 * np.log10(evm) == pytest.approx(-snr, abs=0.25)


@pytest.mark.parametrize("snr", [8.0, 9.0, 10.0])
def test_block_errors_are_those_of_theory(snr):
    """QPSK in white noise: a bit is wrong with Q(sqrt(SNR)) (Proakis), a block if one of its bits is."""
    samples, power = sent(NARROW, frames=12)
    receiver = Receiver(NARROW)
    measured = bler(receiver.feed(noisy(samples, NARROW, power, snr)))
    wrong = erfc(sqrt(10 ** (snr / 10) / 2)) / 2
    expected = 1 - (1 - wrong) ** (NARROW.subcarriers * 2)
    assert measured == pytest.approx(expected, abs=0.09)


def test_two_paths_are_seen_where_they_are():
    samples, power = sent(WIDE)
    echo = (samples + 0.5 * np.roll(samples, 20)).astype(np.complex64)
    seen = Receiver(WIDE, smoothing=5).feed(echo)[5]
    times, taps = seen.impulse_response()
    gains = np.abs(taps) / power**0.5
    start = seen.count / WIDE.rate - 5e-3  # the sixth slot's, from where the transmitter started it
    main, second = (gains[np.argmin(np.abs(times + start - at / WIDE.rate))] for at in (0, 20))
    assert (main, second) == pytest.approx((1, 0.5), abs=0.02)
    assert abs(20 * np.log10(np.abs(seen.response[300]) / power**0.5)) < 6.1
    assert seen.failed == 0


def test_silence_and_noise_give_nothing_and_a_signal_is_found_again():
    samples, power = sent(NARROW, frames=3)
    receiver = Receiver(NARROW)
    assert len(receiver.feed(samples)) == 30
    assert receiver.feed(np.zeros(NARROW.frame, np.complex64)) == []
    assert not receiver.found
    assert receiver.feed(noisy(np.zeros(5 * NARROW.frame, np.complex64), NARROW, power, 10)) == []
    again = receiver.feed(turned(samples, NARROW, 2000))
    assert receiver.found
    assert len(again) >= 20
    assert again[-1].offset == pytest.approx(2000, abs=5)


def test_a_signal_that_comes_later_and_later_is_followed():
    """A clock 20 ppm wrong: 19 samples in five frames, more than the prefix of 9 holds."""
    samples, _ = sent(NARROW, frames=5)
    places = np.arange(len(samples)) * (1 - 2e-5)
    slow = (np.interp(places, np.arange(len(samples)), samples.real)
            + 1j * np.interp(places, np.arange(len(samples)), samples.imag)).astype(np.complex64)  # fmt: skip
    seen = Receiver(NARROW).feed(slow)
    assert len(seen) >= 48
    moved = seen[-1].delay - seen[0].delay
    assert moved == pytest.approx(2e-5 * (seen[-1].count - seen[0].count) / NARROW.rate, rel=0.1)


@pytest.mark.parametrize(
    ("samples", "match"),
    [
        (np.zeros(3), "got samples of float64"),
        (np.zeros((2, 2), np.complex64), "in 2 dimensions"),
        (np.array([0, 1, np.nan], np.complex64), r"sample 7 is .*expected a finite one"),
    ],
)
def test_samples_that_cannot_be_are_refused_and_not_taken(samples, match):
    receiver = Receiver(NARROW)
    receiver.feed(np.zeros(5, np.complex64))
    with pytest.raises(BadInput, match=match):
        receiver.feed(samples)
    whole, _ = sent(NARROW)
    assert receiver.feed(whole)[0].delay * NARROW.rate == pytest.approx(5, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"cell": 1008}, "cell is 1008; expected a physical cell identity from 0 to 1007"),
        ({"order": 3}, "modulation has 3 bits"),
        ({"seed": -1}, "seed is -1"),
        ({"level": float("nan")}, "level is nan"),
        ({"level": 3.0}, "level is 3.0"),
    ],
)
def test_a_transmitter_that_cannot_be_is_refused(options, match):
    with pytest.raises(BadInput, match=match):
        Transmitter(NARROW, **options)


@pytest.mark.parametrize("smoothing", [0, 4, 9999])
def test_a_smoothing_that_cannot_be_is_refused(smoothing):
    with pytest.raises(BadInput, match=f"smoothing is {smoothing}"):
        Receiver(NARROW, smoothing=smoothing)
