import pytest

from testbed.model import propagation

# ITU-R P.838-3 table 5: GHz, k and alpha horizontal, k and alpha vertical.
TABLE_5 = (
    (10, 0.01217, 1.2571, 0.01129, 1.2156),
    (18, 0.07078, 1.0818, 0.07708, 1.0025),
    (38, 0.4001, 0.8816, 0.3844, 0.8552),
    (80, 1.1704, 0.7115, 1.1668, 0.7021),
)


@pytest.mark.parametrize(("ghz", "kh", "ah", "kv", "av"), TABLE_5)
def test_rain_takes_what_the_table_of_p838_says(ghz, kh, ah, kv, av):
    assert propagation.rain_coefficients(ghz, "h") == pytest.approx((kh, ah), rel=1e-3)
    assert propagation.rain_coefficients(ghz, "v") == pytest.approx((kv, av), rel=1e-3)


def test_a_longer_path_a_heavier_rain_and_a_higher_carrier_each_take_more():
    fades = [
        [propagation.rain_fade(18, km, 40) for km in (1, 5, 20, 50)],
        [propagation.rain_fade(18, 10, rain) for rain in (0, 5, 50, 200)],
        [propagation.rain_fade(ghz, 10, 40) for ghz in (6, 18, 38, 80)],
    ]
    assert all(fade == sorted(fade) for fade in fades)
    assert propagation.rain_fade(18, 10, 0) == 0.0


def test_a_path_counts_as_shorter_than_it_is_where_a_cell_of_rain_is_smaller():
    k, alpha = propagation.rain_coefficients(18, "v")
    assert propagation.rain_fade(18, 30, 60) < 0.6 * 30 * k * 60**alpha


def test_modulation_falls_step_by_step_to_none():
    assert [propagation.modulation_bits(margin) for margin in (30, 17.6, 14, 3, 0, -0.1)] == [8, 8, 6, 3, 2, 0]


def test_a_satellite_overhead_is_its_height_away_and_further_off_low_above_the_horizon():
    assert propagation.slant_range(550, 90) == pytest.approx(550)
    assert propagation.slant_range(550, 0) == pytest.approx((2 * 6378.137 * 550 + 550**2) ** 0.5)
    assert propagation.slant_range(35786, 90) == pytest.approx(35786)


def test_light_is_a_third_slower_in_fibre():
    assert propagation.fibre_delay(1000) == pytest.approx(4.897e-3, rel=1e-3)
    assert propagation.air_delay(1000) == pytest.approx(3.336e-3, rel=1e-3)


def test_a_pass_is_minutes_and_shorter_above_a_higher_elevation():
    assert 4 * 60 < propagation.pass_seconds(550, 25) < 5 * 60
    assert propagation.pass_seconds(550, 10) > propagation.pass_seconds(550, 25) > propagation.pass_seconds(550, 60) > 0
