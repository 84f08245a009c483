"""The delay line of one transmit port: kept once, read by the channels of all receivers."""

from __future__ import annotations

import numpy as np

from sdr.channel.base import Samples


class Line:
    """Samples of one stream, from those that the slowest reader still needs to the latest.

    They stand in one piece of memory, so that a channel reads its past and a block without a copy; before count 0
    there is silence.

    Attributes:
        count: samples since the start. kept: the first count that can still be read with all of `reach` before it.
        quiet_from: all samples from this count on are silence.
    """

    def __init__(self, reach: int, room: int = 1 << 16) -> None:
        """Args: reach: samples before a block that the longest channel looks at. room: samples to begin with."""
        self.count = self.kept = self.quiet_from = 0
        self._reach = reach
        self._data = np.zeros(reach + room, np.complex64)
        self._origin = -reach  # count of the sample at index 0

    def append(self, samples: Samples) -> None:
        """Take the next samples of the stream."""
        at = self._reserve(len(samples))
        self._data[at : at + len(samples)] = samples
        self.count += len(samples)
        self.quiet_from = self.count

    def silence(self, length: int) -> None:
        """Let the stream go on with silence."""
        at = self._reserve(length)
        self._data[at : at + length] = 0
        self.count += length

    def span(self, start: int, stop: int) -> Samples:
        """Return samples from count `start` up to before `stop`, as a view that holds until the line grows."""
        if start < self._origin or stop > self.count:
            raise IndexError(f"{start} to {stop} of a line from {self._origin} to {self.count}")
        return self._data[start - self._origin : stop - self._origin]

    def forget(self, before: int) -> None:
        """Say that no reader will ask for a block that starts earlier than at count `before`."""
        self.kept = max(self.kept, min(before, self.count))

    def _reserve(self, length: int) -> int:
        """Return the index after the last sample, with room for so many more; what nobody needs makes way first."""
        end = self.count - self._origin
        if end + length <= len(self._data):
            return end
        first = self.kept - self._reach - self._origin
        used = end - first
        # Room for twice as much as must be kept: samples are moved once for each time that as many have come.
        data = self._data if 2 * used + length <= len(self._data) else np.empty(2 * (2 * used + length), np.complex64)
        data[:used] = self._data[first:end]
        self._data, self._origin = data, self._origin + first
        return used
