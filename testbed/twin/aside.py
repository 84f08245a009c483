"""A call that takes long, made in a thread of its own while the thread that asked for it goes on."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """Makes one call at a time. Asked for by one thread, which finds the result when it is there."""

    def __init__(self, name: str, act: Callable[[], T]) -> None:
        """Args:
        name: of the threads. act: the call; what it raises is raised by `take`.
        """
        self._name, self._act = name, act
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._again = False
        self._ended: Callable[[], T] | None = None
        self._ready = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def ask(self) -> None:
        """Have the call made; one that is under way may have seen too little, and is followed by another."""
        with self._lock:
            if self._thread is not None:
                self._again = True
                return
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a call is under way, or has ended and nobody has taken its result."""
        with self._lock:
            return self._thread is not None or self._ended is not None

    def take(self) -> T | None:
        """The result of the newest call that has ended since the last time; None where none has.

        Raises:
            Exception: what the call raised.
        """
        with self._lock:
            ended, self._ended = self._ended, None
        return None if ended is None else ended()

    def filenos(self) -> Collection[int]:
        """A descriptor that is readable when there is something to take."""
        return (self._ready,)

    def hear(self) -> bool:
        """Whether there is something to take."""
        try:
            return os.eventfd_read(self._ready) > 0
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Make no more calls; one that is under way ends by itself, and its result is nobody's."""
        with self._lock:
            self._again = False
            os.close(self._ready)
            self._ready = -1

    def _run(self) -> None:
        going = True
        while going:
            ended = self._called()
            with self._lock:
                self._ended = ended
                going, self._again = self._again, False
                if not going:
                    self._thread = None
                if self._ready >= 0:
                    os.eventfd_write(self._ready, 1)

    def _called(self) -> Callable[[], T]:
        try:
            result = self._act()
        except Exception as error:
            raised = error
        else:
            return lambda: result

        def fail() -> T:
            raise raised

        return fail
