"""What became of load: a table for people, and a drawing of what was offered and delivered."""

from __future__ import annotations

from collections.abc import Iterable

from testbed import units
from testbed.emulator.loading import FlowReport, LoadReport
from testbed.emulator.probes.load import explain
from testbed.report.markup import Markup, element
from testbed.report.plots import LEFT, RIGHT, WIDTH, axis, linear

_ROW, _TOP = 16.0, 34.0
_LABELS = 150.0
_DRAWN = 60
_STYLE = (
    "text{font:11px sans-serif;fill:#333}.end{text-anchor:end}.mid{text-anchor:middle}"
    ".axis{stroke:#888}.offered{fill:#c9d3df}.delivered{fill:#2f6db3}"
)
COLUMNS = ["flow", "offered", "delivered", "sent", "received", "lost", "p50", "p99", "jitter", "reordered", "not sent"]


def rows(flows: Iterable[FlowReport]) -> tuple[list[str], list[list[str]]]:
    """Return a table's columns and rows, one a flow."""
    return COLUMNS, [_row(flow) for flow in flows]


def _row(flow: FlowReport) -> list[str]:
    share = f" ({100 * flow.lost / flow.sent:.2g} %)" if flow.lost else ""
    delays = [f"{units.show(d, units.TIME)}" if (d := flow.delay(at)) is not None else "-" for at in (0.5, 0.99)]
    return [
        f"{flow.flow.name} {flow.flow.protocol}/{flow.flow.dscp}",
        units.show(flow.flow.rate, units.RATE),
        units.show(float(f"{flow.delivered:.4g}"), units.RATE),
        str(flow.sent),
        str(flow.received),
        f"{flow.lost}{share}",
        *delays,
        units.show(float(f"{flow.jitter:.3g}"), units.TIME),
        str(flow.reordered),
        "; ".join(explain(flow)),
    ]


def draw(report: LoadReport) -> str:
    """Draw each flow's offered rate and, over it, what was delivered; the largest flows first (SVG)."""
    flows = sorted(report.flows, key=lambda flow: -flow.flow.rate)[:_DRAWN]
    bottom = _TOP + _ROW * max(1, len(flows)) + 4
    most = max((max(flow.flow.rate, flow.delivered) for flow in flows), default=1.0)
    across = linear(0.0, most, LEFT + _LABELS, WIDTH + _LABELS - RIGHT)
    unit = max((factor for factor in units.RATE.values() if factor <= most), default=1.0)
    name = next(name for name, factor in units.RATE.items() if factor == unit)
    left = len(report.flows) - len(flows)
    title = "Offered (pale) and delivered (dark)" + (f"; {left} smaller flows are not drawn" if left else "")
    marks = [element("style", _STYLE), element("text", title, x=8, y=18)]
    for number, flow in enumerate(flows):
        y = _TOP + _ROW * number
        marks.append(element("text", flow.flow.name, x=LEFT + _LABELS - 8, y=y + 11, class_="end"))
        marks += [_bar(across(0.0), across(rate), y, kind) for rate, kind in _bars(flow)]
    marks += axis(across, (0.0, most), bottom, unit, f"{name}/s")
    size = f"0 0 {WIDTH + _LABELS:g} {bottom + 40:g}"
    return str(element("svg", *marks, xmlns="http://www.w3.org/2000/svg", viewBox=size, role="img", aria_label=title))


def _bars(flow: FlowReport) -> list[tuple[float, str]]:
    return [(flow.flow.rate, "offered"), (flow.delivered, "delivered")]


def _bar(start: float, end: float, y: float, kind: str) -> Markup:
    height, inset = (_ROW - 4, 0.0) if kind == "offered" else (_ROW - 10, 3.0)
    return element("rect", x=start, y=y + inset, width=max(0.0, end - start), height=height, class_=kind)
