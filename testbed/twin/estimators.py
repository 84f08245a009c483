"""From noisy readings of one link to settings that hold still until the link really changes.

A window of replies gives the median round-trip time and its spread from the median absolute deviation, so that a
few late replies move neither. A step (a reroute, a switch-over) is told from noise by a whole batch lying beyond what
the spread allows: then the window is emptied and only the new batch counts, so a step is followed at once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """When an estimator believes in a step.

    Attributes:
        window: replies remembered. loss_window: packets remembered for loss.
        step_sigmas, step_floor, step_share: a batch is a step when it lies off by more than all three:
            standard deviations, seconds, and share of the value.
        step_batch: replies a batch needs to be judged.
        silence_odds: so improbable must a run of losses be under the known loss before the link counts as dead.
    """

    window: int = 100
    loss_window: int = 3000
    step_sigmas: float = 5.0
    step_floor: float = 0.3e-3
    step_share: float = 0.05
    step_batch: int = 3
    silence_odds: float = 1e-6


@dataclass(frozen=True, slots=True)
class LinkEstimate:
    """What is believed of one link now.

    Attributes:
        rtt: median, seconds. spread: standard deviation of the RTT (robust), seconds. replies: behind them.
        loss: share of round trips lost. packets: behind it. silent: nothing comes back any more.
    """

    rtt: float
    spread: float
    replies: int
    loss: float
    packets: int
    silent: bool


@dataclass(slots=True)
class LinkEstimator:
    """Follows one link by its round trips."""

    tuning: Tuning = Tuning()
    steps: int = 0
    _rtts: deque[float] = field(default_factory=deque)
    _echoes: deque[bool] = field(default_factory=deque)
    _run: int = 0

    def add(self, rtts: Sequence[float], lost: int) -> None:
        """Take a batch: the round-trip times that came back, in order, and how many did not."""
        if not rtts:
            self._run += lost
            return
        # A run that meant "dead" is an outage that is over, not a share of loss that the link has.
        outage = 0 if self._silent else self._run
        self._run = 0
        self._heard(rtts)
        self._count([False] * (outage + lost) + [True] * len(rtts))

    def _heard(self, rtts: Sequence[float]) -> None:
        if self._is_step(rtts):
            self._rtts.clear()
            self.steps += 1
        self._rtts.extend(rtts)
        _shorten(self._rtts, self.tuning.window)

    def _is_step(self, rtts: Sequence[float]) -> bool:
        if len(rtts) < self.tuning.step_batch or len(self._rtts) < self.tuning.step_batch:
            return False
        known, spread = _centre(self._rtts)
        limit = max(self.tuning.step_sigmas * spread, self.tuning.step_floor, self.tuning.step_share * known)
        # Busy devices only ever add to a round trip. Up is believed when even the quickest reply is beyond; down when
        # all but the slowest quarter are.
        ordered = sorted(rtts)
        return ordered[0] > known + limit or ordered[-1 - len(ordered) // 4] < known - limit

    def _count(self, echoes: Sequence[bool]) -> None:
        if self._loss_stepped(echoes):
            self._echoes.clear()
        self._echoes.extend(echoes)
        _shorten(self._echoes, self.tuning.loss_window)

    def _loss_stepped(self, echoes: Sequence[bool]) -> bool:
        """Do the last packets, this batch included, lose far more or less than the window's share?"""
        recent = [*list(self._echoes)[-20:], *echoes]
        older = list(self._echoes)[:-20]
        if not echoes or len(older) < 20:
            return False
        share = max(older.count(False), 0.5) / len(older)
        lost = recent.count(False)
        expected = share * len(recent)
        return abs(lost - expected) > 4 * math.sqrt(expected * (1 - min(share, 0.999))) + 2

    def forget(self) -> None:
        """Start anew: the link was cut, what was known of it may not hold when it comes back."""
        self._rtts.clear()
        self._echoes.clear()
        self._run = 0

    @property
    def _silent(self) -> bool:
        # A dead link is a run of losses that the loss known before makes practically impossible.
        known = self._echoes.count(False) / len(self._echoes) if self._echoes else 0.0
        share = min(max(known, 0.01), 0.9)
        return self._run >= max(3, math.ceil(math.log(self.tuning.silence_odds) / math.log(share)))

    def estimate(self) -> LinkEstimate | None:
        """What is believed now; None before the first reply or loss."""
        if not self._echoes and not self._run:
            return None
        rtt, spread = _centre(self._rtts) if self._rtts else (0.0, 0.0)
        silent = self._silent
        packets = len(self._echoes) + self._run
        loss = 1.0 if silent else (self._echoes.count(False) + self._run) / packets
        return LinkEstimate(rtt, spread, len(self._rtts), loss, packets, silent)


def _shorten(values: deque[float] | deque[bool], length: int) -> None:
    while len(values) > length:
        values.popleft()


def _centre(values: Iterable[float]) -> tuple[float, float]:
    """Median and robust standard deviation."""
    listed = list(values)
    middle = median(listed)
    return middle, MAD_TO_SIGMA * median(abs(value - middle) for value in listed)


