"""Traces of links, played in the agent: what is due at the same moment is set in one batch, whatever link it is of."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import Literal

from testbed.emulator.context import Context
from testbed.emulator.links import Wiring
from testbed.emulator.messages import LinkChange, LinkPatch, Play, PlayState, PlayStatus, StopPlay, Track
from testbed.emulator.probes.base import shared
from testbed.errors import TestbedError

KEPT = 100_000
"""Timing errors that are remembered."""
TOGETHER = 0.0005
"""Seconds; changes due within so little of each other share a batch."""


@dataclass(order=True, slots=True)
class Playhead:
    """Where a track is: `due` is the monotonic time of its next change."""

    due: float
    track: Track = field(compare=False)
    lap_start: float = field(compare=False)
    position: int = field(compare=False, default=0)

    def advance(self) -> bool:
        """Go on to the next change; False at the end of a track that does not begin anew."""
        self.position += 1
        if self.position == len(self.track.times):
            if self.track.lap is None:
                return False
            self.position = 0
            self.lap_start += self.track.lap
        self.due = self.lap_start + self.track.times[self.position]
        return True


Way = tuple[str, Literal[0, 1]]
"""A link and the end that packets leave from."""


class Player:
    """Plays any number of tracks, at most one for each direction of a link. Thread-safe."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._heads: dict[Way, Playhead] = {}
        self._queue: list[Playhead] = []
        self._before: dict[Way, LinkPatch] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._late: deque[float] = deque(maxlen=KEPT)
        self._applied = 0
        self._failed: list[str] = []

    def play(self, tracks: Iterable[Track], delay: float) -> None:
        """Begin tracks `delay` seconds from now, in the place of those that play on the same directions."""
        begin = time.monotonic() + delay
        new: dict[Way, Playhead] = {
            (track.link, track.end): Playhead(begin + track.times[0], track, begin) for track in tracks
        }
        states = {state.name: state for state in self._wiring.get(tuple({link for link, _ in new}))}
        with self._changed:
            for way in new:
                state = states[way[0]]
                self._before.setdefault(way, state.backward if way[1] else state.forward)
            self._reschedule(self._heads | new)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="playback", daemon=True)
                self._thread.start()

    def stop(self, links: frozenset[str], restore: bool) -> None:
        """End the tracks of links, of all when none is named; with `restore` undo what they did."""
        with self._changed:
            ended = {way for way in self._before if not links or way[0] in links}
            self._reschedule({way: head for way, head in self._heads.items() if way not in ended})
            before = {way: self._before.pop(way) for way in ended}
        if restore:
            self._wiring.set([LinkChange(link=link, end=end, patch=patch) for (link, end), patch in before.items()])

    def _reschedule(self, heads: dict[Way, Playhead]) -> None:
        self._heads, self._queue = heads, list(heads.values())
        heapify(self._queue)
        self._changed.notify()

    def state(self) -> PlayState:
        """Say what plays, and how late changes were set, from the time due to the kernel's answer."""
        with self._changed:
            playing = tuple(sorted({link for link, _ in self._heads}))
            return PlayState(playing=playing, applied=self._applied, late=tuple(self._late), failed=tuple(self._failed))

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._reschedule({})
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._due()
                if due is None:
                    return
            self._apply(due)

    def _due(self) -> list[tuple[float, LinkChange]] | None:
        """Wait until something is due, and take it; None when it is closed."""
        while not self._closed:
            now = time.monotonic()
            if self._queue and self._queue[0].due <= now:
                return self._take(now + TOGETHER)
            self._changed.wait(self._queue[0].due - now if self._queue else None)
        return None

    def _take(self, until: float) -> list[tuple[float, LinkChange]]:
        taken = []
        while self._queue and self._queue[0].due <= until:
            head = self._queue[0]
            track = head.track
            taken.append((head.due, LinkChange(link=track.link, end=track.end, patch=track.patches[head.position])))
            if head.advance():
                heapreplace(self._queue, head)
            else:
                heappop(self._queue)
                del self._heads[track.link, track.end]
        return taken

    def _apply(self, due: list[tuple[float, LinkChange]]) -> None:
        try:
            self._wiring.set([change for _, change in due])
        except TestbedError as error:
            self._drop({change.link for _, change in due}, str(error))
            return
        done = time.monotonic()
        with self._changed:
            self._applied += len(due)
            self._late.extend(done - when for when, _ in due)

    def _drop(self, links: set[str], why: str) -> None:
        """A batch that the kernel or the checks refuse ends the tracks in it: nothing is left out silently."""
        with self._changed:
            self._failed.append(f"{', '.join(sorted(links))}: {why}")
            self._reschedule({way: head for way, head in self._heads.items() if way[0] not in links})


def handle(request: Play | StopPlay | PlayStatus, wiring: Wiring, context: Context) -> PlayState:
    """Begin or end traces, or say how they go.

    Raises:
        BadInput: no such link, or a setting that no link can have; nothing is played then.
    """
    player = shared(context, "Play", lambda: Player(wiring))
    if isinstance(request, StopPlay):
        player.stop(frozenset(request.links), request.restore)
    elif isinstance(request, Play):
        changes = [LinkChange(link=t.link, end=t.end, patch=patch) for t in request.tracks for patch in t.patches]
        wiring.set(changes, check_only=True)
        player.play(request.tracks, request.delay)
    return player.state()
