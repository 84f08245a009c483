"""The contracts: a channel between two ports, and what a receiver does to the sum of what arrives."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.complex64]

LATENCY = 8
"""Samples by which every channel is late: its fractional-delay filters look that far ahead of a delay of 0."""


class Channel(Protocol):
    """One pair's channel. Linear in its samples; noise is added once, by the receiver."""

    @property
    def reach(self) -> int:
        """Samples before the block that it looks at: its longest delay and its filters' length."""
        ...

    def add(self, line: Samples, start: int, out: Samples) -> None:
        """Add what arrives of a block to `out`.

        Args:
            line: the transmitter's samples, `reach` of them before the block and then the block, C-contiguous.
            start: count of the block's first sample.
            out: the receiver's sum, as long as the block.

        The result does not depend on how a stream is cut into blocks. What is sent at count k arrives at
        k + d + LATENCY over a path of delay d samples.
        """
        ...


class Impairment(Protocol):
    """What a receiver's front end does to the sum: noise, offsets, clipping."""

    def apply(self, samples: Samples, start: int) -> None:
        """Change `samples`, from count `start` on, in place: the same for the same seed, however the stream is cut."""
        ...
