"""Work that goes on until it is done or Ctrl-C ends it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Still
from typing import TypeVar

T = TypeVar("T")


def until_done(work: Callable[[threading.Event], T], show: Callable[[], object]) -> T:
    """Do work in a thread of its own, and return its result: a signal then never falls between two of its steps.

    Args:
        work: ends soon after its event is set, which Ctrl-C does. show: called every second, for progress.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work, stop)
        try:
            while True:
                try:
                    return running.result(timeout=1.0)
                except Still:
                    show()
        except KeyboardInterrupt:  # the way to end it
            stop.set()
            return running.result()
        finally:
            stop.set()
