"""What an expectation asks and what was measured, in a lab engineer's words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from testbed import units
from testbed.model.change import (
    Adjacency,
    ConvergenceGap,
    Expectation,
    Loss,
    NothingElse,
    PathIs,
    Reachable,
    RoundTrip,
    Throughput,
)
from testbed.model.verdict import Measured

Show = Callable[[float], str]


def stated(expectation: Expectation) -> str:
    """Return what must hold, as a sentence without its full stop."""
    return _STATED[type(expectation)](expectation)


def _flow(one: Any) -> str:
    return f"{one.source} to {one.destination}"


def _path(one: PathIs) -> str:
    parts = [("through", one.via), ("never", one.avoid), ("not over link", one.avoid_links)]
    return f"Path from {_flow(one)}" + "".join(f", {word} {', '.join(names)}" for word, names in parts if names)


def _nothing(one: NothingElse) -> str:
    spared = f" but what has to do with {', '.join(one.except_prefixes)}" if one.except_prefixes else ""
    return f"Routes, neighbours and who reaches whom stay as they are{spared}"


_STATED: dict[type, Callable[[Any], str]] = {
    Reachable: lambda e: f"{_flow(e)} is {'' if e.reachable else 'not '}reachable",
    PathIs: _path,
    RoundTrip: lambda e: f"RTT from {_flow(e)}, p{e.percentile:g}, below {milliseconds(e.below)}",
    Loss: lambda e: f"Loss from {_flow(e)} below {percent(e.below)}",
    Throughput: lambda e: f"TCP from {_flow(e)} reaches {megabits(e.above)}",
    Adjacency: lambda e: f"{e.protocol.upper()} neighbour {e.neighbour} of {e.device} is up",
    ConvergenceGap: lambda e: f"Gap in packets from {_flow(e)} during the change below {milliseconds(e.below)}",
    NothingElse: _nothing,
}


def milliseconds(value: float) -> str:
    """Show seconds as milliseconds."""
    return f"{1e3 * value:.4g} ms"


def percent(value: float) -> str:
    """Show a fraction as a percentage."""
    return f"{100 * value:.3g} %"


def megabits(value: float) -> str:
    """Show bit/s in the unit that keeps it short."""
    return units.show(float(f"{value:.4g}"), units.RATE) + "/s"


_NUMBERS: dict[str, Show] = {
    "rtt": milliseconds,
    "loss": percent,
    "throughput": megabits,
    "convergence": milliseconds,
    "reachable": lambda value: f"{percent(value)} arrive",
    "nothing-else-changed": lambda value: f"{value:.0f} changed",
}


def value(expectation: Expectation, measured: Measured) -> str:
    """Return what was measured: the number in its unit, the path, or whether it held."""
    if measured.value is not None and expectation.kind in _NUMBERS:
        return _NUMBERS[expectation.kind](measured.value)
    if expectation.kind in ("path", "adjacency") and measured.proof:
        return measured.proof[0]
    return {True: "yes", False: "no", None: "not measured" if measured.value is None else "open"}[measured.holds]


def interval(expectation: Expectation, measured: Measured) -> str:
    """Return the confidence interval in words, empty where there is none."""
    if expectation.kind not in _BOUNDED or (measured.low is None and measured.high is None):
        return ""
    show = _NUMBERS[expectation.kind]
    low, high = ("?" if end is None else show(end) for end in (measured.low, measured.high))
    return f"{low} to {high}" if measured.high is not None else f"{low} or more"


def told(expectation: Expectation, measured: Measured) -> str:
    """Return what a round found, as part of a sentence: a number with its interval, a path, a neighbour's state."""
    if measured.value is not None and expectation.kind in _BOUNDED:
        between = interval(expectation, measured)
        return value(expectation, measured) + (f" ({between})" if between else "")
    if not measured.proof:
        return {True: "it held", False: "it did not hold", None: "it stayed open"}[measured.holds]
    if isinstance(expectation, NothingElse) and measured.value:
        more = f" and {measured.value - 1:.0f} more" if measured.value > 1 else ""
        return f"{measured.proof[1]}{more}"
    if isinstance(expectation, PathIs) and measured.holds is not True:
        return ", ".join([measured.proof[0], *_why(measured)])
    return measured.proof[0]


def rounds(expectation: Expectation, measured: Sequence[Measured]) -> str:
    """Return what several rounds found that do not agree."""
    words = {True: "it held", False: "it did not hold", None: "it stayed open"}
    return ", ".join(f"{words[one.holds]} in {one.phase} ({told(expectation, one)})" for one in measured)


def undecided(expectation: Expectation, measured: Measured) -> str:
    """Return why a round left an expectation open, as part of a sentence."""
    if expectation.kind in _BOUNDED and measured.value is not None:
        between = interval(expectation, measured) or "which has no end"
        return f"{value(expectation, measured)}, but the bound, {bound(expectation)}, is inside its interval, {between}"
    if isinstance(expectation, RoundTrip) and measured.proof:
        return f"so many packets were lost that p{expectation.percentile:g} has no end: {measured.proof[0]}"
    return told(expectation, measured)


def _why(measured: Measured) -> list[str]:
    """What a path did wrong: between the path itself and the links and hops that prove it."""
    return [line for line in measured.proof[1:] if not line.startswith(("links ", "hop "))]


_BOUNDED = frozenset({"rtt", "loss", "throughput", "convergence"})


def bound(expectation: Expectation) -> str:
    """Return the bound, empty where there is none."""
    if isinstance(expectation, Throughput):
        return f"≥ {megabits(expectation.above)}"
    if isinstance(expectation, RoundTrip | ConvergenceGap):
        return f"< {milliseconds(expectation.below)}"
    return f"< {percent(expectation.below)}" if isinstance(expectation, Loss) else ""
