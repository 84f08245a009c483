"""Channels that become others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.channel.base import LATENCY, Samples
from sdr.channel.change import Changing, Moving, Replaceable
from sdr.channel.fading import profile
from sdr.channel.impairments import Clipping, Noise
from sdr.channel.paths import Gain, Still, Taps
from testbed.errors import BadInput
from tests.sdr.channel.test_channels import RATE, received, sent

RAMP, REACH, LENGTH = 64, 100, 700


def changing(at: int, again: int) -> Changing:
    channel = Changing(Gain(0.5, 3), RAMP, REACH)
    channel.become(profile("TDL-A", RATE, [3], doppler=300, spread=100e-9), at)
    channel.become(Taps([2.25], Still((1j,))), again)
    return channel


def moving() -> Moving:
    return Moving(lambda count: Taps([count / 1000 % 50], Still((1 + count % 7,))), 97, REACH)


Cuts = st.lists(st.integers(1, LENGTH - 1), max_size=6)


@given(at=st.integers(0, LENGTH), later=st.integers(0, 2 * RAMP), cuts=Cuts, start=st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_the_cutting_into_blocks_changes_no_bit_of_a_change(at, later, cuts, start):
    line = sent(REACH + LENGTH)
    whole = received(changing(at, at + later), line, start, [])
    assert np.array_equal(whole, received(changing(at, at + later), line, start, cuts))


@given(cuts=Cuts, start=st.integers(0, 2**40))
@settings(max_examples=15, deadline=None)
def test_nor_of_a_channel_that_moves(cuts, start):
    line = sent(REACH + LENGTH)
    assert np.array_equal(received(moving(), line, start, []), received(moving(), line, start, cuts))


def test_a_change_goes_in_a_straight_line_from_one_channel_to_the_other():
    channel = Changing(Gain(1.0), 100, REACH)
    channel.become(Gain(-3.0), 50)
    heard = received(channel, np.ones(REACH + 300, np.complex64), 0, [77, 99])
    assert np.allclose(heard[:51], 1)
    assert np.allclose(heard[50:150], 1 - 4 * np.arange(100) / 100)
    assert np.allclose(heard[150:], -3)


def test_changes_on_top_of_each_other_end_at_the_last():
    channel = Changing(Gain(1.0), 100, REACH)
    for gain in (5.0, 2.0, 0.25):
        channel.become(Gain(gain), 30)
    heard = received(channel, np.ones(REACH + 300, np.complex64), 0, [50])
    assert np.abs(np.diff(heard)).max() < 0.15
    assert np.array_equal(heard[130:], np.full(170, 0.25, np.complex64))


def test_a_channel_longer_than_the_memory_is_refused_and_changes_nothing():
    channel = Changing(Gain(1.0), RAMP, REACH)
    with pytest.raises(BadInput, match=f"{REACH + 1 + LATENCY} samples; expected {REACH} at most"):
        channel.become(Gain(2.0, REACH + 1), 0)
    assert np.allclose(received(channel, np.ones(REACH + 200, np.complex64), 0, []), 1)


@given(cuts=Cuts)
def test_front_ends_change_at_the_sample(cuts):
    def done() -> Samples:
        front = Replaceable(())
        front.become((Noise(1.0, [1]), Clipping(0.5)), 100)
        front.become((Noise(1.0, [1]),), 400)
        samples = np.zeros(LENGTH, np.complex64)
        for begin, end in zip([0, *sorted(set(cuts))], [*sorted(set(cuts)), LENGTH], strict=True):
            front.apply(samples[begin:end], begin)
        return samples

    samples, pure = done(), np.zeros(LENGTH, np.complex64)
    Noise(1.0, [1]).apply(pure, 0)
    assert not samples[:100].any()
    assert np.array_equal(samples[100:400].real, np.clip(pure[100:400].real, -0.5, 0.5))
    assert np.array_equal(samples[400:], pure[400:])
