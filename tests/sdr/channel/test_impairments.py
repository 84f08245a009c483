"""What receivers do to the sum: bits that no cutting changes, and the statistics that were asked for."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.channel.impairments import Clipping, Imbalance, Jammer, Noise, Offset, PhaseNoise, thermal
from testbed.errors import BadInput

RATE = 11.52e6
MAKE = {
    "noise": lambda: Noise(0.5, [1, 2]),
    "offset": lambda: Offset(0.01),
    "phase noise": lambda: PhaseNoise([(1e3, -70), (1e5, -90)], RATE, [3]),
    "imbalance": lambda: Imbalance(1.0, 0.1),
    "clipping": lambda: Clipping(0.7),
    "tone": lambda: Jammer(2.0, [4], tone=0.1),
    "pulsed noise": lambda: Jammer(2.0, [4], period=100, on=30),
}


@pytest.mark.parametrize("name", MAKE)
@given(start=st.integers(0, 2**40), cuts=st.lists(st.integers(1, 1499), max_size=5))
@settings(max_examples=15, deadline=None)
def test_the_cutting_into_blocks_changes_no_bit(name, start, cuts):
    whole = np.random.default_rng(0).standard_normal(3000, np.float32).view(np.complex64)
    cut = whole.copy()
    MAKE[name]().apply(whole, start)
    impairment = MAKE[name]()
    for begin, end in pairwise(sorted({0, 1500, *cuts})):
        impairment.apply(cut[begin:end], start + begin)
    assert np.array_equal(whole, cut)


def test_noise_is_white_gaussian_of_the_stated_power_and_of_its_own_for_every_seed():
    noise, other = np.zeros((2, 1 << 18), np.complex64)
    Noise(0.5, [1]).apply(noise, 0)
    Noise(0.5, [2]).apply(other, 0)
    assert np.mean(np.abs(noise) ** 2) == pytest.approx(0.5, rel=0.01)
    for part in (noise.real, noise.imag):
        assert np.mean(part) == pytest.approx(0, abs=0.005)
        assert np.mean(part.astype(float) ** 4) / np.var(part) ** 2 == pytest.approx(3, abs=0.05)
        assert np.mean(np.abs(part) > 0.5 * 1.959964) == pytest.approx(0.05, abs=0.002)
    assert abs(np.mean(noise * noise)) < 0.005  # I and Q know nothing of each other
    for lag in (1, 2, 64, 512):
        assert abs(np.vdot(noise[lag:], noise[:-lag])) / len(noise) < 0.005
    assert abs(np.vdot(noise, other)) / len(noise) < 0.005


def test_a_noise_figure_is_so_much_above_thermal_noise():
    assert 10 * np.log10(thermal(1.0, 0.0, 0.0)) == pytest.approx(-173.98, abs=0.01)
    assert 10 * np.log10(thermal(11.52e6, 7.0, -20.0)) == pytest.approx(-173.98 + 70.61 + 7 + 20, abs=0.02)


def test_phase_noise_has_the_stated_power():
    """-80 dBc/Hz from 1 to 100 kHz: both sidebands together 2e-8 times 99 kHz of squared radians."""
    squares = []
    for seed in range(12):
        samples = np.ones(200_000, np.complex64)
        PhaseNoise([(1e3, -80), (1e5, -80)], RATE, [seed]).apply(samples, 12_345)
        assert np.allclose(np.abs(samples), 1, atol=1e-5)
        squares.append(np.mean(np.angle(samples) ** 2))
    assert np.mean(squares) == pytest.approx(2e-8 * 99e3, rel=0.1)


def test_an_imbalance_leaves_an_image_as_strong_as_theory_has_it():
    gain, angle = 10 ** (1.0 / 20), 0.1
    samples = np.exp(2j * np.pi * np.arange(1000) / 10).astype(np.complex64)
    Imbalance(1.0, 0.1).apply(samples, 0)
    lines = np.abs(np.fft.fft(samples)) ** 2
    image = abs(1 - gain * np.exp(1j * angle)) ** 2 / abs(1 + gain * np.exp(1j * angle)) ** 2
    assert lines[900] / lines[100] == pytest.approx(image, rel=1e-3)


def test_clipping_holds_both_parts_and_counts_the_samples():
    samples = np.array([2 + 0.1j, 0.1 - 3j, 0.2, 2 + 2j], np.complex64)
    clipping = Clipping(1)
    clipping.apply(samples, 0)
    assert np.allclose(samples, [1 + 0.1j, 0.1 - 1j, 0.2, 1 + 1j])
    assert clipping.clipped == 3


def test_a_jammer_sends_its_power_in_its_pulses_alone():
    samples = np.zeros(100_000, np.complex64)
    Jammer(2.0, [1], period=1000, on=250).apply(samples, 500)
    sending = (np.arange(500, 100_500) % 1000) < 250
    assert not samples[~sending].any()
    assert np.mean(np.abs(samples[sending]) ** 2) == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Noise(-1, [1]), "power of noise is -1"),
        (lambda: Noise(float("nan"), [1]), "power of noise is nan"),
        (lambda: Jammer(1, [1], period=5, on=6), "pulses of 6 samples every 5"),
        (lambda: Clipping(0), "clipping level is 0"),
        (lambda: Imbalance(float("inf"), 0), "I/Q imbalance"),
        (lambda: PhaseNoise([(1e3, -80)], RATE, [1]), "two or more rising"),
        (lambda: PhaseNoise([(1e3, -80), (1e6, -80)], RATE, [1]), "64th of the sample rate"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(BadInput, match=message):
        make()
