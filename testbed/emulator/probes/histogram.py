"""Times counted in classes of two digits' width, so that any number of packets takes no memory to speak of."""

from __future__ import annotations

_BITS = 7


def bucket(value: int) -> int:
    """Return the middle of the class that a number of nanoseconds falls in; less than 0.8 % from it."""
    if value < 0:
        return -bucket(-value)  # a clock may be wrong; the classes are as far from zero on either side
    shift = value.bit_length() - _BITS
    return value if shift <= 0 else (value >> shift << shift) + (1 << shift >> 1)
