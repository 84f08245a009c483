"""What a link profile will do, worked out without a lab: delays as netem draws them, losses, all over a parameter."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from testbed.emulator.netem import table
from testbed.errors import BadInput, nearest
from testbed.model.impairment import GilbertElliott, Impairment
from testbed.model.profile import DIRECTIONS, Parameter, Profile, Value, called, load_profile

POINTS = 100
"""Quantiles of a delay distribution."""
PACKETS = 5000
"""Packets whose losses are drawn."""
STEPS = 40
"""Steps over the span of a number."""
_SCALE = 8192
"""Table entries of one jitter (sch_netem.c, NETEM_DIST_SCALE)."""


@dataclass(frozen=True, slots=True)
class Way:
    """One direction with the parameters that were given.

    Attributes:
        delays: seconds at the shares 0, 0.01, ..., 1 of packets. lost: numbers of the packets that are lost of PACKETS
            drawn with seed 0. loss: share in the long run. burst: packets that the bad state lasts on average, None
            where losses are independent. rate: bit/s.
    """

    delays: tuple[float, ...]
    loss: float
    burst: float | None
    lost: tuple[int, ...]
    rate: float | None


@dataclass(frozen=True, slots=True)
class Step:
    """The profile with another value of the varied parameter; (forward, backward), None for no limit of the rate."""

    value: Value
    delay: tuple[float, float]
    loss: tuple[float, float]
    rate: tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Preview:
    """All that is drawn. `over`: the varied parameter, in `unit`; None where the profile has none."""

    call: str
    about: str
    ways: Mapping[str, Way]
    over: str | None = None
    unit: str = ""
    steps: tuple[Step, ...] = ()


def preview(call: str, over: str | None = None, beside: Path | None = None) -> Preview:
    """Work a profile out.

    Args:
        call: such as `microwave(km=5)`. over: the parameter that is varied; the first number when None.
        beside: a folder whose netem_profiles come first.

    Raises:
        BadInput: no such profile or parameter, or the profile is wrong.
    """
    profile, values = called(call, beside)
    ways = zip(DIRECTIONS, load_profile(call, beside), strict=True)
    found = Preview(call, profile.about, {name: _way(impairment) for name, impairment in ways})
    chosen = _varied(profile, over)
    if chosen is None:
        return found
    steps = tuple(_step(profile, values, chosen, value, beside) for value in _span(profile.parameters[chosen]))
    return replace(found, over=chosen, unit=profile.parameters[chosen].unit, steps=steps)


def _varied(profile: Profile, over: str | None) -> str | None:
    if over is None:
        numbers = [name for name, one in profile.parameters.items() if not one.choices]
        return next(iter([*numbers, *profile.parameters]), None)
    if over not in profile.parameters:
        known = ", ".join(profile.parameters) or "none"
        raise BadInput(f"{profile.name} has no parameter {over!r}{nearest(over, profile.parameters)} (it has: {known})")
    return over


def _span(parameter: Parameter) -> Iterator[Value]:
    """Give the choices, or numbers over the span; one without an end goes to ten times its default."""
    if parameter.choices:
        yield from parameter.choices
        return
    far = 10 * abs(float(parameter.default)) or 1.0
    low, high = max(parameter.least, -far), min(parameter.most, far if parameter.most > 1e300 else parameter.most)
    yield from (low + (high - low) * number / STEPS for number in range(STEPS + 1))


def _step(profile: Profile, values: Mapping[str, Value], name: str, value: Value, beside: Path | None) -> Step:
    given = {**values, name: value}
    written = ", ".join(f"{key}={one if isinstance(one, str) else repr(one)}" for key, one in given.items())
    one, other = load_profile(f"{profile.name}({written})", beside)
    return Step(value, (one.delay, other.delay), (one.mean_loss, other.mean_loss), (one.rate, other.rate))


def _way(it: Impairment) -> Way:
    burst = 1 / it.burst.r if it.burst and it.burst.r else None
    return Way(drawn(it), it.mean_loss, burst, tuple(_lost(it)), it.rate)


def drawn(it: Impairment) -> tuple[float, ...]:
    """Return the quantiles 0, 0.01, ..., 1 of the delays that netem draws: its table, scaled by the jitter."""
    entries = sorted(array("h", table(it.distribution)))
    picked = (entries[round(number / POINTS * (len(entries) - 1))] for number in range(POINTS + 1))
    return tuple(max(0.0, it.delay + it.jitter * entry / _SCALE) for entry in picked)


def _lost(it: Impairment) -> Iterator[int]:
    """Give the packets that are lost, by the kernel's own steps (sch_netem.c, loss_gilb_ell): the state that a packet
    finds decides, and moves on at the same time."""
    random = Random(0)
    chain = it.burst or GilbertElliott(p=0.0, r=0.0, good_loss=it.loss)
    bad = False
    for number in range(PACKETS):
        if random.random() < (chain.bad_loss if bad else chain.good_loss):
            yield number
        if random.random() < (chain.r if bad else chain.p):
            bad = not bad
