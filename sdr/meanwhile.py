"""Work in a thread of its own, beside a block of code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event


@contextmanager
def meanwhile(work: Callable[[Event], object]) -> Iterator[Callable[[], object]]:
    """Do work until the block ends; what it failed by is raised then, unless the block failed itself.

    Args:
        work: ends soon after its event is set.

    Yields:
        What raises that failure at once, if there is one.
    """
    stop = Event()
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(work, stop)
        try:
            yield lambda: going.result() if going.done() else None
        finally:
            stop.set()
        going.result()
