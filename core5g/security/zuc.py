"""ZUC and what is built on it: 128-EEA3 and 128-EIA3 (ETSI/SAGE, documents 1 and 2; 3GPP TS 35.221 and 35.222)."""

from __future__ import annotations

import struct
from itertools import chain, islice, repeat

from core5g.security.octets import xor

_WORD, _HIGH, _LOW = 0xFFFFFFFF, 0xFFFF0000, 0xFFFF
_TWICE = 2**32 + 1
_ROUNDS = 32
_PRIME = 2**31 - 1
_CONSTANTS = (
    0x44D7, 0x26BC, 0x626B, 0x135E, 0x5789, 0x35E2, 0x7135, 0x09AF,
    0x4D78, 0x2F13, 0x6BC4, 0x1AF1, 0x5E26, 0x3C4D, 0x789A, 0x47AC,
)  # fmt: skip
_S0 = bytes.fromhex(
    "3e725b47cae0003304d1549809b96dcb7b1bf932af9d6aa5b82dfc1d08530390"
    "4d4e8499e4ced991ddb685488b296eaccdc1f81e734369c6b5bdfd396320d438"
    "767db2a7cfed57c5f32cbb142106559be3ef5e314f7f5aa40d8251495fba581c"
    "4a16d517a892241f8cffd8ae2e01d3ad3b4bda46ebc9de9a8f87d73a806f2fc8"
    "b1b437f70a2213287ccc3c89c7c3965607bf7ef00b2b975235417961a64c10fe"
    "bc2695888ab0a3fbc01894f2e1e5e95dd0dc1166645cec59427512f5749caa23"
    "0e86abbe2a02e767e644a26cc2939ff1f6fa36d250689e6271153dd640c4e20f"
    "8e83776b25053f0c30ea70b7a1e8a9658d271adb81b3a0f4457a19dfee783460"
)
_S1 = bytes.fromhex(
    "55c263713bc847869f3cda5b29aafd778cc5940ca61a1300e3a8167240f9f842"
    "4426689681d9453e1076c6a78b3943e13ab5562ac06db3052266bfdc0bfa6248"
    "dd20110636c9c1cff62752bb69f5d4877f844cd29c57a4bc4f9adffed68d7aeb"
    "2b53d85ca11417fb23d57d3067730809eeb7703f61b2198e4ee54b938f5ddba9"
    "adf1ae2ecb0dfcf42d466e1d97e8d1e94d37a5755e839eab829db91ce0cd4989"
    "01b6bd5824a25f387899159050b895e4d091c7ceed0fb46fa0ccf0024a79c3de"
    "a3efea51e66b18ec1b2c80f774e7ff215a6a541e41319235c433070aba7e0e34"
    "88b1987cf33d606c7bcad31f3265042864be859b2f598ad7b025acaf1203e2f2"
)


_TABLES = [[one << by for one in table] for table, by in ((_S0, 24), (_S1, 16), (_S0, 8), (_S1, 0))]
"""What a byte gives, by its place in a word."""


def keystream(key: bytes, vector: bytes, count: int) -> list[int]:
    """Return the first words of the key stream.

    Args:
        key: 16 bytes. vector: 16 bytes. count: how many words of 32 bits.
    """
    a, b, c, d = _TABLES
    s = [k << 23 | constant << 8 | iv for k, constant, iv in zip(key, _CONSTANTS, vector, strict=True)]
    # The register is a list that grows at its end; its taps are read by iterators that follow it, and `first`
    # says when to stop.
    taps = [islice(s, at, None) for at in (0, 2, 4, 5, 7, 9, 10, 11, 13, 14, 15)]
    first = chain(repeat(_WORD, _ROUNDS), repeat(0, count + 1))
    r1 = r2 = 0
    words = []
    for loading, s0, s2, s4, s5, s7, s9, s10, s11, s13, s14, s15 in zip(first, *taps):  # noqa: B905
        out = ((s15 << 1 & _HIGH | s14 & _LOW) ^ r1) + r2 & _WORD
        words.append(out ^ (s2 << 16 & _HIGH | s0 >> 15))
        w1 = r1 + (s11 << 16 & _HIGH | s9 >> 15) & _WORD
        w2 = r2 ^ (s7 << 16 & _HIGH | s5 >> 15)
        x = (w1 << 16 & _HIGH | w2 >> 16) * _TWICE
        y = (w2 << 16 & _HIGH | w1 >> 16) * _TWICE
        x = x >> 32 ^ x >> 30 ^ x >> 22 ^ x >> 14 ^ x >> 8  # L1
        y = y >> 32 ^ y >> 24 ^ y >> 18 ^ y >> 10 ^ y >> 2  # L2
        r1 = a[x >> 24 & 255] | b[x >> 16 & 255] | c[x >> 8 & 255] | d[x & 255]
        r2 = a[y >> 24 & 255] | b[y >> 16 & 255] | c[y >> 8 & 255] | d[y & 255]
        new = (s15 << 15) + (s13 << 17) + (s10 << 21) + (s4 << 20) + s0 * 257 + ((out & loading) >> 1)
        s.append(new % _PRIME or _PRIME)
    return words[_ROUNDS + 1 :]


def eea3(key: bytes, count: int, bearer: int, direction: int, data: bytes) -> bytes:
    """Encrypt or, which is the same, decrypt (128-NEA3).

    Args:
        key: 16 bytes. count: 32 bits. bearer: 5 bits. direction: 0 up, 1 down.
    """
    head = count.to_bytes(4, "big") + bytes((bearer << 3 | direction << 2, 0, 0, 0))
    size = -(-len(data) // 4)
    return xor(data, struct.pack(f">{size}I", *keystream(key, head + head, size))[: len(data)])


def eia3(key: bytes, count: int, bearer: int, direction: int, data: bytes, *, bits: int | None = None) -> bytes:
    """Return the code of a message, 4 bytes (128-NIA3).

    Args:
        key: 16 bytes. count: 32 bits. bearer: 5 bits. direction: 0 up, 1 down.
        bits: how many of the message count, if its last byte is not whole.
    """
    length = 8 * len(data) if bits is None else bits
    half = count.to_bytes(4, "big") + bytes((bearer << 3, 0, 0, 0))
    other = bytearray(half)
    other[0] ^= direction << 7
    other[6] ^= direction << 7
    size = -(-length // 32) + 2
    stream = int.from_bytes(struct.pack(f">{size}I", *keystream(key, half + other, size)), "big")
    message = int.from_bytes(data, "big") >> 8 * len(data) - length
    # Each 1 of the message adds the 32 bits of the stream that begin where it stands. By columns instead of by bits:
    # bit number `column` of the sum is the parity of the message and the stream from that column on.
    top = 32 * size - length
    total = 0
    for column in range(32):
        total = total << 1 | (stream >> top - column & message).bit_count() & 1
    return (total ^ stream >> top - 32 & _WORD ^ stream & _WORD).to_bytes(4, "big")
