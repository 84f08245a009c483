"""From what a person wrote to what samples meet."""

from itertools import pairwise
from math import log10

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdr.broker.air import Air
from sdr.broker.scenario import Scenario
from sdr.channel.base import LATENCY
from sdr.channel.pathloss import free_space
from testbed.errors import BadInput
from testbed.model.load import loads
from testbed.model.propagation import LIGHT

RATE = 1e6
DOWN, UP = ("gnb tx0", "ue rx0"), ("ue tx0", "gnb rx0")
TEXT = """\
rate: 1MHz
seed: 5
{scenario}
cells: {{gnb: {{transmit: "tcp://127.0.0.1:2000", receive: "tcp://127.0.0.1:2001", {cell}}}}}
ues: {{ue: {{transmit: "tcp://127.0.0.1:2101", receive: "tcp://127.0.0.1:2100", {ue}}}}}
channels: {{gnb: {{ue: {{{pair}}}}}}}
"""


def scenario(pair="", scenario="", cell="", ue=""):
    return loads(TEXT.format(pair=pair, scenario=scenario, cell=cell, ue=ue), Scenario)


def heard(air: Air, samples, way=DOWN, start=0, cuts=()):
    """What arrives of samples that begin at count `start`, after silence."""
    channel, out = air.channels[way], np.zeros(len(samples), np.complex64)
    line = np.concatenate([np.zeros(channel.reach, np.complex64), samples])
    for begin, end in pairwise([0, *cuts, len(samples)]):
        channel.add(line[begin : end + channel.reach], start + begin, out[begin:end])
    return out


def pulse(length=200, at=0):
    samples = np.zeros(length, np.complex64)
    samples[at] = 1
    return samples


@pytest.mark.parametrize(
    ("pair", "at", "gain"),
    [
        ("", 0, 1),
        ("gain: -20dB", 0, 0.1),
        ("gain: -20dB, blockage: 20dB", 0, 0.01),
        ("delay: 7us", 7, 1),
        ("delay: 7us, gain: 6dB", 7, 10**0.3),
        ("delay: 7us, taps: [{delay: 3us, phase: 90}]", 10, 1j),
        ("delay: 7us, gain: -20dB, k: 400dB, doppler: 1Hz", 7, None),
        ("delay: 7us, gain: -20dB, profile: NTN-TDL-D, spread: 1us", 7, None),
    ],
)
def test_a_pair_has_the_gain_and_the_delay_that_are_written(pair, at, gain):
    air = Air(scenario(pair))
    for way in (DOWN, UP):
        arrived = heard(air, pulse(), way)
        assert np.argmax(np.abs(arrived)) == at + LATENCY
        if gain is not None:
            assert np.allclose(arrived, gain * pulse(at=at + LATENCY), atol=1e-6)


def test_powers_and_full_scales_count_besides():
    air = Air(scenario("gain: -30dB", cell="power: 20dBm, full_scale: -25dBm", ue="power: 10dBm, full_scale: -40dBm"))
    for way, db in ((DOWN, 20 - 30 + 40), (UP, 10 - 30 + 25)):
        assert np.abs(heard(air, pulse(), way)).max() == pytest.approx(10 ** (db / 20))


def test_positions_decide_loss_and_delay():
    air = Air(scenario("gain: 3dB", "carrier: 2GHz", "position: [0, 0, 30]", "position: [3000, 4000, 30]"))
    arrived = heard(air, np.exp(0.2j * np.arange(300)).astype(np.complex64))[100:]
    delay = 5000 / LIGHT * RATE + LATENCY
    expected = 10 ** ((3 - free_space(5000, 2e9)) / 20) * np.exp(0.2j * (np.arange(100, 300) - delay))
    assert np.allclose(arrived, expected, rtol=1e-3)


@pytest.mark.parametrize("model", ["UMa", "UMi", "RMa", "InH-mixed", "InH-open", "log-distance"])
def test_every_path_loss_can_be_asked_for(model):
    text = {"scenario": f"carrier: 3.5GHz\nmodel: {model}\nshadowing: false", "cell": "position: [0, 0, 10]"}
    losses = [
        -20 * log10(np.abs(heard(Air(scenario("sight: false", ue=f"position: [{x}, 0, 1.5]", **text)), pulse())).max())
        for x in (20, 90)
    ]
    assert 50 < losses[0] + 10 < losses[1] < 140


