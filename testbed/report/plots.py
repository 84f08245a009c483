"""Plots of a verdict's measurements, as SVG that needs nothing but the page's own style sheet.

Before the change is one colour, after it another; the second round of each is thinner. The bound is a dashed line and
the side that breaks it is shaded.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

from testbed.model.verdict import Measured
from testbed.report.markup import Markup, element

WIDTH = 520.0
LEFT, RIGHT = 74.0, 16.0
SHOWN = 160

Scale = Callable[[float], float]


def distribution(rounds: Sequence[Measured], bound: float, percentile: float) -> Markup | None:
    """Draw the share of round-trip times up to each value (an empirical distribution), one curve a round.

    Args:
        rounds: with samples in seconds. bound: seconds. percentile: 0 to 100, drawn as the level that is judged.
    """
    curves = [(one, sorted(one.samples)) for one in rounds if one.samples]
    if not curves:
        return None
    top, bottom, height = 22.0, 196.0, 236.0
    low, high = _span([value for _, samples in curves for value in samples], bound)
    across = linear(low, high, LEFT, WIDTH - RIGHT)

    def up(share: float) -> float:
        return bottom - share * (bottom - top)

    marks = [_bound(across, bound, top, bottom, f"bound {number(1e3 * bound)} ms", above=True)]
    marks += [level(up(share), f"{100 * share:g} %") for share in (0.0, 0.5)]
    marks.append(level(up(percentile / 100), f"p{percentile:g}", "judged"))
    marks += [_curve(one.phase, samples, across, up) for one, samples in curves]
    marks += axis(across, (low, high), bottom, 1e-3, "round-trip time, ms")
    return figure(height, f"Distribution of round-trip times, {len(curves)} rounds", marks)


def _curve(phase: str, samples: Sequence[float], across: Scale, up: Scale) -> Markup:
    step = max(1, len(samples) // SHOWN)
    kept = [*samples[::step], samples[-1]]
    points = []
    for value in kept:
        share = bisect_right(samples, value) / len(samples)
        last = points[-1][1] if points else up(0.0)
        points += [(across(value), last), (across(value), up(share))]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", element("title", phase), class_=f"curve {phase}", points=drawn)


def intervals(rounds: Sequence[Measured], bound: float, unit: float, name: str, *, above: bool = True) -> Markup | None:
    """Draw each round's value with its confidence interval against the bound.

    Args:
        rounds: with values in SI. bound: SI. unit: SI value of one unit shown. name: of what is shown, with its unit.
        above: whether values above the bound break it.
    """
    shown = [one for one in rounds if one.value is not None]
    if not shown:
        return None
    top, row = 22.0, 26.0
    bottom = top + row * len(shown) + 4
    numbers = [n for one in shown for n in (one.value, one.low, one.high) if n is not None]
    low, high = _span(numbers, bound)
    low = max(0.0, low)
    across = linear(low, high, LEFT, WIDTH - RIGHT)
    marks = [_bound(across, bound, top, bottom, f"bound {number(bound / unit)}", above=above)]
    marks += [_bar(one, top + row * (i + 0.5), across, high) for i, one in enumerate(shown)]
    marks += axis(across, (low, high), bottom, unit, name)
    return figure(bottom + 40, f"{name} by round with 95 % confidence intervals", marks)


def _bar(one: Measured, y: float, across: Scale, most: float) -> Markup:
    value = one.value or 0.0
    low = value if one.low is None else one.low
    high = most if one.high is None and one.low is not None else value if one.high is None else one.high
    return element(
        "g",
        element("title", f"{one.phase}: {value:.6g} [{low:.6g}, {high:.6g}]"),
        element("text", one.phase, x=LEFT - 8, y=y + 4, class_="label end"),
        element("line", x1=across(low), x2=across(high), y1=y, y2=y, class_="whisker"),
        element("circle", cx=across(value), cy=y, r=5),
        class_=f"bar {one.phase}",
    )


def figure(height: float, title: str, marks: list[Markup]) -> Markup:
    """Return a drawing as wide as all of these."""
    return element("svg", *marks, class_="plot", viewBox=f"0 0 {WIDTH:g} {height:g}", role="img", aria_label=title)


def _bound(across: Scale, bound: float, top: float, bottom: float, text: str, *, above: bool) -> Markup:
    x = across(bound)
    start, end = (x, WIDTH - RIGHT) if above else (LEFT, x)
    anchor = "end" if x > WIDTH - 90 else "" if x < LEFT + 60 else "mid"
    return element(
        "g",
        element("rect", x=start, y=top, width=max(0.0, end - start), height=bottom - top, class_="broken"),
        element("line", x1=x, x2=x, y1=top, y2=bottom, class_="bound"),
        element("text", text, x=x, y=top - 7, class_=f"label bound {anchor}"),
    )


def level(y: float, text: str, kind: str = "") -> Markup:
    """Return a line across at a height, named at the left."""
    return element(
        "g",
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_=f"grid {kind}"),
        element("text", text, x=LEFT - 8, y=y + 4, class_=f"label end {kind}"),
    )


def axis(across: Scale, span: tuple[float, float], bottom: float, unit: float, name: str) -> list[Markup]:
    """Return the line below, with round numbers in `unit` and the name of what they are."""
    marks = [element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis")]
    for tick in ticks(span[0] / unit, span[1] / unit):
        marks.append(element("text", number(tick), x=across(tick * unit), y=bottom + 16, class_="label mid"))
        marks.append(
            element("line", x1=across(tick * unit), x2=across(tick * unit), y1=bottom, y2=bottom + 4, class_="axis")
        )
    return [*marks, element("text", name, x=(LEFT + WIDTH - RIGHT) / 2, y=bottom + 33, class_="label mid")]


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Return round numbers between two values, `about` that many."""
    raw = (high - low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(step * (first + i), 10) for i in range(int((high - step * first) / step + 1e-9) + 1)]


def _span(values: Sequence[float], bound: float) -> tuple[float, float]:
    low, high = min(*values, bound), max(*values, bound)
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return max(0.0, low - margin), high + margin


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Return the scale from values to places of a drawing."""
    return lambda value: start + (value - low) / (high - low) * (end - start)


def number(value: float) -> str:
    """Write a number for people."""
    return f"{value:.4g}"
