"""Work that follows what changes often: soon after each change, and once for all that came meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Follower:
    """Does one thing in a thread of its own whenever it is told to."""

    def __init__(self, work: Callable[[], object], name: str) -> None:
        """Start the thread.

        Args:
            work: handles its own errors. name: of the thread.
        """
        self._work, self._told, self._closed = work, threading.Event(), False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def tell(self) -> None:
        """Have it done; return at once."""
        self._told.set()

    def _run(self) -> None:
        while self._told.wait() and not self._closed:
            self._told.clear()
            self._work()

    def close(self) -> None:
        """End the thread, when what it does now is done."""
        self._closed = True
        self._told.set()
