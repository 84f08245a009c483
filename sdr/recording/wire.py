"""Recordings and the radios' wire: from a transmit port into a file, and from a file to who asks for samples."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Literal

import zmq

from sdr.channel.base import Samples
from sdr.meanwhile import meanwhile
from sdr.recording.reader import Recording
from sdr.recording.recorder import Recorder
from sdr.wire import Inlet, Outlet

Ended = Literal["complete", "stopped", "gone", "silent"]
"""All samples that were to go have gone; somebody stopped it; the other side ended, or gave nothing for too long."""
_TICK = 50
"""Milliseconds until a stop is seen."""
_LAST = 1000
"""Milliseconds for the last frame to arrive."""


def heard(inlet: Inlet, stop: Event) -> Iterator[tuple[Samples | None, bool]]:
    """Ask for samples until somebody stops it; give what came, every now and then None, and whether the peer has gone.

    Raises:
        BadFrame: the other side sent what is no frame.
    """
    poller = zmq.Poller()
    poller.register(inlet.socket, zmq.POLLIN)
    poller.register(inlet.monitor, zmq.POLLIN)
    while not stop.is_set():
        inlet.ask()
        poller.poll(_TICK)
        gone = False in inlet.changes()
        yield inlet.take(), gone


@contextmanager
def drained(inlet: Inlet) -> Iterator[None]:
    """Ask for samples in a thread and throw them away: a broker waits for a radio that hears nothing."""
    with meanwhile(lambda stop: deque(heard(inlet, stop), maxlen=0)):
        yield


@dataclass(slots=True)
class Copier:
    """What goes between a file and the wire; `count`: samples so far."""

    count: int = 0

    def record(self, inlet: Inlet, recorder: Recorder, samples: int | None, patience: float, stop: Event) -> Ended:
        """Ask for samples and record them, until there are enough.

        Args:
            samples: how many; None for all. patience: seconds without any after which the other side is silent.

        Raises:
            BadFrame: the other side sent what is no frame. Unable: the disk is full.
        """
        last = time.monotonic()
        for taken, gone in heard(inlet, stop):
            if taken is not None:
                last = time.monotonic()
                recorder.take(taken if samples is None else taken[: samples - self.count], self.count)
                self.count = recorder.samples
            if self.count == samples:
                return "complete"
            if gone and self.count:  # who comes after is another, whose samples do not follow on these
                return "gone"
            if time.monotonic() - last > patience:
                return "silent"
        return "stopped"

    def play(self, recording: Recording, outlet: Outlet, frame: int, repeat: bool, stop: Event) -> Ended:
        """Give a recording to who asks for it, in frames of so many samples.

        Raises:
            BadInput: the file has become shorter.
        """
        for block in recording.blocks(frame, repeat):
            while not outlet.send(block, _TICK / 1000):
                if stop.is_set():
                    return "stopped"
            self.count += len(block)
        outlet.socket.poll(_LAST)  # who asks for more has got the last frame
        return "complete"
