"""A track: the settings of one direction of a link, each with its time."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict, cast

from testbed.errors import BadInput

FIELDS = ("delay", "wait", "jitter", "loss", "rate")


class Setting(TypedDict, total=False):
    """Fields of `testbed.model.impairment.Impairment`, in SI; what is not named stays as it is.

    `wait` is what packets wait on top of the link's own delay.
    """

    delay: float
    wait: float
    jitter: float
    loss: float
    rate: float


@dataclass(frozen=True, slots=True)
class Track:
    """What is set when.

    Attributes:
        times: seconds from the start, ascending. settings: as many.
        lap: seconds after which it begins anew; None plays it once.
    """

    times: tuple[float, ...]
    settings: tuple[Setting, ...]
    lap: float | None = None

    def __post_init__(self) -> None:
        if len(self.times) != len(self.settings) or not self.times:
            raise BadInput(
                f"a trace of {len(self.times)} times and {len(self.settings)} settings; expected some of each"
            )
        if any(not 0 <= time < math.inf for time in self.times) or list(self.times) != sorted(self.times):
            raise BadInput("a trace whose times are not ascending from 0 s")
        if self.lap is not None and not self.times[-1] < self.lap < math.inf:
            raise BadInput(f"a trace that begins anew after {self.lap:g} s, but goes on to {self.times[-1]:g} s")
        for time, setting in zip(self.times, self.settings, strict=True):
            _check(time, setting)

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.lap if self.lap is not None else self.times[-1]


_SPANS = {**dict.fromkeys(("delay", "wait", "jitter"), (0.0, 3600.0)), "loss": (0.0, 1.0), "rate": (8.0, math.inf)}


def _check(time: float, setting: Setting) -> None:
    for name, value in setting.items():
        low, high = _SPANS[name]
        if not (isinstance(value, float | int) and low <= value <= high and math.isfinite(value)):
            raise BadInput(f"a trace with {name} {value} at {time:g} s; expected {low:g} to {high:g}")


def track_of(steps: Iterable[tuple[float, Setting]], lap: float | None = None) -> Track:
    """Make a track of (time, setting) pairs, without the settings that change nothing."""
    times, settings = [], []
    known: dict[str, object] = {}
    for time, setting in steps:
        new = {name: value for name, value in setting.items() if known.get(name) != value}
        if new:
            times.append(time)
            settings.append(cast(Setting, new))
            known.update(new)
    return Track(tuple(times), tuple(settings), lap)
