"""What an expectation asks and what was measured, in a lab engineer's words."""

from __future__ import annotations

from collections.abc import Callable
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
    spared = f" but those to {', '.join(one.except_prefixes)}" if one.except_prefixes else ""
    return f"No route{spared} changes its next hops"


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
    if expectation.kind == "path" and measured.proof:
        return measured.proof[0]
    return {True: "yes", False: "no", None: "not measured" if measured.value is None else "open"}[measured.holds]


def interval(expectation: Expectation, measured: Measured) -> str:
    """Return the confidence interval in words, empty where there is none."""
    if expectation.kind not in _NUMBERS or (measured.low is None and measured.high is None):
        return ""
    show = _NUMBERS[expectation.kind]
    low, high = ("?" if end is None else show(end) for end in (measured.low, measured.high))
    return f"{low} to {high}" if measured.high is not None else f"{low} or more"


def bound(expectation: Expectation) -> str:
    """Return the bound, empty where there is none."""
    if isinstance(expectation, Throughput):
        return f"≥ {megabits(expectation.above)}"
    if isinstance(expectation, RoundTrip | ConvergenceGap):
        return f"< {milliseconds(expectation.below)}"
    return f"< {percent(expectation.below)}" if isinstance(expectation, Loss) else ""
