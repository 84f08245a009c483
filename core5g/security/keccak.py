"""The permutation Keccak-f[1600] (FIPS 202, 3.2 to 3.4)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

_LANE = 2**64 - 1
SIZE = 200
"""Bytes of a state."""


def permuted(state: bytes) -> bytes:
    """Return a state after the permutation.

    Args:
        state: 200 bytes, lanes of 64 bits with the lowest byte first.

    Raises:
        ValueError: it has another size.
    """
    if len(state) != SIZE:
        raise ValueError(f"a state of {len(state)} bytes: expected {SIZE}")
    lanes = [int.from_bytes(state[at : at + 8], "little") for at in range(0, SIZE, 8)]
    for constant in _CONSTANTS:
        lanes = _stepped(lanes, constant)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes)


def _stepped(a: list[int], constant: int) -> list[int]:
    """One round: theta, rho and pi, chi, iota; lane (x, y) is at x + 5 y."""
    c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
    d = [c[x - 1] ^ _turned(c[(x + 1) % 5], 1) for x in range(5)]
    b = [_turned(a[source] ^ d[source % 5], by) for source, by in _MOVES]
    a = [b[at] ^ ~b[second] & b[third] for at, second, third in _ROWS]
    a[0] ^= constant
    return a


def _turned(lane: int, by: int) -> int:
    return (lane << by | lane >> 64 - by) & _LANE


def _moves() -> list[tuple[int, int]]:
    """For each place after rho and pi: where its lane comes from, and by how much it is turned."""
    turns = {(0, 0): 0}
    x, y = 1, 0
    for step in range(24):
        turns[x, y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    sources = (((x + 3 * y) % 5, x) for y in range(5) for x in range(5))
    return [(x + 5 * y, turns[x, y]) for x, y in sources]


def _bits() -> Iterator[int]:
    """The register that makes the constants (FIPS 202, algorithm 5)."""
    register = 1
    while True:
        yield register & 1
        register <<= 1
        if register & 0x100:
            register ^= 0x171


def _constants() -> list[int]:
    bits = _bits()
    return [sum(bit << 2**place - 1 for place, bit in enumerate(islice(bits, 7))) for _ in range(24)]


_MOVES = _moves()
_ROWS = [(x + y, (x + 1) % 5 + y, (x + 2) % 5 + y) for y in range(0, 25, 5) for x in range(5)]
_CONSTANTS = _constants()
