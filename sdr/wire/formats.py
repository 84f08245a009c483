"""How samples stand in a frame: no header, no timestamp, interleaved I and Q, little-endian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sdr.channel.base import Samples
from testbed.errors import TestbedError

_FULL_SCALE = np.float32(32767)


class BadFrame(TestbedError):
    """A peer sent what is no frame of samples."""


@dataclass(frozen=True, slots=True)
class Format:
    """One representation of samples.

    Attributes:
        name: as in srsRAN 4G's `tx_format` and `rx_format`. size: bytes of a sample.
    """

    name: str
    size: int

    def read(self, frame: Any) -> Samples:
        """Return a frame's samples; of fc32 without a copy, as a view of the frame.

        Args:
            frame: bytes, or whatever else shows its memory.

        Raises:
            BadFrame: no sample, or no whole number of them.
        """
        length = memoryview(frame).nbytes
        if length == 0 or length % self.size:
            raise BadFrame(f"a frame of {length} bytes: expected whole samples of {self.size} bytes, one at least")
        if self.size == FC32.size:
            return np.frombuffer(frame, "<c8")
        return np.divide(np.frombuffer(frame, "<i2"), _FULL_SCALE, dtype=np.float32).view(np.complex64)

    def write(self, samples: Samples) -> memoryview:
        """Return samples as they stand in a frame; of fc32 without a copy. Beyond full scale sc16 clips."""
        if self.size == FC32.size:
            return np.ascontiguousarray(samples, "<c8").data.cast("B")
        scaled = np.rint(np.ascontiguousarray(samples).view(np.float32) * _FULL_SCALE)
        return np.clip(scaled, -32768, 32767).astype("<i2").data.cast("B")


FC32 = Format("fc32", 8)
SC16 = Format("sc16", 4)
"""Full scale 1.0 is 32767, as in srsRAN 4G."""
FORMATS: dict[str, Format] = {one.name: one for one in (FC32, SC16)}
