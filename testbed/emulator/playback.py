"""Traces of links, played in the agent: what is due at the same moment is set in one batch, whatever link it is of.

Every change has its absolute time, so that lateness of one never delays the next, and is worked out before that, so
that all there is to do then is one send. While a trace plays, what it sets is
its own: others may change the link's other settings, and are refused these.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from msgspec import UNSET, structs

from testbed.emulator.context import Context
from testbed.emulator.links import Wiring, WorkedOut
from testbed.emulator.messages import LinkChange, WireLink
from testbed.emulator.patch import LinkPatch
from testbed.emulator.playing import Play, PlayState, PlayStatus, StopPlay, Track
from testbed.emulator.probes.base import shared
from testbed.emulator.standing import Traced
from testbed.errors import BadInput, TestbedError

TOGETHER = 0.001
"""Seconds; changes due within so little of each other share a batch, which is set when the first of them is due."""
_NAMES = LinkPatch.__struct_fields__
_DIRECTIONS = ("forward", "backward")


@dataclass(order=True, slots=True)
class Playhead:
    """Where a track is: `due` is the monotonic time of its next change, `fields` is what it ever sets."""

    due: float
    track: Track = field(compare=False)
    fields: frozenset[str] = field(compare=False)
    lap_start: float = field(compare=False)
    position: int = field(compare=False, default=0)

    @property
    def change(self) -> LinkChange:
        """What is to be set next."""
        return LinkChange(link=self.track.link, end=self.track.end, patch=self.track.patches[self.position])

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


Way = tuple[str, int]
"""A link and the end that packets leave from: 0 or 1."""


class Player:
    """Plays any number of tracks, at most one for each direction of a link. Thread-safe."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._heads: dict[Way, Playhead] = {}
        self._queue: list[Playhead] = []
        self._before: dict[Way, LinkPatch] = {}
        self._tracks: dict[Way, Track] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._version = 0
        self._late: Counter[int] = Counter()
        self._failed: list[str] = []

    def play(self, tracks: Sequence[Track], delay: float) -> None:
        """Begin tracks `delay` seconds from now, in the place of those that play on the same directions.

        Raises:
            BadInput: no such link, or a setting that no link can have; nothing is played then.
        """
        states = {state.name: state for state in self._wiring.asked({track.link for track in tracks})}
        found = {(t.link, t.end): (states[t.link].forward, states[t.link].backward)[t.end] for t in tracks}
        with self._changed:
            own = {way: _over(state, self._before.get(way, LinkPatch())) for way, state in found.items()}
        ready = [_with_waits(track, own[track.link, track.end]) for track in tracks]
        for track in ready:  # one by one, so that what plays already gets its turn between
            changes = [LinkChange(link=track.link, end=track.end, patch=patch) for patch in track.patches]
            self._wiring.set(changes, check_only=True)
        self._wiring.impair(found)
        with self._changed:
            self._begin(ready, own, time.monotonic() + delay)

    def _begin(self, tracks: Iterable[Track], own: dict[Way, LinkPatch], begin: float) -> None:
        heads = dict(self._heads)
        for track in tracks:
            way = track.link, track.end
            fields = frozenset(name for patch in track.patches for name in _named(patch))
            self._tracks[way] = track
            heads[way] = Playhead(begin + track.times[0], track, fields, begin)
            kept = fields | _named(self._before.get(way, LinkPatch()))
            self._before[way] = LinkPatch(**{name: getattr(own[way], name) for name in kept})
        self._reschedule(heads)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="playback", daemon=True)
            self._thread.start()

    def stop(self, links: frozenset[str], restore: bool) -> None:
        """End the tracks of links, of all when none is named; with `restore` undo what they did."""
        with self._changed:
            ended = {way for way in self._before if not links or way[0] in links}
            self._reschedule({way: head for way, head in self._heads.items() if way not in ended})
            before = {way: self._before.pop(way) for way in ended}
            for way in ended:
                del self._tracks[way]
        if restore:
            self._wiring.set([LinkChange(link=link, end=1 if end else 0, patch=p) for (link, end), p in before.items()])

    def beneath(self, links: Iterable[WireLink]) -> Iterator[WireLink]:
        """Give links as they would be without what traces have set."""
        with self._changed:
            before = dict(self._before)
        for link in links:
            forward, backward = (
                _over(state, before[link.name, end]) if (link.name, end) in before else state
                for end, state in enumerate((link.forward, link.backward))
            )
            yield structs.replace(link, forward=forward, backward=backward)

    def traced(self) -> tuple[Traced, ...]:
        """Say which directions have a trace that plays, or that came to its end and was not stopped."""
        with self._changed:
            return tuple(
                Traced(link=way[0], end=1 if way[1] else 0, source=track.source, repeat=track.repeat)
                for way, track in self._tracks.items()
            )

    def claim(self, changes: Iterable[LinkChange], check_only: bool = False) -> None:
        """Let others change links: what a trace has set before is theirs from then on, what one sets now is not.

        Raises:
            BadInput: a trace that plays sets the same; it would undo the change a moment later.
        """
        with self._changed:
            wanted = [((change.link, change.end), _named(change.patch)) for change in changes if change.patch]
            for way, fields in wanted:
                self._refuse(way, fields)
            for way, fields in () if check_only else wanted:
                if way in self._before:
                    rest = _named(self._before[way]) - fields
                    self._before[way] = LinkPatch(**{name: getattr(self._before[way], name) for name in rest})

    def _refuse(self, way: Way, fields: frozenset[str]) -> None:
        head = self._heads.get(way)
        if head is not None and (both := sorted(head.fields & fields)):
            link, end = way
            raise BadInput(
                f"{link} {_DIRECTIONS[end]}: a trace that plays there sets {', '.join(both)}; end it first, "
                f"`testbed trace stop {link}`, or leave out what it sets"
            )

    def _reschedule(self, heads: dict[Way, Playhead]) -> None:
        self._version += 1
        self._heads, self._queue = heads, list(heads.values())
        heapify(self._queue)
        self._changed.notify()

    def state(self) -> PlayState:
        """Say what plays, and how late changes were set."""
        with self._changed:
            playing = tuple(sorted({link for link, _ in self._heads}))
            late = dict(self._late)
            return PlayState(playing=playing, applied=sum(late.values()), late=late, failed=tuple(self._failed))

    def close(self) -> None:
        """End all, and wait until the last batch is set."""
        with self._changed:
            self._closed = True
            self._reschedule({})
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        """Work the next batch out ahead, wait until it is due, and send it."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._queue)
                if self._closed:
                    return
                version, heads = self._version, self._take()
                changes = [head.change for head in heads]
            try:
                batch = self._wiring.work_out(changes)
                with self._changed:
                    if self._reached(heads[0].due, version):
                        self._carry_out(batch, heads)
            except TestbedError as error:
                self._drop({change.link for change in changes}, str(error))

    def _take(self) -> list[Playhead]:
        """Take what is due together from the queue, or all that is late; `_reschedule` puts it back."""
        until = max(self._queue[0].due, time.monotonic()) + TOGETHER
        taken = []
        while self._queue and self._queue[0].due <= until:
            taken.append(heappop(self._queue))
        return taken

    def _reached(self, due: float, version: int) -> bool:
        """Wait until a time; False when what plays has changed before."""
        while version == self._version and (left := due - time.monotonic()) > 0:
            self._changed.wait(left)
        return version == self._version

    def _carry_out(self, batch: WorkedOut, heads: list[Playhead]) -> None:
        """Under the lock: nobody may end a trace between asking whether it plays and setting what it says."""
        self._wiring.carry_out(batch)
        done = time.monotonic()
        self._late.update(_bucket(done - head.due) for head in heads)
        for head in heads:
            if head.advance():
                heappush(self._queue, head)
            else:
                del self._heads[head.track.link, head.track.end]

    def _drop(self, links: set[str], why: str) -> None:
        """A batch that the kernel or the checks refuse ends the tracks in it: nothing is left out silently."""
        with self._changed:
            self._failed.append(f"{', '.join(sorted(links))}: {why}")
            self._reschedule({way: head for way, head in self._heads.items() if way[0] not in links})


def _bucket(seconds: float) -> int:
    """Round to three digits of microseconds: what is remembered of hours stays small, and answers add up."""
    return int(float(f"{seconds * 1e6:.3g}"))


def _named(patch: LinkPatch) -> frozenset[str]:
    return frozenset(name for name in _NAMES if getattr(patch, name) is not UNSET)


def _over(state: LinkPatch, patch: LinkPatch) -> LinkPatch:
    return structs.replace(state, **{name: getattr(patch, name) for name in _named(patch)})


def _with_waits(track: Track, own: LinkPatch) -> Track:
    """Write waits out as delays over the link's own."""
    if not track.waits:
        return track
    delay = own.delay or 0.0
    patches = []
    for patch, wait in zip(track.patches, track.waits, strict=True):
        delay = patch.delay if patch.delay is not UNSET else delay
        patches.append(structs.replace(patch, delay=delay + wait))
    return structs.replace(track, patches=tuple(patches), waits=())


def handle(request: Play | StopPlay | PlayStatus, wiring: Wiring, context: Context) -> PlayState:
    """Begin or end traces, or say how they go.

    Raises:
        BadInput: no such link, or a setting that no link can have; nothing is played or ended then.
    """
    player = shared(context, "Play", lambda: Player(wiring))
    if isinstance(request, StopPlay):
        if request.links:
            wiring.get(request.links)
        player.stop(frozenset(request.links), request.restore)
    elif isinstance(request, Play):
        player.play(request.tracks, request.delay)
    return player.state()
