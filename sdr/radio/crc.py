"""The checks of transport blocks (TS 38.212 5.1), many blocks of one length at once."""

from __future__ import annotations

from binascii import crc_hqx
from functools import cache

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
_WIDTH, _CRC24A = 24, 0x864CFB
"""Bits of the longer check, and its polynomial without the highest term."""
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
    """CRC16 is CCITT's, from zero. CRC24A is in no library here; being linear it is the sum of what each byte gives."""
    if check == 2:
        return np.array([crc_hqx(row.tobytes(), 0) for row in payload], np.uint32)
    length = payload.shape[1]
    table, places = _table(length), np.arange(0, 256 * length, 256)
    return np.array([np.bitwise_xor.reduce(table.take(places + row)) for row in payload], np.uint32)


@cache
def _table(length: int) -> NDArray[np.uint32]:
    """By place and byte: the remainder of that byte with zeros around it."""
    step = np.arange(256, dtype=np.uint32) << np.uint32(_WIDTH - 8)
    for _ in range(8):
        step = step << np.uint32(1) ^ (step >> np.uint32(_WIDTH - 1) & np.uint32(1)) * np.uint32(_CRC24A)
        step &= np.uint32(2**_WIDTH - 1)
    table = np.empty((length, 256), np.uint32)
    table[-1] = step
    for place in range(length - 2, -1, -1):
        later = table[place + 1]
        table[place] = later << np.uint32(8) & np.uint32(2**_WIDTH - 1) ^ step[later >> np.uint32(_WIDTH - 8)]
    return table