@dataclass(frozen=True, slots=True)
class Settings:
    """What both directions of a link are set to: seconds, fraction, bit/s (None: no limit)."""

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    rate: float | None = None

    @property
    def echo_time(self) -> float:
        """Seconds that an echo request takes one way: the delay, and its bits where the rate is limited."""
        return self.delay + ECHO_BITS / self.rate if self.rate else self.delay


ECHO_BITS = 8 * 98.0
"""Bits of the frame of ping's 56 bytes."""

NOISE_JITTER = 0.25e-3
"""Seconds. Spread below this is the two stacks' own (scheduling), not the link's: it isn't set on the twin's link."""

ENOUGH = 20
"""Replies that a spread needs to be believed."""

LONGEST = 2.0
"""Seconds one way; no terrestrial or satellite link is longer, and the kernel takes little more as a jitter."""

FASTEST_RATE = 1e9
"""bit/s. From here on a twin's link is left unlimited: its kernel cannot carry more anyway."""


def settings(estimate: LinkEstimate, rate: float | None, stack_rtt: float = 0.0, stack_spread: float = 0.0) -> Settings:
    """Split a round trip into two equal directions.

    The two ends' clocks are not good enough to split the round trip truly, so it is halved: a link that is slower one
    way than the other is mirrored with the right round trip and the wrong one-way delays.

    Args:
        estimate: of the link on the rack.
        rate: bit/s that the link carries, None where no limit is known.
        stack_rtt, stack_spread: what the twin's own stacks add to a round trip over an unimpaired link (calibration).

    Returns:
        Settings of each direction. A loss of p on the round trip is 1-sqrt(1-p) on each: losses are independent.
    """
    spread = math.sqrt(max(0.0, estimate.spread**2 - stack_spread**2)) / math.sqrt(2)
    limit = rate if rate is not None and rate < FASTEST_RATE else None
    return Settings(
        delay=min(LONGEST, max(0.0, (estimate.rtt - stack_rtt) / 2 - Settings(rate=limit).echo_time)),
        jitter=min(LONGEST, spread)
        if estimate.replies >= ENOUGH and spread > max(NOISE_JITTER, 0.02 * estimate.rtt)
        else 0.0,
        loss=1.0 if estimate.silent else 1.0 - math.sqrt(1.0 - estimate.loss),
        rate=limit,
    )


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A setting is sent only when it is off by more than both: an absolute amount, and a share of what is set."""

    absolute: float
    share: float

    def exceeded(self, held: float, wanted: float, scale: float = 1.0) -> bool:
        """Must `wanted` replace `held`? The share is of the smaller one, so leaving zero counts beyond the amount."""
        return abs(wanted - held) > scale * max(self.absolute, self.share * min(abs(held), abs(wanted)))


TOLERANCES = {
    "delay": Tolerance(0.05e-3, 0.01),
    "jitter": Tolerance(0.2e-3, 0.25),
    "loss": Tolerance(0.5e-3, 0.25),
}


def changed(held: Settings | None, wanted: Settings, scale: float = 1.0) -> dict[str, float | None]:
    """What must be sent: only the settings off by more than their tolerance; all of them when nothing is known.

    Args:
        scale: of the tolerances; 0 sends whatever differs at all.
    """
    if held is None:
        return {"delay": wanted.delay, "jitter": wanted.jitter, "loss": wanted.loss, "rate": wanted.rate}
    picked: dict[str, float | None] = {
        name: getattr(wanted, name)
        for name, tolerance in TOLERANCES.items()
        if tolerance.exceeded(getattr(held, name), getattr(wanted, name), scale)
    }
    # A dead link coming back, or dying, is never within tolerance.
    if (held.loss == 1.0) != (wanted.loss == 1.0):
        picked["loss"] = wanted.loss
    if not _same_rate(held.rate, wanted.rate):
        picked["rate"] = wanted.rate
    return picked


def _same_rate(held: float | None, wanted: float | None) -> bool:
    if held is None or wanted is None:
        return held is wanted
    return math.isclose(held, wanted, rel_tol=0.03)


@dataclass(slots=True)
class RateMeter:
    """Bit/s from a byte counter; a counter that went back (reboot, wrap) starts anew."""

    _last: tuple[float, int] | None = None
    _excused: tuple[int, int] = (0, 0)

    def excuse(self, octets: int) -> None:
        """Leave out so many bytes of the next two readings: they are measuring, no load."""
        older, newer = self._excused
        self._excused = (older, newer + octets)

    def add(self, moment: float, octets: int) -> float | None:
        """Take a reading at `moment` (seconds): the rate since the last one, None where there is none to give."""
        last, self._last = self._last, (moment, octets)
        if last is None or moment <= last[0] or octets < last[1]:
            return None
        counted, (older, newer) = octets - last[1], self._excused
        excused = min(older + newer, counted)
        self._excused = (max(0, newer - max(0, excused - older)), 0)
        return (counted - excused) * 8 / (moment - last[0])
