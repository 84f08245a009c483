"""The plainest channel: one gain, no delay but the one that all channels have."""

from __future__ import annotations

import numpy as np

from sdr.channel.base import LATENCY, Samples


class Gain:
    """Weakens or strengthens what it passes on."""

    reach = LATENCY

    def __init__(self, decibels: float) -> None:
        """Args: decibels: of power."""
        self._factor = np.float32(10 ** (decibels / 20))

    def add(self, line: Samples, start: int, out: Samples) -> None:
        """See `sdr.channel.base.Channel`."""
        arrived = line[: len(out)]
        # As real numbers: a complex product is four times the work.
        out += arrived if self._factor == 1 else (arrived.view(np.float32) * self._factor).view(np.complex64)
