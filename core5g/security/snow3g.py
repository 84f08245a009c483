"""SNOW 3G and what is built on it: UEA2 and UIA2 (ETSI/SAGE, documents 1 and 2; 3GPP TS 35.215 and 35.216)."""

from __future__ import annotations

import struct
from functools import cache
from itertools import chain, islice, repeat

from core5g.security.octets import xor

_WORD = 0xFFFFFFFF
_ROUNDS = 32
"""Steps between loading and the first word."""
_LONG = 2**64 - 1

Table = tuple[int, ...]


def keystream(key: bytes, vector: bytes, count: int) -> list[int]:
    """Return the first words of the key stream.

    Args:
        key: 16 bytes. vector: 16 bytes. count: how many words of 32 bits.
    """
    (a, b, c, d), (e, f, g, h), times, over = _tables()
    s = _loaded(key, vector)
    # The register is a list that grows at its end; its taps are read by iterators that follow it, and `first`
    # says when to stop.
    taps = [islice(s, at, None) for at in (0, 2, 5, 11, 15)]
    first = chain(repeat(_WORD, _ROUNDS), repeat(0, count + 1))
    r1 = r2 = r3 = 0
    words = []
    for loading, s0, s2, s5, s11, s15 in zip(first, *taps):  # noqa: B905
        out = (s15 + r1 & _WORD) ^ r2
        words.append(out ^ s0)
        s.append((s0 << 8 & _WORD) ^ times[s0 >> 24] ^ s2 ^ s11 >> 8 ^ over[s11 & 255] ^ (out & loading))
        total = r2 + (r3 ^ s5) & _WORD
        r3 = e[r2 >> 24] ^ f[r2 >> 16 & 255] ^ g[r2 >> 8 & 255] ^ h[r2 & 255]
        r2 = a[r1 >> 24] ^ b[r1 >> 16 & 255] ^ c[r1 >> 8 & 255] ^ d[r1 & 255]
        r1 = total
    return words[_ROUNDS + 1 :]


