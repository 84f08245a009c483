"""From noisy readings of one link to settings that hold still until the link really changes.

A window of replies gives the median round-trip time and its spread from the median absolute deviation, so that a
few late replies move neither. A step (a reroute, a switch-over) is told from noise by the newest replies, which all lie
beyond what the spread allows: then the window is emptied and only those count, so a step is followed at once.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation, for a normal distribution."""

FEWEST_RECENT, FEWEST_OLDER = 10, 20
"""Packets that a share of loss needs to be told from another: of the newest, and of those before."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """When an estimator believes in a step.

    Attributes:
        window: replies remembered. loss_window: packets remembered for loss.
        step_sigmas, step_floor, step_share: a batch is a step when it lies off by more than all three:
            standard deviations, seconds, and share of the value.
        step_run: newest replies in a row that must be beyond, and that must be closer to each other than `step_alike`
            of the step. So many as `step_batch` need not be: busy devices make few in a row late, and erratically.
        loss_odds: natural logarithm of how much likelier two shares of loss, one after the other, must be than one.
        silence_odds: so improbable must a run of losses be under the known loss before the link counts as dead.
    """

    window: int = 100
    loss_window: int = 3000
    step_sigmas: float = 5.0
    step_floor: float = 0.3e-3
    step_share: float = 0.05
    step_run: int = 3
    step_batch: int = 5
    step_alike: float = 0.25
    loss_odds: float = 8.0
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
    _batches: deque[tuple[int, int]] = field(default_factory=deque)
    _run: int = 0

    def add(self, rtts: Sequence[float], lost: int, answered: int = 0) -> None:
        """Take a batch: the round-trip times that came back, in order, how many did not, and how many came untimed."""
        if not rtts and not answered:
            self._run += lost
            return
        # A run that meant "dead" is an outage that is over, not a share of loss that the link has.
        outage = 0 if self._silent else self._run
        self._run = 0
        if rtts:
            self._heard(rtts)
        self._count(outage + lost, outage + lost + len(rtts) + answered)

    def _heard(self, rtts: Sequence[float]) -> None:
        self._rtts.extend(rtts)
        if beyond := self._stepped(len(rtts)):
            self._rtts = deque(list(self._rtts)[-beyond:])
            self.steps += 1
        _shorten(self._rtts, self.tuning.window)

    def _stepped(self, new: int) -> int:
        """How many of the newest replies are a step from what was known before them; 0 when there is none.

        A step may fall between any two replies: those at the end of the last batch count together with this one.
        """
        values, run = list(self._rtts), self.tuning.step_run
        for newest in range(new + run - 1, run - 1, -1):
            known, recent = values[:-newest], values[-newest:]
            if len(known) >= run and _is_beyond(recent, *_centre(known), self.tuning):
                return newest
        return 0

    def _count(self, lost: int, packets: int) -> None:
        self._batches.append((lost, packets))
        while self._packets() - self._batches[0][1] >= self.tuning.loss_window:
            self._batches.popleft()
        if recent := self._loss_stepped():
            self._batches = deque(list(self._batches)[-recent:])

    def _loss_stepped(self) -> int:
        """How many of the newest batches are lost at another share than those before; 0 when one share fits all.

        The likelihood-ratio test for a change point, between batches: within one, nothing is known of the order. Tried
        at suffixes whose packets double from one to the next.
        """
        likeliest, most = 0, self.tuning.loss_odds
        older, recent, least = self._totals(), (0, 0), FEWEST_RECENT
        for number, batch in enumerate(reversed(self._batches), 1):
            recent = (recent[0] + batch[0], recent[1] + batch[1])
            left = (older[0] - recent[0], older[1] - recent[1])
            if left[1] < FEWEST_OLDER:
                break
            if recent[1] < least:
                continue
            least = 2 * recent[1]
            if (odds := _two_shares(left, recent)) > most:
                likeliest, most = number, odds
        return likeliest

    def _totals(self) -> tuple[int, int]:
        """Packets lost, and all, of those remembered."""
        return sum(lost for lost, _ in self._batches), self._packets()

    def _packets(self) -> int:
        return sum(packets for _, packets in self._batches)

    def forget(self) -> None:
        """Start anew: the link was cut, what was known of it may not hold when it comes back."""
        self._rtts.clear()
        self._batches.clear()
        self._run = 0

    @property
    def _silent(self) -> bool:
        # A dead link is a run of losses that the loss known before makes practically impossible.
        lost, packets = self._totals()
        share = min(max(lost / packets if packets else 0.0, 0.01), 0.9)
        return self._run >= max(3, math.ceil(math.log(self.tuning.silence_odds) / math.log(share)))

    def estimate(self) -> LinkEstimate | None:
        """What is believed now; None before the first reply or loss."""
        if not self._batches and not self._run:
            return None
        rtt, spread = _centre(self._rtts) if self._rtts else (0.0, 0.0)
        silent = self._silent
        lost, packets = self._totals()
        packets += self._run
        loss = 1.0 if silent else (lost + self._run) / packets
        return LinkEstimate(rtt, spread, len(self._rtts), loss, packets, silent)


def _is_beyond(recent: Sequence[float], known: float, spread: float, tuning: Tuning) -> bool:
    """Busy devices only ever add to a round trip: up is believed when even the quickest of the recent replies is beyond
    what the spread allows, down when all but the slowest quarter are."""
    limit = max(tuning.step_sigmas * spread, tuning.step_floor, tuning.step_share * known)
    ordered = sorted(recent)
    step = max(ordered[0] - known, known - ordered[-1 - len(ordered) // 4])
    alike = len(recent) >= tuning.step_batch or ordered[-1] - ordered[0] <= tuning.step_alike * step
    return step > limit and alike


def _two_shares(older: tuple[int, int], recent: tuple[int, int]) -> float:
    """Logarithm of how much likelier packets are with a share of loss of each part than with one for both.

    Args:
        older, recent: packets lost, and all of them.
    """
    return _likelihood(*older) + _likelihood(*recent) - _likelihood(older[0] + recent[0], older[1] + recent[1])


def _likelihood(lost: int, packets: int) -> float:
    """Greatest logarithm of the likelihood of so many losses."""
    return sum(number * math.log(number / packets) for number in (lost, packets - lost) if number)


def _shorten(values: deque[float], length: int) -> None:
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
    """Bit/s from a byte counter, over the last three readings; one that went back (reboot, wrap) starts anew.

    Over three, because bytes to be left out may go by a reading sooner or later than they were foretold.
    """

    _last: int = 0
    _counted: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=4))
    _excused: tuple[int, int] = (0, 0)

    def excuse(self, octets: int) -> None:
        """Leave out so many bytes of the next two readings: they are measuring, no load."""
        older, newer = self._excused
        self._excused = (older, newer + octets)

    def add(self, moment: float, octets: int) -> float | None:
        """Take a reading at `moment` (seconds): the rate up to it, None where there is none to give."""
        last, self._last = self._last, octets
        if not self._counted or moment <= self._counted[-1][0] or octets < last:
            self._counted.clear()
            self._counted.append((moment, 0))
            return None
        older, newer = self._excused
        excused = min(older + newer, octets - last)
        self._excused = (max(0, newer - max(0, excused - older)), 0)
        self._counted.append((moment, self._counted[-1][1] + octets - last - excused))
        (since, before), (_, now) = self._counted[0], self._counted[-1]
        return (now - before) * 8 / (moment - since)
