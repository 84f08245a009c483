"""Being told: a device says at once that one of its links has changed, so that a cut need not wait for the next poll.

The device's kernel tells of carrier and administrative state over rtnetlink(7), and `ip monitor` prints it. A notice is
only a reason to look early: what is believed of a link comes from the poll that follows.
"""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable, Collection
from typing import Protocol

from testbed.errors import DeviceError
from testbed.twin.echo import Stream

log = logging.getLogger(__name__)

COMMAND = "command -v ip >/dev/null || exit 1; ip -o monitor link & read -r _; kill $!"
"""What runs on the device; it ends with the channel. Alone, `ip` would only notice at the next change of a link."""


class Source(Protocol):
    """What may give a reason to look at a device before its turn."""

    def filenos(self) -> Collection[int]:
        """Descriptors that are readable when `hear` has something to take."""
        ...

    def hear(self) -> bool:
        """Take what has come, without waiting; True where that is a reason to look."""
        ...


class Ears:
    """Waits for a device's turn, or for a reason to look before it. For one thread, but for `wake`."""

    def __init__(self, sources: Collection[Source]) -> None:
        self._sources = sources
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def wait(self, timeout: float) -> bool:
        """Wait for a reason, but no longer than `timeout` seconds, nor once `wake` was called; True if there is one."""
        deadline = time.monotonic() + timeout
        while True:
            ready = self._ready(max(0.0, deadline - time.monotonic()))
            reasons = [source.hear() for source in ready]  # all of them: each takes what has come
            if any(reasons):
                return True
            if not ready:
                return False

    def _ready(self, timeout: float) -> list[Source]:
        """Sources with something to take; none when the time is over, or after a `wake`."""
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        owners = {number: source for source in self._sources for number in source.filenos()}
        for number in owners:
            poller.register(number, select.POLLIN)
        found = {number for number, _ in poller.poll(1e3 * timeout)}
        return [] if self._wake in found else list({id(s): s for s in map(owners.__getitem__, found)}.values())

    def wake(self) -> None:
        """End the waiting, now and from now on; from any thread."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Hear no more."""
        os.close(self._wake)


class Notices:
    """One device's notices. For one thread.

    A device that cannot be listened to (no `ip monitor`, no further channel) is asked again when it was away; until
    then nothing is ever told, and the polls are what is left.
    """

    def __init__(self, device: str, start: Callable[[], Stream]) -> None:
        self._device, self._start = device, start
        self._stream: Stream | None = None
        self._tried = False

    @property
    def heard(self) -> bool:
        """Whether the device is being listened to."""
        return self._stream is not None

    def listen(self) -> None:
        """Begin to listen, unless that was tried since the device last was away."""
        if self._tried:
            return
        self._tried = True
        try:
            self._stream = self._start()
        except DeviceError as error:
            log.info("%s tells of its links in polls only: %s", self._device, error)

    def lost(self) -> None:
        """The device is away: listen anew when it is back."""
        self._hang_up()
        self._tried = False

    def filenos(self) -> Collection[int]:
        return () if self._stream is None else (self._stream.fileno(),)

    def hear(self) -> bool:
        if self._stream is None:
            return False
        try:
            return bool(self._stream.read())
        except (EOFError, OSError) as error:
            log.info("%s tells of its links in polls only: %s", self._device, error)
            self._hang_up()
            return False

    def close(self) -> None:
        """Listen no more."""
        self._hang_up()

    def _hang_up(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
