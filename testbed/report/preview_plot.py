"""A profile's preview as SVG that needs nothing else, for light and dark pages, and as lines for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from testbed import units
from testbed.model.profile import DIRECTIONS
from testbed.report.markup import Markup, element
from testbed.report.plots import LEFT, RIGHT, WIDTH, Scale, axis, level, linear, number, ticks
from testbed.report.preview import PACKETS, POINTS, Preview, Step, Way

TOP, HEIGHT, APART = 34.0, 130.0, 74.0
BAR = 40
_STYLE = """
.tb-preview{--paper:#fff;--ink:#17202a;--soft:#566373;--line:#dfe4ea;--forward:#2f6fde;--backward:#d9660a;
font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif;font-size:12px}
@media(prefers-color-scheme:dark){.tb-preview{--paper:#12181f;--ink:#e6edf3;--soft:#a4b1bf;--line:#2a343f;
--forward:#78aaff;--backward:#ffa14f}}
.tb-preview .paper{fill:var(--paper)}.tb-preview text{fill:var(--soft)}
.tb-preview .title{fill:var(--ink);font-weight:600}
.tb-preview .end{text-anchor:end}.tb-preview .mid{text-anchor:middle}.tb-preview .name{font-size:15px}
.tb-preview .grid{stroke:var(--line)}.tb-preview .axis{stroke:var(--soft)}
.tb-preview .curve{fill:none;stroke-width:2.5;stroke-linejoin:round}
.tb-preview .forward{stroke:var(--forward)}.tb-preview .backward{stroke:var(--backward);stroke-dasharray:6 3}
.tb-preview .lost{stroke-width:1;stroke-dasharray:none}.tb-preview text.forward{fill:var(--forward);stroke:none}
.tb-preview text.backward{fill:var(--backward);stroke:none}
"""

Curve = Sequence[tuple[float, float]]


def to_svg(it: Preview) -> str:
    """Draw a preview: delays, losses, then delay, loss and rate over the varied parameter where it has one."""
    panels = [_delays(it), _losses(it), *_over(it)]
    marks: list[Markup] = []
    bottom = 62.0
    for height, panel in panels:
        marks.append(element("g", *panel, transform=f"translate(0 {bottom:g})"))
        bottom += height
    head = (
        element("rect", width=WIDTH, height=bottom, class_="paper"),
        element("text", it.call, x=14, y=26, class_="title name"),
        element("text", "forward", x=LEFT, y=48, class_="forward"),
        element("text", "backward" if _differ(it) else "= backward", x=LEFT + 62, y=48, class_="backward"),
    )
    size = {"viewBox": f"0 0 {WIDTH:g} {bottom:g}", "width": f"{WIDTH:g}", "height": f"{bottom:g}"}
    title = element("title", f"{it.call}: {it.about}")
    return element(
        "svg", title, element("style", Markup(_STYLE)), *head, *marks,
        xmlns="http://www.w3.org/2000/svg", class_="tb-preview", role="img", **size,
    ) + "\n"  # fmt: skip


def to_html(it: Preview) -> str:
    """Return a page with the drawing."""
    head = element("head", element("meta", charset="utf-8"), element("title", it.call))
    body = element("body", Markup(to_svg(it)), element("p", it.about))
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _differ(it: Preview) -> bool:
    forward, backward = (it.ways[name] for name in DIRECTIONS)
    return forward != backward or any(len(set(pair)) > 1 for step in it.steps for pair in (step.delay, step.rate))


@dataclass(frozen=True, slots=True)
class Side:
    """What an axis shows, the SI value of one unit shown, and where it ends; None for above the highest value."""

    name: str
    unit: float = 1.0
    most: float | None = None


def _delays(it: Preview) -> tuple[float, list[Markup]]:
    curves = [[(delay, share / POINTS) for share, delay in enumerate(way.delays)] for way in it.ways.values()]
    title = "delays that netem draws: share of packets up to each"
    return _panel(title, curves, Side("delay, ms", 1e-3), Side("%", 0.01, 1.0))


def _losses(it: Preview) -> tuple[float, list[Markup]]:
    """A stroke for each packet that is lost of those drawn."""
    across = linear(0, PACKETS, LEFT, WIDTH - RIGHT)
    words = dict.fromkeys(_loss_words(way) for way in it.ways.values())
    marks = [
        element("text", f"lost packets of {PACKETS} drawn: {' / '.join(words)}", x=LEFT, y=TOP - 12, class_="title")
    ]
    for y, (name, way) in zip((TOP, TOP + 30.0), it.ways.items(), strict=True):
        marks.append(element("text", name, x=LEFT - 8, y=y + 15, class_="end"))
        marks += [
            element("line", x1=across(one), x2=across(one), y1=y, y2=y + 22, class_=f"lost {name}") for one in way.lost
        ]
    return 58 + APART, [*marks, *axis(across, (0, PACKETS), TOP + 58, 1.0, "packet")]


def _loss_words(way: Way) -> str:
    burst = f", in bursts of {way.burst:g} packets" if way.burst else ""
    return f"{units.show(way.loss, units.SHARE)}{burst}"


def _over(it: Preview) -> Iterator[tuple[float, list[Markup]]]:
    steps = [step for step in it.steps if not isinstance(step.value, str)]
    if not steps:
        return
    name = f"{it.over}, {it.unit}" if it.unit else f"{it.over}"
    shown = (("delay", 1e-3, "ms"), ("loss", 0.01, "%"), ("rate", 1e6, "Mbit/s"))
    for field, unit, word in shown:
        curves = [_curve(steps, field, end) for end in (0, 1)]
        if any(curves):
            yield _panel(f"{field} over {it.over}", curves, Side(name), Side(word, unit))


def _curve(steps: Sequence[Step], field: str, end: int) -> list[tuple[float, float]]:
    pairs = ((float(step.value), getattr(step, field)[end]) for step in steps)
    return [(value, height) for value, height in pairs if height is not None]


def _panel(title: str, curves: Sequence[Curve], below: Side, left: Side) -> tuple[float, list[Markup]]:
    """Return a panel's height and marks."""
    points = [point for curve in curves for point in curve]
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    if low == high:
        low, high = low - (abs(low) or below.unit) / 2, high + (abs(high) or below.unit) / 2
    top = left.most or 1.08 * max(y for _, y in points) or left.unit
    across, up = linear(low, high, LEFT, WIDTH - RIGHT), linear(0.0, top, TOP + HEIGHT, TOP)
    marks = [element("text", title, x=LEFT, y=TOP - 12, class_="title")]
    marks += [level(up(tick * left.unit), f"{number(tick)} {left.name}") for tick in ticks(0, top / left.unit, 4)]
    marks += [_drawn(curve, across, up, way) for curve, way in zip(curves, DIRECTIONS, strict=True) if curve]
    return HEIGHT + APART, [*marks, *axis(across, (low, high), TOP + HEIGHT, below.unit, below.name)]


def _drawn(curve: Curve, across: Scale, up: Scale, way: str) -> Markup:
    places = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in curve)
    return element("polyline", element("title", way), class_=f"curve {way}", points=places)


# --- for a terminal --------------------------------------------------------------------------------------------------


def delay_rows(it: Preview) -> Iterator[list[str]]:
    """Give the quantiles of the delays, with a bar as long as the delay."""
    longest = max(way.delays[-1] for way in it.ways.values()) or 1.0
    for share in (0, 1, 10, 25, 50, 75, 90, 99, 100):
        row = [f"p{share}"]
        for way in it.ways.values():
            delay = way.delays[share]
            row += [units.show(delay, units.TIME), "█" * math.ceil(BAR / 2 * delay / longest)]
        yield row


def step_rows(it: Preview, most: int = 11) -> Iterator[list[str]]:
    """Give delay, loss and rate over the varied parameter, `most` rows or all choices."""
    every = 1 if len(it.steps) <= 2 * most else (len(it.steps) - 1) // (most - 1)
    for step in it.steps[::every]:
        row = [step.value if isinstance(step.value, str) else number(step.value)]
        row += [_pair([units.show(one, units.TIME) for one in step.delay])]
        row += [_pair([units.show(one, units.SHARE) for one in step.loss])]
        yield [*row, _pair(["no limit" if one is None else units.show(one, units.RATE) for one in step.rate])]


def loss_lines(it: Preview) -> Iterator[str]:
    """Give the losses in words."""
    for name, way in it.ways.items():
        yield f"{name}: loss {_loss_words(way)}; {len(way.lost)} of {PACKETS} packets in a draw"


def _pair(texts: Sequence[str]) -> str:
    return texts[0] if texts[0] == texts[1] else " / ".join(texts)
