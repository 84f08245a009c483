"""NR's channel code: low-density parity checks (TS 38.212 5.2.2, 5.3.2, 5.4.2), one code block at a time.

A code block's bits lie in columns of Z; in row r, the checks are sums of columns that are rotated by the base graph's
shifts. Coded bits leave in redundancy version 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numba import njit
from numpy.typing import NDArray

from testbed.errors import BadInput

Bits = NDArray[np.uint8]
Soft = NDArray[np.float32]
"""Logarithms of how much likelier 0 is than 1."""

LIFTING = sorted(a << j for a in (2, 3, 5, 7, 9, 11, 13, 15) for j in range(8) if a << j <= 384)
"""Lifting sizes Z: table 5.3.2-1."""
_ODD = {1: 0, 3: 1, 5: 2, 7: 3, 9: 4, 11: 5, 13: 6, 15: 7}
_INFORMATION = {1: 22, 2: 10}
"""Columns of information, by base graph."""
_CORE = 4
"""Rows whose parities are solved together; each one further has a parity of its own."""
_PUNCTURED = 2
"""Columns that are never sent."""
_ITERATIONS, _SCALE, _CERTAIN = 20, np.float32(0.8), np.float32(1e4)


@dataclass(frozen=True)
class Code:
    """The code of one code block, and what of it is sent.

    Attributes:
        graph: base graph. size: bits of the block, its check included. sent: coded bits. order: bits of a point.
        lifting: Z.
    """

    graph: int
    size: int
    sent: int
    order: int
    lifting: int

    @property
    def filled(self) -> int:
        """Bits of information with the fillers behind the block, which are 0 and not sent."""
        return _INFORMATION[self.graph] * self.lifting

    @property
    def rows(self) -> int:
        """Rows that say something about what is sent."""
        fillers = self.filled - self.size
        last = -(-(min(self.sent + fillers, self._coded) + _PUNCTURED * self.lifting) // self.lifting)
        return max(_CORE, last - _INFORMATION[self.graph])

    @property
    def _coded(self) -> int:
        return (_INFORMATION[self.graph] + (46 if self.graph == 1 else 42) - _PUNCTURED) * self.lifting

    def places(self) -> NDArray[np.int64]:
        """Return which bits of the code word are sent, in the order in which points hold them (5.4.2)."""
        first = _PUNCTURED * self.lifting
        word = np.arange(first, first + self._coded)
        kept = word[(word < self.size) | (word >= self.filled)]
        return np.resize(kept, self.sent).reshape(self.order, -1).T.ravel()


def code(size: int, rate: float, order: int) -> Code:
    """Choose the code of a code block (7.2.2, 5.2.2, 5.3.2).

    Args:
        size: bits, with the block's check. rate: of information to coded bits. order: bits of a point.

    Raises:
        BadInput: the block has no bits or too many for one code block, or the rate is not between 0 and 1.
    """
    graph = 2 if size <= 292 or (size <= 3840 and rate <= 0.67) or rate <= 0.25 else 1
    most = 8448 if graph == 1 else 3840
    if not 1 <= size <= most or not 0 < rate < 1:
        raise BadInput(f"a code block of {size} bits at rate {rate:g}; expected 1 to {most} bits, and a rate of 0 to 1")
    used = 22 if graph == 1 else next(n for n, above in ((10, 640), (9, 560), (8, 192), (6, 0)) if size > above)
    lifting = next(z for z in LIFTING if used * z >= size)
    return Code(graph, size, -(-round(size / rate) // order) * order, order, lifting)


def encode(block: Bits, code: Code) -> Bits:
    """Return the coded bits of a block of bits, as they are sent."""
    return code_word(block, code).ravel()[code.places()]


def code_word(block: Bits, code: Code) -> Bits:
    """Return uint8[columns, Z]: the block's information and the parities of the rows in use."""
    z, columns = code.lifting, _INFORMATION[code.graph]
    rows = base_graph(code.graph, z)[: code.rows]
    word = np.zeros((columns + code.rows, z), np.uint8)
    word[:columns].ravel()[: code.size] = block
    sums = [_sum(word, row) for row in rows[:_CORE]]
    # In the sum of the core's rows all but one rotation of its first parity cancel.
    rotations = [shift for row in rows[:_CORE] for column, shift in row if column == columns]
    (odd,) = {shift for shift in rotations if rotations.count(shift) % 2}
    word[columns] = np.roll(np.bitwise_xor.reduce(sums), odd)
    known = columns + 1
    for row in rows:
        for column, shift in row:
            if column >= known:
                word[column] = np.roll(_sum(word, row), shift)  # its only unknown, zero so far
                known = column + 1
    return word


