"""Channels that are easy to check: whole samples of delay, and a gain."""

from __future__ import annotations

import numpy as np


class Delay:
    def __init__(self, samples: int, gain: complex = 1.0):
        self.reach = samples
        self.gain = np.complex64(gain)

    def add(self, line, start, out):
        out += self.gain * line[: len(out)]


def arrived(channel, sent, count):
    """The first `count` samples that arrive of what was sent from count 0 on."""
    padded = np.concatenate([np.zeros(channel.reach, np.complex64), sent, np.zeros(count, np.complex64)])
    return channel.gain * padded[:count]
