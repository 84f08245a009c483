"""Values that messages have in common go there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core5g.nas.values import STmsi
from core5g.ngap import values
from core5g.ngap.errors import NgapError
from tests.core5g.nas.drawn import AREA, POINTER, SLICE


@given(SLICE, AREA, st.integers(0, 2**36 - 1), st.builds(STmsi, *POINTER), st.binary(min_size=32, max_size=32))
def test_what_is_made_is_read(one, area, cell, temporary, key):
    assert values.slice_of(values.slice_value(one)) == one
    assert values.area_of(values.area_value(area)) == area
    assert values.location_of(values.location_value(cell, area)) == (cell, area)
    assert values.temporary_of(values.temporary_value(temporary)) == temporary
    assert values.key_of(values.key_value(key)) == key


@given(st.ip_addresses(), st.integers(0, 2**32 - 1))
def test_tunnels_are_read(address, teid):
    assert values.tunnel_of(values.tunnel_value(address, teid)) == (address, teid)


def test_what_is_none_is_refused():
    with pytest.raises(NgapError, match="31 bits"):
        values.address_of((1, 31))
    with pytest.raises(NgapError, match="decimal"):
        values.plmn_of(b"\xff\xff\xff")
    with pytest.raises(NgapError, match="expected one of NR"):
        values.location_of(("userLocationInformationEUTRA", {}))
