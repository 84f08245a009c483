"""Every kind of channel, against the contract and against arithmetic in double precision."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.channel import kernel
from sdr.channel.antennas import pairs
from sdr.channel.base import LATENCY, Samples
from sdr.channel.delays import BAND, LENGTH, fractional
from sdr.channel.fading import Fading, profile
from sdr.channel.paths import Gain, Shifted, Still, Taps
from testbed.errors import BadInput

RATE = 11.52e6
CHANNELS = {
    "gain": Gain(0.5, 7),
    "complex gain": Gain(0.5 - 0.25j),
    "taps": Taps([0, 3.3, 17, 40.75], Still((1, 0.5j, -0.25, 0.1))),
    "fading": Taps([0, 3.3, 17], Fading([1, 0.5, 0.1], 1e-3, [1, 2])),
    "profile": profile("TDL-D", RATE, [3], doppler=300, spread=100e-9),
    "merged": profile("TDL-A", RATE, [3], doppler=300, spread=100e-9),
    "antennas": pairs("TDL-D", RATE, [3], (2, 2), "medium", doppler=300, spread=100e-9)[1][0],
    "shifted": Shifted(Taps([2.5], Fading([1], 1e-4, [5])), 0.01),
}


def sent(n: int, seed: int = 0) -> np.ndarray:
    parts = np.random.default_rng(seed).standard_normal(2 * n, dtype=np.float32)
    return parts.view(np.complex64)


@dataclass
class Picked:
    """One path's gains out of several."""

    gains: Fading
    number: int

    @property
    def step(self) -> int:
        return self.gains.step

    def at(self, first: int, count: int) -> Samples:
        return np.ascontiguousarray(self.gains.at(first, count)[:, self.number : self.number + 1])


def received(channel, line: np.ndarray, start: int, cuts: list[int]) -> np.ndarray:
    """What arrives of `line`, whose first `reach` samples are the past, in blocks that end at `cuts`."""
    reach, out = channel.reach, np.zeros(len(line) - channel.reach, np.complex64)
    edges = sorted({0, len(out), *(cut for cut in cuts if cut < len(out))})
    for begin, end in pairwise(edges):
        channel.add(line[begin : end + reach], start + begin, out[begin:end])
    return out


@pytest.mark.parametrize("name", CHANNELS)
@given(start=st.integers(0, 2**40), cuts=st.lists(st.integers(1, 699), max_size=6))
@settings(max_examples=15, deadline=None)
def test_the_cutting_into_blocks_changes_no_bit(name, start, cuts):
    channel = CHANNELS[name]
    line = sent(channel.reach + 700)
    whole = received(channel, line, start, [])
    assert np.array_equal(whole, received(channel, line, start, cuts))


@pytest.mark.parametrize("name", CHANNELS)
def test_it_is_linear_causal_and_looks_no_further_than_its_reach(name):
    channel = CHANNELS[name]
    line = sent(channel.reach + 300)
    out = np.ones(300, np.complex64)
    channel.add(line, 0, out)
    assert np.allclose(out - 1, received(channel, line, 0, []), atol=1e-5)
    assert np.allclose(received(channel, 2 * line, 0, []), 2 * received(channel, line, 0, []), atol=1e-4)
    longer = np.concatenate([sent(50, 9), line])
    again = np.zeros(300, np.complex64)
    channel.add(longer, 0, again)
    assert np.array_equal(again, received(channel, line, 0, []))


def test_a_gain_is_a_product_and_a_delay():
    line = sent(500)
    out = received(Gain(0.3 + 0.4j, 5), line, 0, [])
    assert np.allclose(out, (0.3 + 0.4j) * line[: -5 - LATENCY][-len(out) :], atol=1e-6)


def test_a_delay_of_0_of_a_tap_comes_at_the_latency():
    line = sent(100)
    out = received(Taps([0.0, 2.0], Still((1, 0))), line, 0, [])
    assert np.array_equal(out, line[2 : 2 + len(out)])