def test_a_radio_that_moves_away_is_heard_at_a_lower_frequency_without_a_break():
    speed, carrier = 300.0, 10e9
    air = Air(
        scenario(
            "", f"carrier: {carrier / 1e9}GHz", "position: [0, 0, 9]", "position: [900, 0, 9], velocity: [300, 0, 0]"
        )
    )
    samples = np.ones(60_000, np.complex64)
    arrived = heard(air, samples, cuts=(1000, 33_333))[200:]
    turns = np.angle(arrived[1:] / arrived[:-1]) / (2 * np.pi) * RATE
    assert np.allclose(turns, -speed * carrier / LIGHT, rtol=0.02)
    start, end = (10 ** (-free_space(900 + speed * t, carrier) / 20) for t in (0, 0.06))
    assert np.abs(arrived[0]) == pytest.approx(start, rel=3e-3)
    assert np.abs(arrived[-1]) == pytest.approx(end, rel=3e-3)


def test_waypoints_lead_along_and_end():
    points = ((0, 100), (20, 200), (40, 200))
    way = f"waypoints: [{', '.join(f'{{at: {at}ms, position: [{x}, 0, 9]}}' for at, x in points)}]"
    air = Air(scenario("", "carrier: 1GHz\nmotion: 1ms", "position: [0, 0, 9]", way))
    arrived = np.abs(heard(air, np.ones(60_000, np.complex64)))
    for count, length in ((1000, 105), (10_000, 150), (30_000, 200), (55_000, 200)):
        assert arrived[count] == pytest.approx(10 ** (-free_space(length, 1e9) / 20), rel=3e-3)


def test_what_fades_one_way_fades_the_other_way():
    air = Air(scenario("profile: TDL-A, spread: 1us, doppler: 50Hz"))
    samples = np.exp(1j * np.arange(3000)).astype(np.complex64)
    assert np.array_equal(heard(air, samples), heard(air, samples, UP))


def test_another_seed_fades_differently_and_the_same_one_alike():
    written = scenario("profile: TDL-A, spread: 1us, doppler: 50Hz")
    one, same, other = (heard(Air(s), pulse()) for s in (written, written, written.model_copy(update={"seed": 6})))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other, atol=0.01)


@pytest.mark.parametrize(("receiver", "power"), [
    ("noise: {level: -30dB}", 1e-3), ("noise: {snr: 20dB, signal: -10dB}", 1e-3),
    ("noise: {figure: 6dB}", 10 ** (-(174 - 60 - 6 + 0.02) / 10) * 1e10), ("jammer: {power: -20dB, tone: 10kHz}", 1e-2),
])  # fmt: skip
def test_a_receiver_has_the_noise_that_is_written(receiver, power):
    scale = ", full_scale: -100dBm" if "figure" in receiver else ""
    air = Air(scenario(ue=f"receiver: {{{receiver}}}{scale}"))
    samples = np.zeros(200_000, np.complex64)
    air.impairments["ue rx0"].apply(samples, 0)
    assert np.mean(np.abs(samples) ** 2) == pytest.approx(power, rel=0.02)
    air.impairments["gnb rx0"].apply(quiet := np.zeros(100, np.complex64), 0)
    assert not quiet.any()


def test_the_rest_of_a_front_end_is_there():
    front = "offset: 1kHz, imbalance: {gain: 1dB, angle: 2}, clip: 0.5"
    front += ", phase_noise: [{offset: 100Hz, density: -60dB}, {offset: 10kHz, density: -90dB}]"
    air = Air(scenario(ue=f"receiver: {{{front}}}"))
    samples = np.ones(100_000, np.complex64)
    air.impairments["ue rx0"].apply(samples, 0)
    assert max(abs(samples.real).max(), abs(samples.imag).max()) == 0.5
    assert (
        np.argmax(np.abs(np.fft.fft(samples))) == 100_000 - 100
    )  # the carrier seems lower to an oscillator that is high


