"""The contract of channels and impairments."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.complex64]

LATENCY = 8
"""Samples by which every channel delays more than it states: fractional-delay filters need samples from both sides."""


class Channel(Protocol):
    """One pair's channel. Linear in its samples; noise is added by the receiver, once, not by channels.

    Attributes:
        reach: samples before the block that it looks at (its longest delay and its filters' length).
    """

    reach: int

    def add(self, line: Samples, start: int, out: Samples) -> None:
        """Add what arrives of a block to `out` (n samples).

        Results do not depend on how a stream is cut into blocks.

        Args:
            line: the transmitter's reach + n samples, of which the last n are the block that starts at count `start`.
        """
        ...


class Impairment(Protocol):
    """What a receiver does to the sum of all that arrives."""

    def apply(self, samples: Samples, start: int) -> None:
        """Change samples from count `start` on in place; the same bits for the same seed, whatever the blocks."""
        ...