@given(st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_fractional_delay_is_right_within_a_nanosecond_and_a_twentieth_of_a_decibel(fraction):
    f = np.linspace(0.002, BAND, 400)
    response = np.exp(-2j * np.pi * np.outer(f, np.arange(LENGTH))) @ fractional(fraction)
    error = response * np.exp(2j * np.pi * f * (LATENCY - 1 + fraction))
    assert np.abs(20 * np.log10(np.abs(error))).max() < 0.03
    assert (np.abs(np.angle(error)) / (2 * np.pi * f)).max() / 1.92e6 < 0.5e-9


def test_a_tone_comes_through_moving_taps_as_theory_has_it():
    """Two fractional paths, gains that change: the tone is weighed by each path's gain and phase, at every sample."""
    fading, delays, turns, n = Fading([1, 0.5], 1e-3, [7]), [4.25, 9.6], 0.11, 3000
    channel = Taps(delays, fading)
    counts = np.arange(-channel.reach, n)
    out = received(channel, np.exp(2j * np.pi * turns * counts).astype(np.complex64), 0, [])
    steps = np.arange(n) / fading.step
    gains = fading.at(0, int(steps[-1]) + 2)
    wanted = sum(
        np.interp(steps, np.arange(len(gains)), gains[:, k])
        * np.exp(2j * np.pi * turns * (np.arange(n) - delay - LATENCY))
        for k, delay in enumerate(delays)
    )
    filters_error = 0.003  # 0.026 dB, of every path
    assert np.abs(out - wanted).max() < filters_error * np.abs(gains).max(axis=0).sum()


def test_lines_between_updates_are_a_thousandth_off_at_most_and_do_not_click():
    fine, coarse = Fading([1], 1e-4, [3]), Fading([1], 1e-4, [3])
    fine.step = 1
    n = 5 * coarse.step
    steps = np.arange(n) / coarse.step
    drawn = np.interp(steps, np.arange(7), coarse.at(0, 7)[:, 0])
    assert np.abs(drawn - fine.at(0, n)[:, 0]).max() < 1.5e-3
    assert np.abs(np.diff(drawn)).max() < 2 * np.pi * 1e-4 * 6


def test_many_paths_in_one_filter_do_what_they_do_one_by_one():
    delays = [*np.arange(14) / 3, 20, 21.5, 30]
    gains = Fading([1] * len(delays), 1e-3, [7])
    merged, line = Taps(delays, gains), sent(2000)
    together = np.zeros(1000, np.complex64)
    merged.add(line, 123, together)
    alone = np.zeros(1000, np.complex64)
    for number, delay in enumerate(delays):
        path = Taps([delay], Picked(gains, number))
        path.add(line, 123, alone)
    assert merged.reach % LENGTH == LENGTH - 1  # it is one filter
    assert np.abs(together - alone).max() < 1e-5 * len(delays)


def test_a_shift_is_exact_after_a_day():
    start = int(RATE * 86_400)
    channel = Shifted(Gain(1), 0.125)
    out = received(channel, np.ones(channel.reach + 100, np.complex64), start, [])
    wanted = np.exp(2j * np.pi * ((np.arange(start, start + 100) * 0.125) % 1))
    assert np.abs(out - wanted).max() < 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gain(float("nan")), "gain is .*expected a finite"),
        (lambda: Gain(1, -1), "delay is -1 samples"),
        (lambda: Taps([1, 2], Still((1,))), "2 delays and 1 gains"),
        (lambda: Taps([], Still(())), "at least one path"),
        (lambda: Taps([float("inf")], Still((1,))), "delay is inf"),
        (lambda: Fading([1], 0.5, [1]), "Doppler shift is 0.5"),
        (lambda: Fading([-1], 0, [1]), "powers of paths"),
        (lambda: profile("TDL-F", RATE, [1]), "did you mean 'TDL-"),
        (lambda: profile("TDL-A", RATE, [1]), "needs one in seconds"),
        (lambda: profile("EVA", RATE, [1], spread=1e-7), "leave it out"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(BadInput, match=message):
        make()


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # Random123's known answers
        (0, 0, (0xFF1DAE59, 0x6CD10DF2)),
        (2**64 - 1, 2**32 - 1, (0x2C3F628B, 0xAB4FD7AD)),
        (0x85A308D3243F6A88, 0x13198A2E, (0xDD7CE038, 0xF62A4C12)),
    ],
)
def test_philox_gives_the_known_answers(counter, key, words):
    bits = int(kernel.philox(np.uint64(counter), np.uint64(key)))
    assert (bits & 0xFFFFFFFF, bits >> 32) == words