@given(at=st.integers(0, 2000), cut=st.integers(1, 2999))
@settings(max_examples=10, deadline=None)
def test_a_change_comes_into_force_at_its_sample_however_blocks_are_cut(at, cut):
    fading = "profile: TDL-A, spread: 1us, doppler: 50Hz"

    def run(cuts):
        air = Air(scenario("gain: -6dB"))
        air.become(scenario(fading), at)
        return heard(air, np.ones(3000, np.complex64), cuts=cuts)

    whole = run(())
    assert np.array_equal(whole, run((cut,)))
    assert np.allclose(whole[LATENCY:at], 10**-0.3)
    assert np.allclose(
        whole[at + 100 :],
        heard(Air(scenario("profile: TDL-A, spread: 1us, doppler: 50Hz")), np.ones(3000, np.complex64))[at + 100 :],
    )


def test_a_change_that_cannot_be_changes_nothing():
    air = Air(before := scenario("gain: -6dB"))
    with pytest.raises(BadInput, match=r"expected 1000 at most.*memory"):
        air.become(scenario("gain: 6dB, delay: 2ms"), 0)
    assert air.scenario is before
    assert np.abs(heard(air, pulse())).max() == pytest.approx(10**-0.3)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"pair": "profile: TDL-X"}, "did you mean 'TDL-"),
        ({"pair": "profile: TDL-A"}, "expected a delay spread beside it"),
        ({"pair": "profile: EPA, spread: 1us"}, "channels.gnb.ue.spread"),
        ({"pair": "profile: EPA, k: 3dB"}, "there is profile already"),
        ({"pair": "doppler: 5Hz"}, "expected paths that fade beside it"),
        ({"pair": "taps: []"}, "taps"),
        ({"pair": "taps: [{gain: .nan}]"}, "taps[0].gain"),
        ({"ue": "receiver: {noise: {}}"}, "expected one of figure, level and snr"),
        ({"ue": "receiver: {noise: {figure: -1dB}}"}, "noise.figure"),
        ({"ue": "receiver: {noise: {figure: 1dB, level: -3dB}}"}, "there is figure already"),
        ({"ue": "receiver: {noise: {figure: 1dB, signal: -3dB}}"}, "expected snr beside it"),
        ({"ue": "receiver: {clip: 0}"}, "receiver.clip"),
        ({"ue": "receiver: {jammer: {power: 0dB, on: 1ms}}"}, "expected both period and on"),
        ({"ue": "position: [1, 2, 3]"}, "expected the scenario's carrier too"),
        ({"ue": "velocity: [1, 2, 3]"}, "expected a position beside it"),
        ({"ue": "position: [1, 2]"}, "position"),
        ({"ue": "waypoints: [{at: 1s, position: [1, 2, 3]}, {at: 1s, position: [1, 2, 3]}]"}, "after the one before"),
        ({"scenario": "reference: 3dB"}, "expected model: log-distance beside it"),
        ({"scenario": "memory: 100s"}, "at most at this rate"),
        ({"scenario": "ramp: 1ns"}, "the time of one sample at least"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(parts, said):
    with pytest.raises(BadInput) as refused:
        scenario(**parts)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"pair": "profile: EPA, doppler: 20kHz"}, "channel from gnb to ue: Doppler shift is 0.02"),
        ({"pair": "recorded: nowhere.npz"}, "channel from gnb to ue: nowhere.npz"),
        (
            {"ue": "receiver: {phase_noise: [{offset: 2kHz, density: -3dB}, {offset: 1kHz, density: -3dB}]}"},
            "receiver of ue",
        ),
        (
            {"scenario": "carrier: 2GHz\nmodel: UMa", "cell": "position: [0, 0, 25]", "ue": "position: [100, 0, 20]"},
            "gnb to ue at 0 s: user's height is 20",
        ),
    ],
)
def test_what_cannot_be_built_is_refused_with_its_pair(parts, said):
    with pytest.raises(BadInput) as refused:
        Air(scenario(**parts))
    assert said in str(refused.value)
