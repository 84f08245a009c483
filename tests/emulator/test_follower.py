"""Work that follows: never forgotten, and once for all that was told while it went on."""

from __future__ import annotations

import threading

from testbed.emulator.follower import Follower


def test_what_is_told_while_it_works_is_done_once_more():
    began, go_on, seen = threading.Semaphore(0), threading.Semaphore(0), []

    def work() -> None:
        began.release()
        go_on.acquire()
        seen.append(threading.current_thread().name)

    follower = Follower(work, "following")
    follower.tell()
    began.acquire()
    for _ in range(100):
        follower.tell()
    go_on.release()
    began.acquire()  # the second time
    go_on.release()
    follower.close()
    (thread,) = [one for one in threading.enumerate() if one.name == "following"] or [None]
    if thread is not None:
        thread.join()
    assert seen == ["following"] * 2


def test_one_that_is_closed_does_nothing_more():
    seen: list[int] = []
    follower = Follower(lambda: seen.append(1), "closed")
    follower.close()
    follower.tell()
    for one in threading.enumerate():
        if one.name == "closed":
            one.join()
    assert seen == []
