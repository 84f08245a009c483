"""The bytes of STAMP packets against the layouts of RFC 8762 4.2.1 (figure 2) and 4.3.1 (figure 5), read by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.emulator.probes import wire

NANOSECONDS = st.integers(0, (3 * (1 << 31) - 2_208_988_800) * 10**9 - 1)  # to the end of the 68 years after 2036


def number(data: bytes, start: int, length: int) -> int:
    return int.from_bytes(data[start : start + length], "big")


def test_a_senders_packet_is_laid_out_as_the_rfc_draws_it():
    data = wire.pack_sender(wire.SenderPacket(7, 1_500_000_000_500_000_000, 0x0587, 0xBEEF), 44)
    assert len(data) == 44
    assert number(data, 0, 4) == 7
    assert number(data, 4, 4) == 1_500_000_000 + 2_208_988_800  # seconds since 1900 (RFC 868)
    assert number(data, 8, 4) == 1 << 31  # half a second
    assert number(data, 12, 2) == 0x0587
    assert number(data, 14, 2) == 0xBEEF  # SSID, RFC 8972 3
    assert data[16:] == bytes(28)  # must be zero


def test_padding_fills_up_to_the_size_with_zeros():
    data = wire.pack_sender(wire.SenderPacket(1, 0, 1, 1), 200)
    assert len(data) == 200
    assert data[16:] == bytes(184)


def test_a_reflectors_packet_is_laid_out_as_the_rfc_draws_it():
    sent = wire.pack_sender(wire.SenderPacket(9, 10**18, 0x0587, 0xBEEF), 60)
    data = wire.reflect(
        sent, sequence=3, received=10**18 + 2 * 10**9, ttl=251, estimate=0x0102, transmitted=10**18 + 3 * 10**9
    )
    assert len(data) == 60
    assert number(data, 0, 4) == 3  # its own sequence number: stateful
    assert number(data, 4, 4) == 10**9 + 3 + 2_208_988_800
    assert number(data, 12, 2) == 0x0102
    assert number(data, 14, 2) == 0xBEEF
    assert number(data, 16, 4) == 10**9 + 2 + 2_208_988_800
    assert number(data, 24, 4) == 9
    assert data[28:38] == sent[4:14]  # the sender's timestamp and error estimate, bit for bit
    assert data[38:40] == bytes(2)
    assert data[40] == 251
    assert data[41:] == bytes(19)


@given(NANOSECONDS)
def test_ntp_time_and_back_stays_within_a_nanosecond(moment):
    assert abs(wire.from_ntp(wire.to_ntp(moment)) - moment) <= 1


def test_a_timestamp_after_the_rollover_of_2036_is_read_right():
    after = 2_085_978_496 * 10**9 + 5 * 10**8  # 2036-02-07T06:28:16.5Z, half a second into era 1
    assert wire.to_ntp(after) == 1 << 31
    assert wire.from_ntp(1 << 31) == after


@given(st.floats(1e-12, 1e3))
def test_an_error_estimate_is_never_zero_and_never_smaller_than_the_error(seconds):
    field = wire.error_estimate(seconds)
    scale, multiplier = field >> 8 & 0x3F, field & 0xFF
    assert multiplier > 0
    assert field >> 14 == 0  # not synchronised to UTC, NTP format
    assert multiplier * 2.0**-32 * 2.0**scale >= seconds * (1 - 1e-9)
    assert multiplier * 2.0**-32 * 2.0**scale <= seconds * 1.02 + 2.0**-32


def test_the_synchronised_bit_is_the_topmost():
    assert wire.error_estimate(1e-6, synchronised=True) == 0x8000 | wire.error_estimate(1e-6)


def test_too_short_packets_are_no_test_packets():
    assert wire.unpack_sender(bytes(43)) is None
    assert wire.unpack_reflector(bytes(43)) is None


@given(st.binary(min_size=44, max_size=1500))
def test_any_bytes_of_the_right_length_are_read_without_an_error(data):
    assert wire.unpack_sender(data) is not None
    assert (
        wire.unpack_reflector(wire.reflect(data, sequence=0, received=0, ttl=0, estimate=1, transmitted=0)) is not None
    )
