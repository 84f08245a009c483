"""Profiles, Doppler spectra, correlated antennas and records: statistics against theory."""

import numpy as np
import pytest

from sdr.channel.antennas import LEVELS, Antennas, pairs, side
from sdr.channel.base import LATENCY
from sdr.channel.fading import Fading, rician
from sdr.channel.paths import Taps
from sdr.channel.profiles import PROFILES
from sdr.channel.recorded import read
from testbed.errors import BadInput

STATED = {"EPA": 43e-9, "EVA": 357e-9, "ETU": 991e-9, "TDLA30": 30e-9, "TDLB100": 100e-9, "TDLC300": 300e-9}


def bessel(x: np.ndarray) -> np.ndarray:
    """J0, from its integral."""
    return np.cos(np.multiply.outer(x, np.sin(np.linspace(0, np.pi, 400, endpoint=False)))).mean(axis=-1)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_has_the_delay_spread_that_its_clause_states(name):
    """A slip in any of a table's numbers would show here: TR 38.901's and TR 38.811's are normalised to 1."""
    assert PROFILES[name].spread() == pytest.approx(STATED.get(name, 1.0), rel=0.02)


def test_the_autocorrelation_is_jakes_and_the_mean_power_the_stated_one():
    doppler, runs = 1e-3, 60
    steps = np.arange(0, 3, 0.1)
    products, power = np.zeros(len(steps), complex), 0.0
    for seed in range(runs):
        fading = Fading([0.7], doppler, [seed])
        fading.step = 100  # a tenth of a Doppler period
        gains = fading.at(0, 2000)[:, 0].astype(complex)
        power += np.mean(np.abs(gains) ** 2) / runs
        products += [np.vdot(gains[: 2000 - k], gains[k:]) / (2000 - k) / runs for k in range(len(steps))]
    assert power == pytest.approx(0.7, rel=0.02)
    assert np.abs(products / 0.7 - bessel(2 * np.pi * steps)).max() < 0.03


def test_gains_are_rayleigh_and_independent_of_path_and_seed():
    gains = np.concatenate([Fading([1, 1], 1e-3, [seed]).at(0, 500) for seed in range(100)])
    powers = np.abs(gains) ** 2
    assert np.mean(powers < 0.1) == pytest.approx(1 - np.exp(-0.1), abs=0.012)
    assert abs(np.vdot(gains[:, 0], gains[:, 1])) / len(gains) < 0.03


def test_the_direct_part_is_as_strong_as_k_says():
    gains = np.array([rician(4.0, 0.0, [seed]).at(0, 1)[0, 0] for seed in range(4000)])
    powers = np.abs(gains) ** 2
    assert powers.mean() == pytest.approx(1, rel=0.04)
    assert powers.var() == pytest.approx(1 - (4 / 5) ** 2, rel=0.1)


@pytest.mark.parametrize("level", LEVELS)
def test_antennas_are_correlated_as_the_tables_have_it(level):
    alpha, beta = LEVELS[level]
    wanted = np.kron(side(2, alpha), side(2, beta))
    draws = []
    for seed in range(800):
        antennas = Antennas(Fading([1.0] * 4, 0.0, [seed]), 2, 2, level)
        draws.append([antennas.pair(base, user).at(0, 1)[0, 0] for base in range(2) for user in range(2)])
    gains = np.array(draws)
    assert np.abs(gains.conj().T @ gains / len(gains) - wanted).max() < 0.12


def test_pairs_share_their_direct_path_and_keep_their_power():
    powers, products = [], []
    for seed in range(600):
        channels = pairs("NTN-TDL-D", 1e6, [seed], (2, 2), "low", spread=1e-6, gain=0.5)
        first, other = (channels[b][u].gains.at(0, 1)[0] for b, u in ((0, 0), (1, 1)))
        powers.append(np.sum(np.abs(first) ** 2))
        products.append(first[0] * other[0].conj())
    direct = PROFILES["NTN-TDL-D"].powers()[1]
    assert np.mean(powers) == pytest.approx(0.25, rel=0.05)
    assert np.mean(products).real == pytest.approx(0.25 * direct, rel=0.05)


def test_four_antennas_have_the_exponents_of_the_table():
    assert np.allclose(side(4, 0.9)[0], [1, 0.9 ** (1 / 9), 0.9 ** (4 / 9), 0.9])
    assert np.allclose(side(4, 0.0), np.eye(4))


def test_a_record_is_played_with_straight_lines_between_its_updates(tmp_path):
    path = tmp_path / "taps.npz"
    np.savez(path, delays=[0, 2e-6], gains=[[1, 0], [0, 1j]], period=1e-3)
    channel = read(path, 1e6)
    out = np.zeros(2000, np.complex64)
    channel.add(np.ones(channel.reach + 2000, np.complex64), 0, out)
    share = np.minimum(np.arange(2000) / 1000, 1)
    assert channel.reach == 2 + LATENCY
    assert np.allclose(out, 1 - share + 1j * share, atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"delays": [0.0]}, "no array called 'gains'"),
        ({"delays": [0.0], "gains": [[1, 2]], "period": 1e-3}, r"gains \(1, 2\)"),
        ({"delays": [0.0], "gains": [[1], [np.nan]], "period": 1e-3}, "update 1, path 0 is"),
        ({"delays": [0.0], "gains": [[1]], "period": 1.5e-6}, "1.5 samples"),
        ({"delays": [-1.0], "gains": [[1]], "period": 1e-3}, "delay is -"),
    ],
)
def test_a_record_that_cannot_be_played_is_refused(tmp_path, fields, message):
    np.savez(tmp_path / "taps.npz", **fields)
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "taps.npz", 1e6)


@pytest.mark.parametrize("text", [b"", b"PK\x03\x04 not a zip", b"delays: [1]"])
def test_what_is_no_record_is_refused(tmp_path, text):
    (tmp_path / "taps.npz").write_bytes(text)
    with pytest.raises(BadInput, match="can't be read"):
        read(tmp_path / "taps.npz", 1e6)


def test_taps_and_records_of_unequal_numbers_are_refused():
    with pytest.raises(BadInput, match="1 delays and 2 gains"):
        Taps([0.0], Fading([1, 1], 0.0, [1]))
