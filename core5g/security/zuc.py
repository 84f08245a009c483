"""ZUC, a cipher of words (ETSI/SAGE, specification of 128-EEA3 and 128-EIA3, document 2, as in 3GPP TS 35.222)."""

from __future__ import annotations

from collections.abc import Iterator

_WORD = 0xFFFFFFFF
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


def _turned(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & _WORD


def _substituted(word: int) -> int:
    return _S0[word >> 24] << 24 | _S1[word >> 16 & 255] << 16 | _S0[word >> 8 & 255] << 8 | _S1[word & 255]


def _first(word: int) -> int:
    """L1."""
    return word ^ _turned(word, 2) ^ _turned(word, 10) ^ _turned(word, 18) ^ _turned(word, 24)


def _second(word: int) -> int:
    """L2."""
    return word ^ _turned(word, 8) ^ _turned(word, 14) ^ _turned(word, 22) ^ _turned(word, 30)


def words(key: bytes, vector: bytes) -> Iterator[int]:
    """Give the key stream, words of 32 bits.

    Args:
        key: 16 bytes. vector: 16 bytes.
    """
    s = [k << 23 | constant << 8 | iv for k, constant, iv in zip(key, _CONSTANTS, vector, strict=True)]
    r1 = r2 = 0
    step = 0
    while True:
        x0 = s[15] >> 15 << 16 | s[14] & 0xFFFF
        x1 = (s[11] & 0xFFFF) << 16 | s[9] >> 15
        x2 = (s[7] & 0xFFFF) << 16 | s[5] >> 15
        out = (x0 ^ r1) + r2 & _WORD
        w1, w2 = r1 + x1 & _WORD, r2 ^ x2
        r1 = _substituted(_first((w1 & 0xFFFF) << 16 | w2 >> 16))
        r2 = _substituted(_second((w2 & 0xFFFF) << 16 | w1 >> 16))
        if step > 32:
            yield out ^ ((s[2] & 0xFFFF) << 16 | s[0] >> 15)
        new = (s[15] << 15) + (s[13] << 17) + (s[10] << 21) + (s[4] << 20) + s[0] * 257
        if step < 32:
            new += out >> 1
        s = [*s[1:], new % _PRIME or _PRIME]
        step += 1