def _sum(word: Bits, row: tuple[tuple[int, int], ...]) -> Bits:
    return np.bitwise_xor.reduce([np.roll(word[column], -shift) for column, shift in row if column < len(word)])


def decode(soft: Soft, code: Code) -> Bits:
    """Return the block's bits as they were most likely sent: scaled min-sum, layer by layer, until all checks hold.

    Of short blocks (below some 200 bits) at rates above 0.88 so few parities are sent that the two columns which never
    are cannot always be told from them, even without noise.

    Args:
        soft: of the coded bits, as `encode` orders them.
    """
    z, columns = code.lifting, _INFORMATION[code.graph]
    believed = np.zeros((columns + code.rows) * z, np.float32)
    np.add.at(believed, code.places(), soft)
    believed[code.size : code.filled] = _CERTAIN
    rows = base_graph(code.graph, z)[: code.rows]
    starts = np.cumsum([0, *(len(row) for row in rows)])
    entries = np.array([entry for row in rows for entry in row], np.int64)
    _min_sum(believed.reshape(-1, z), starts, entries[:, 0].copy(), entries[:, 1].copy(), _ITERATIONS)
    return (believed[: code.size] < 0).astype(np.uint8)


@njit(cache=True, nogil=True, error_model="numpy")
def _min_sum(believed, starts, columns, shifts, iterations):
    """Improve float32[columns, Z] in place.

    Args:
        starts: of each row's entries in `columns` and `shifts`.
    """
    z = believed.shape[1]
    told = np.zeros((len(columns), z), np.float32)
    heard = np.empty((32, z), np.float32)
    least, second, which = np.empty(z, np.float32), np.empty(z, np.float32), np.empty(z, np.int32)
    odd, wrong = np.empty(z, np.uint8), np.empty(z, np.uint8)
    for _ in range(iterations):
        unsettled = False
        for row in range(len(starts) - 1):
            first, last = starts[row], starts[row + 1]
            least[:], second[:], which[:], odd[:], wrong[:] = np.inf, np.inf, -1, 0, 0
            for entry in range(first, last):
                column, shift, values = believed[columns[entry]], shifts[entry], heard[entry - first]
                for k in range(z):
                    at = k + shift
                    at -= z if at >= z else 0
                    wrong[k] ^= column[at] < 0
                    values[k] = column[at] - told[entry, k]
                    size = abs(values[k])
                    odd[k] ^= values[k] < 0
                    if size < least[k]:
                        second[k], least[k], which[k] = least[k], size, entry
                    elif size < second[k]:
                        second[k] = size
            unsettled = unsettled or wrong.any()
            for entry in range(first, last):
                column, shift, values = believed[columns[entry]], shifts[entry], heard[entry - first]
                for k in range(z):
                    at = k + shift
                    at -= z if at >= z else 0
                    size = _SCALE * (second[k] if which[k] == entry else least[k])
                    told[entry, k] = -size if odd[k] ^ (values[k] < 0) else size
                    column[at] = values[k] + told[entry, k]
        if not unsettled:
            return


@cache
def base_graph(graph: int, lifting: int) -> tuple[tuple[tuple[int, int], ...], ...]:
    """Return the rows of a base graph: columns, and by how much each is rotated at a lifting size."""
    odd = lifting
    while odd % 2 == 0:
        odd //= 2
    rows: dict[int, list[tuple[int, int]]] = {}
    for own, row, column, *shifts in _table():
        if own == graph:
            rows.setdefault(row, []).append((column, shifts[_ODD[odd]] % lifting))
    return tuple(tuple(rows[row]) for row in sorted(rows))


@cache
def _table() -> NDArray[np.int64]:
    with resources.files("sdr.radio").joinpath("ldpc.csv").open() as text:
        return np.loadtxt(text, np.int64, delimiter=",")
