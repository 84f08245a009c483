"""What controller and agent say to each other about traces: settings of links over time, see `playback`."""

from __future__ import annotations

from typing import Literal

from msgspec import field

from testbed.emulator.loading import rank
from testbed.emulator.patch import LinkPatch, Message


class Track(Message, frozen=True):
    """What one direction of a link is set to over time.

    Attributes:
        times: seconds from the start, ascending. patches: as many.
        waits: seconds on top of the link's own delay; none, or one for each time. Where a patch has a delay, that is
            the link's own from then on.
        lap: seconds after which it begins anew; None plays it once.
        source: what it was read from, as a person names it (`csv:FILE`, `leo-pass(seed=1)`), or empty.
        repeat: whether a repetition was asked for; some sources repeat by themselves.
    """

    link: str
    end: Literal[0, 1] = 0
    times: tuple[float, ...] = ()
    patches: tuple[LinkPatch, ...] = ()
    waits: tuple[float, ...] = ()
    lap: float | None = None
    source: str = ""
    repeat: bool = False


class Play(Message, frozen=True):
    """Play traces from `delay` seconds on, each in the place of one on the same direction. -> PlayState"""

    tracks: tuple[Track, ...]
    delay: float = 0.0


class StopPlay(Message, frozen=True):
    """End the traces of these links, or of all when none is named. -> PlayState

    The links stay as they are, or with `restore` get back what they had before their traces set it.
    """

    links: tuple[str, ...] = ()
    restore: bool = False


class PlayStatus(Message, frozen=True):
    """-> PlayState"""


class PlayState(Message, frozen=True):
    """How traces go.

    Attributes:
        playing: links with a trace. applied: settings made.
        late: microseconds from the time a setting was due to the kernel's answer, in three digits, and how many
            settings were that late; negative where it was made with others just before its time.
        failed: what was refused; a trace in which something is ends.
    """

    playing: tuple[str, ...] = ()
    applied: int = 0
    late: dict[int, int] = field(default_factory=dict)
    failed: tuple[str, ...] = ()


def lateness(late: dict[int, int]) -> dict[str, float]:
    """Sum up how late settings were, whichever guests made them.

    Returns:
        p50, p99 (nearest rank) and max in seconds; nothing where no setting was made.
    """
    ordered = sorted(late.items())
    return {name: rank(ordered, share) / 1e6 for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)) if late}