def uea2(key: bytes, count: int, bearer: int, direction: int, data: bytes) -> bytes:
    """Encrypt or, which is the same, decrypt (128-NEA1).

    Args:
        key: 16 bytes. count: 32 bits. bearer: 5 bits. direction: 0 up, 1 down.
    """
    head = count.to_bytes(4, "big") + bytes((bearer << 3 | direction << 2, 0, 0, 0))
    size = -(-len(data) // 4)
    return xor(data, struct.pack(f">{size}I", *keystream(key, head + head, size))[: len(data)])


def uia2(key: bytes, count: int, fresh: int, direction: int, data: bytes, *, bits: int | None = None) -> bytes:
    """Return the code of a message, 4 bytes; 128-NIA1 is this with the bearer as the first bits of `fresh`.

    Args:
        key: 16 bytes. count: 32 bits. fresh: 32 bits. direction: 0 up, 1 down.
        bits: how many of the message count, if its last byte is not whole; the others are 0.
    """
    vector = struct.pack(">4I", count, fresh, count ^ direction << 31, fresh ^ direction << 15)
    z = keystream(key, vector, 5)
    p, q = _multiples(z[0] << 32 | z[1]), _multiples(z[2] << 32 | z[3])
    value = 0
    for at in range(0, len(data), 8):
        value = _times(value ^ int.from_bytes(data[at : at + 8].ljust(8, b"\0"), "big"), p)
    value = _times(value ^ (8 * len(data) if bits is None else bits), q)
    return (value >> 32 ^ z[4]).to_bytes(4, "big")


def _multiples(factor: int) -> dict[str, int]:
    """A factor of UIA2's field times all polynomials of four bits, by their hexadecimal digits; not reduced."""
    doubles = [factor << place for place in range(4)]
    found = [0]
    for double in doubles:
        found += [double ^ one for one in found]
    return {f"{digit:x}": one for digit, one in enumerate(found)}


def _times(value: int, multiples: dict[str, int]) -> int:
    """Multiply in a field of 2^64 elements, whose polynomial is x^64 + x^4 + x^3 + x + 1."""
    total = 0
    for digit in f"{value:x}":
        total = total << 4 ^ multiples[digit]
    while high := total >> 64:
        total = total & _LONG ^ high ^ high << 1 ^ high << 3 ^ high << 4
    return total


def _loaded(key: bytes, vector: bytes) -> list[int]:
    """The state before the first step; key and vector are taken from their last words on (document 2, 4.1)."""
    k = [int.from_bytes(key[at : at + 4], "big") for at in (12, 8, 4, 0)]
    iv = [int.from_bytes(vector[at : at + 4], "big") for at in (12, 8, 4, 0)]
    state = [one ^ _WORD for one in k] + k + [one ^ _WORD for one in k] + k
    for place, word in zip((15, 12, 10, 9), iv, strict=True):
        state[place] ^= word
    return state


@cache
def _tables() -> tuple[tuple[Table, ...], tuple[Table, ...], Table, Table]:
    """S1 and S2, each by the byte's place in the word, and a byte's product with alpha and with its inverse.

    Made when they are first needed: most networks never use this cipher.
    """
    return _mixed(_rijndael(), 0x1B), _mixed(_dickson(), 0x69), _alpha((23, 245, 48, 239)), _alpha((16, 39, 6, 64))


def _times_x(value: int, by: int) -> int:
    """Multiply by x in a field of 256 elements whose polynomial is x^8 and `by`."""
    return (value << 1 ^ by) & 255 if value & 128 else value << 1


def _powers(generator: int, by: int) -> list[int]:
    """All elements but 0 as powers of a generator, x or x + 1."""
    found = [1]
    while len(found) < 255:
        last = found[-1]
        found.append(_times_x(last, by) ^ (last if generator == 3 else 0))
    return found


def _rijndael() -> list[int]:
    """S_R, the substitution of AES: inverse, then an affine map."""
    powers = _powers(3, 0x1B)
    table = [0x63] * 256
    for place, value in enumerate(powers):
        inverse = powers[-place]
        double = inverse << 8 | inverse
        table[value] ^= (double >> 8 ^ double >> 7 ^ double >> 6 ^ double >> 5 ^ double >> 4) & 255
    return table


def _dickson() -> list[int]:
    """S_Q, by a Dickson polynomial (document 2, 3.3.2); its field is generated by x + 1."""
    powers = _powers(3, 0x69)
    table = [0x25] * 256
    for place, value in enumerate(powers):
        for exponent in (1, 9, 13, 15, 33, 41, 45, 47, 49):
            table[value] ^= powers[place * exponent % 255]
    return table


def _mixed(table: list[int], by: int) -> tuple[Table, ...]:
    """The word that each byte of a word gives, after the substitution and the mixing of columns."""
    columns: list[list[int]] = [[], [], [], []]
    for value in table:
        double = _times_x(value, by)
        word = bytes((double, double ^ value, value, value))  # of byte 0, in bytes 0 to 3
        for place, column in enumerate(columns):
            column.append(int.from_bytes(word[4 - place :] + word[: 4 - place], "big"))
    return tuple(map(tuple, columns))


def _alpha(exponents: tuple[int, ...]) -> Table:
    """A byte's products with powers of a root of x^8 + x^7 + x^5 + x^3 + 1, side by side."""
    factors = [_power_of_x(exponent) for exponent in exponents]
    return tuple(int.from_bytes(bytes(_product(one, factor) for factor in factors), "big") for one in range(256))


def _power_of_x(exponent: int) -> int:
    value = 1
    for _ in range(exponent):
        value = _times_x(value, 0xA9)
    return value


def _product(one: int, other: int) -> int:
    total = 0
    while other:
        if other & 1:
            total ^= one
        one, other = _times_x(one, 0xA9), other >> 1
    return total
