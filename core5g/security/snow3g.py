"""SNOW 3G, a cipher of words (ETSI/SAGE, specification of UEA2 and UIA2, document 2, as in 3GPP TS 35.216)."""

from __future__ import annotations

from collections.abc import Iterator

_WORD = 0xFFFFFFFF


def _times_x(value: int, by: int) -> int:
    """Multiply by x in a field of 256 elements whose polynomial is x^8 and `by`."""
    return (value << 1 ^ by) & 255 if value & 128 else value << 1


def _times_power(value: int, power: int, by: int) -> int:
    for _ in range(power):
        value = _times_x(value, by)
    return value


def _product(one: int, other: int, by: int) -> int:
    total = 0
    for bit in range(8):
        if other >> bit & 1:
            total ^= one
        one = _times_x(one, by)
    return total


def _power(value: int, exponent: int, by: int) -> int:
    result = 1
    for _ in range(exponent):
        result = _product(result, value, by)
    return result


def _rijndael() -> list[int]:
    """S_R, the substitution of AES: inverse, then an affine map."""
    table = []
    for value in range(256):
        inverse = _power(value, 254, 0x1B)
        table.append(inverse ^ 0x63)
        for shift in range(1, 5):
            table[-1] ^= (inverse << shift | inverse >> 8 - shift) & 255
    return table


def _dickson() -> list[int]:
    """S_Q, by a Dickson polynomial over x^8 + x^6 + x^5 + x^3 + 1."""
    exponents = (1, 9, 13, 15, 33, 41, 45, 47, 49)
    table = []
    for value in range(256):
        total = 0x25
        for exponent in exponents:
            total ^= _power(value, exponent, 0x69)
        table.append(total)
    return table


def _mixed(table: list[int], by: int) -> list[list[int]]:
    """For each byte of a word, from the left, what it becomes in all four bytes."""
    columns: list[list[int]] = []
    for place in range(4):
        column = []
        for value in table:
            double = _times_x(value, by)
            parts = [double, double ^ value, value, value]  # of byte 0, in bytes 0 to 3
            shifted = parts[-place:] + parts[:-place] if place else parts
            column.append(int.from_bytes(bytes(shifted), "big"))
        columns.append(column)
    return columns


def _alpha(powers: tuple[int, ...]) -> list[int]:
    return [int.from_bytes(bytes(_times_power(one, power, 0xA9) for power in powers), "big") for one in range(256)]


_TIMES_ALPHA = _alpha((23, 245, 48, 239))
_OVER_ALPHA = _alpha((16, 39, 6, 64))
_FIRST = _mixed(_rijndael(), 0x1B)
_SECOND = _mixed(_dickson(), 0x69)


def _substituted(tables: list[list[int]], word: int) -> int:
    first, second, third, fourth = tables
    return first[word >> 24] ^ second[word >> 16 & 255] ^ third[word >> 8 & 255] ^ fourth[word & 255]


def _loaded(key: bytes, vector: bytes) -> list[int]:
    """The state before the first step; key and vector are taken from their last words on."""
    k = [int.from_bytes(key[at : at + 4], "big") for at in (12, 8, 4, 0)]
    iv = [int.from_bytes(vector[at : at + 4], "big") for at in (12, 8, 4, 0)]
    state = [one ^ _WORD for one in k] + k + [one ^ _WORD for one in k] + k
    state[15] ^= iv[0]
    state[12] ^= iv[1]
    state[10] ^= iv[2]
    state[9] ^= iv[3]
    return state


def words(key: bytes, vector: bytes) -> Iterator[int]:
    """Give the key stream, words of 32 bits.

    Args:
        key: 16 bytes. vector: 16 bytes.
    """
    s = _loaded(key, vector)
    r1 = r2 = r3 = 0
    step = 0
    while True:
        out = (s[15] + r1 & _WORD) ^ r2
        r1, r2, r3 = r2 + (r3 ^ s[5]) & _WORD, _substituted(_FIRST, r1), _substituted(_SECOND, r2)
        new = (s[0] << 8 & _WORD) ^ _TIMES_ALPHA[s[0] >> 24] ^ s[2] ^ s[11] >> 8 ^ _OVER_ALPHA[s[11] & 255]
        if step < 32:
            new ^= out
        elif step > 32:
            yield out ^ s[0]
        s = [*s[1:], new]
        step += 1
