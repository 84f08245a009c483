"""Being told: a device says at once that one of its links has changed, so that a cut need not wait for the next poll.

The device's kernel tells of carrier and administrative state over rtnetlink(7), and `ip monitor` prints it. A notice is
only a reason to look early: what is believed of a link comes from the poll that follows.
"""

from __future__ import annotations

import logging
import os
import select
from collections.abc import Callable
from typing import Protocol

from testbed.errors import DeviceError
from testbed.twin.echo import Stream

log = logging.getLogger(__name__)

COMMAND = "command -v ip >/dev/null || exit 1; ip -o monitor link & read -r _; kill $!"
"""What runs on the device; it ends with the channel. Alone, `ip` would only notice at the next change of a link."""


class NoticeStream(Stream, Protocol):
    """A stream that can be waited for."""

    def fileno(self) -> int: ...


class Notices:
    """One device's notices. For one thread, but for `wake`.

    A device that cannot be listened to (no `ip monitor`, no further channel) is asked again when it was away; until
    then nothing is ever told, and the polls are what is left.
    """

    def __init__(self, device: str, start: Callable[[], NoticeStream]) -> None:
        self._device, self._start = device, start
        self._stream: NoticeStream | None = None
        self._tried = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

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

    def wait(self, timeout: float) -> bool:
        """Wait until the device tells of a link, `wake` is called or the time (seconds) is over; True if it told."""
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        if self._stream is not None:
            poller.register(self._stream.fileno(), select.POLLIN)
        ready = {descriptor for descriptor, _ in poller.poll(1e3 * max(0.0, timeout))}
        return bool(ready - {self._wake}) and self._told()

    def wake(self) -> None:
        """End the waiting, now and from now on; from any thread."""
        os.eventfd_write(self._wake, 1)

    def close(self) -> None:
        """Listen no more."""
        self._hang_up()
        os.close(self._wake)

    def _told(self) -> bool:
        assert self._stream is not None
        try:
            return bool(self._stream.read())
        except (EOFError, OSError) as error:
            log.info("%s tells of its links in polls only: %s", self._device, error)
            self._hang_up()
            return False

    def _hang_up(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
