import math
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed import units

TABLES = [units.TIME, units.RATE, units.SIZE, units.SHARE]
tables = st.sampled_from(TABLES)
numbers = st.floats(0, 1e14)


@settings(deadline=None)
@given(tables, numbers)
def test_what_is_written_is_read_back_exactly(table, value):
    assert units.parse(units.write(value, table), table, "") == value


@settings(deadline=None)
@given(tables, st.floats(-1e14, 1e14))
def test_what_is_shown_is_read_back_to_six_digits(table, value):
    assert math.isclose(units.parse(units.show(value, table), table, ""), value, rel_tol=1e-5)


@settings(deadline=None)
@given(tables, st.floats(1e-9, 1e14))
def test_what_is_shown_is_short(table, value):
    assert len(units.show(value, table)) <= 16


@pytest.mark.parametrize(
    ("text", "table", "value"),
    [
        ("10ms", units.TIME, 0.01),
        ("4.9 us", units.TIME, 4.9e-6),
        ("1.5min", units.TIME, 90.0),
        (" 1Gbit ", units.RATE, 1e9),
        ("0.1%", units.SHARE, 0.001),
        ("100%", units.SHARE, 1.0),
        ("512MiB", units.SIZE, 512 * 2**20),
        ("1e3kbit", units.RATE, 1e6),
    ],
)
def test_text_is_read_in_si(text, table, value):
    assert units.parse(text, table, "") == value


@pytest.mark.parametrize(
    ("value", "table", "text"),
    [
        (0.0102, units.TIME, "10.2ms"),
        (0.9999999, units.TIME, "1s"),
        (0.0, units.TIME, "0s"),
        (0.0, units.SHARE, "0%"),
        (0.0005, units.SHARE, "0.05%"),
        (1e8, units.RATE, "100Mbit"),
        (768 * 2**20, units.SIZE, "768MiB"),
    ],
)
def test_si_is_shown_in_the_unit_that_keeps_it_short(value, table, text):
    assert units.show(value, table) == text


@pytest.mark.parametrize("text", ["10", "", "ms", "10 parsecs", "1e999s", "nan s", "inf s", "1_0ms", "१०ms", "10msms"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="expected a"):
        units.parse(text, units.TIME, "10ms")


def test_a_slip_of_the_shift_key_is_named():
    with pytest.raises(ValueError, match="did you mean '100Mbit'"):
        units.parse("100mbit", units.RATE, "100Mbit")


@settings(deadline=None)
@given(st.text(max_size=20), tables)
def test_any_text_is_read_or_refused(text, table):
    with suppress(ValueError):
        assert math.isfinite(units.parse(text, table, "1"))
