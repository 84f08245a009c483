"""The checks of transport blocks (TS 38.212 5.1), many blocks of one length at once."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
CRC24A, CRC16 = (24, 0x864CFB), (16, 0x1021)
"""Width in bits and polynomial without its highest term."""
_LARGE = 3824
"""Payloads longer than this many bits have the longer check (TS 38.212 7.2.1)."""


def size(block: int) -> int:
    """Return how many bytes of a block of `block` bytes are its check."""
    return 3 if 8 * (block - 3) > _LARGE else 2


def append(payload: Bytes, check: int) -> Bytes:
    """Return blocks, one a row, with their checks of `check` bytes."""
    return np.concatenate((payload, _bytes(_remainders(payload, check), check)), axis=1)


def holds(blocks: Bytes) -> NDArray[np.bool_]:
    """Return for each block, one a row, whether its check holds."""
    check = size(blocks.shape[1])
    return (_bytes(_remainders(blocks[:, :-check], check), check) == blocks[:, -check:]).all(axis=1)


def _bytes(remainders: NDArray[np.uint32], check: int) -> Bytes:
    return remainders.astype(">u4").view(np.uint8).reshape(-1, 4)[:, 4 - check :]


def _remainders(payload: Bytes, check: int) -> NDArray[np.uint32]:
    """A check is linear: it is the sum of what each byte at its place contributes."""
    table = _table(payload.shape[1], CRC24A if check == 3 else CRC16)
    places = np.arange(payload.shape[1])
    return np.array([np.bitwise_xor.reduce(table[places, row]) for row in payload], np.uint32)


@cache
def _table(length: int, kind: tuple[int, int]) -> NDArray[np.uint32]:
    """By place and byte: the remainder of that byte with zeros around it."""
    width, polynomial = kind
    step = np.arange(256, dtype=np.uint32) << np.uint32(width - 8)
    for _ in range(8):
        step = step << np.uint32(1) ^ (step >> np.uint32(width - 1) & np.uint32(1)) * np.uint32(polynomial)
        step &= np.uint32(2**width - 1)
    table = np.empty((length, 256), np.uint32)
    table[-1] = step
    for place in range(length - 2, -1, -1):
        later = table[place + 1]
        table[place] = later << np.uint32(8) & np.uint32(2**width - 1) ^ step[later >> np.uint32(width - 8)]
    return table
