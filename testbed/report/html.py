"""`report.html`: one self-contained page; the verdict is read in three seconds, the evidence lies below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from testbed.model.change import ConvergenceGap, Loss, RoundTrip, Step, Throughput
from testbed.model.topology import Topology
from testbed.model.verdict import DeviceChange, Finding, Measured, Outcome, Verdict
from testbed.report import plots, wording
from testbed.report.graph import to_svg
from testbed.report.markup import Markup, element, joined

MOST_DRAWINGS = 3
GROUPS = (("before", "Before"), ("after", "After"))


def render(verdict: Verdict, topology: Topology, extra: Mapping[str, Any] | None = None) -> str:
    """Return the page.

    Args:
        verdict: with its evidence. topology: that was mirrored, drawn with the paths before and after.
        extra: further sections by title: `mirror` (metrics by name), `replay` (rows of predicted and measured), any
            mapping or list of rows.

    Returns:
        HTML that asks for nothing from anywhere; everything that came from files or devices is escaped.
    """
    style = Markup((files("testbed.report") / "report.css").read_text(encoding="utf-8"))
    title = f"{verdict.outcome.value}: {verdict.change.name}"
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", style),
    )
    body = element("body", element("main", *_sections(verdict, topology, extra or {})))
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _sections(verdict: Verdict, topology: Topology, extra: Mapping[str, Any]) -> Iterable[Markup | None]:
    yield _banner(verdict)
    yield _table(verdict)
    yield from (_extra(title, content) for title, content in extra.items() if content)
    yield _drawings(verdict, topology)
    yield _devices(verdict)
    yield _evidence(verdict)
    yield _static(verdict)
    yield _environment(verdict)
    yield element("footer", f"testbed · state {verdict.state_hash[:16] or 'unknown'} · made {_time(verdict.finished)}")


def _banner(verdict: Verdict) -> Markup:
    facts = _facts(
        ("Expectations that hold", f"{_count(verdict, Outcome.PASSED)} of {len(verdict.change.expect)}"),
        ("Devices touched", ", ".join(dict.fromkeys(step.device for step in verdict.change.steps))),
        ("Rollback", _rollback(verdict)),
        ("Background load", _load(verdict)),
        ("Tried for", f"{verdict.finished - verdict.started:.1f} s"),
        ("At", _time(verdict.started)),
    )
    change = verdict.change
    described = f"{change.name}: {change.description}" if change.description else change.name
    return element(
        "section",
        element("h1", _icon(verdict.outcome), element("span", verdict.outcome.value), class_="word"),
        element("p", _sentence(verdict.reason), class_="reason"),
        element("p", "Change ", element("strong", described), class_="change"),
        facts,
        class_=f"verdict {verdict.outcome.value}",
    )


def _count(verdict: Verdict, outcome: Outcome) -> int:
    return sum(finding.outcome is outcome for finding in verdict.findings)


def _rollback(verdict: Verdict) -> str:
    return {True: "proven in the twin", False: "NOT proven", None: "not tried"}[
        verdict.environment.get("rollback_proven")
    ]


def _load(verdict: Verdict) -> str:
    """What ran beside the measurements: the mirrored load, and how much of the rack's that is."""
    flows = verdict.environment.get("load", ())
    total = 1e6 * sum(flow["mirrored_mbit_s"] for flow in flows)
    share = verdict.environment.get("load_scale", 1.0)
    capped = f", {wording.percent(share)} of the rack's" if share < 1 else ""
    count = f"{len(flows)} flow{'s' if len(flows) > 1 else ''}"
    return f"{count}, {wording.megabits(total)} in all{capped}" if flows else "none was mirrored"


def _facts(*pairs: tuple[str, str]) -> Markup:
    return element("dl", *(element("div", element("dt", k), element("dd", v)) for k, v in pairs), class_="facts")


def _table(verdict: Verdict) -> Markup:
    header = [element("th", name, scope="col") for name in ("Outcome", "What must hold", "Before", "After", "Bound")]
    found = dict(enumerate(verdict.findings))
    rows = [_row(index, wording.stated(e), found.get(index)) for index, e in enumerate(verdict.change.expect)]
    body = element("table", element("thead", element("tr", *header)), element("tbody", *rows), class_="stacks")
    return element("section", element("h2", "What must hold after the change"), body)


def _row(index: int, stated: str, finding: Finding | None) -> Markup:
    if finding is None:
        return element("tr", element("td", element("span", "not tried", class_="quiet")), _stated(index, stated))
    why = None if finding.outcome is Outcome.PASSED else element("span", finding.reason, class_="interval")
    cells = [element("td", _values(finding, group), data_label=name) for group, name in GROUPS]
    limit = wording.bound(finding.expectation)
    bound = element("td", limit, class_="number", data_label="Bound" if limit else None)
    return element("tr", element("td", _badge(finding.outcome)), _stated(index, stated, why), *cells, bound)


def _stated(index: int, stated: str, why: Markup | None = None) -> Markup:
    return element("th", f"{index + 1}. {stated}", why, scope="row")


def _values(finding: Finding, group: str) -> list[Markup]:
    """Both rounds' values, said once when they read the same, with the wider interval's ends below."""
    rounds = [one for one in finding.measured if one.phase.startswith(group)]
    texts = dict.fromkeys(wording.value(finding.expectation, one) for one in rounds)
    ranges = dict.fromkeys(filter(None, (wording.interval(finding.expectation, one) for one in rounds)))
    shown = [element("div", _unbroken(text)) for text in texts] or [element("span", "–", class_="quiet")]
    return [*shown, *(element("span", text, class_="interval") for text in ranges)]


def _unbroken(path: str) -> list[Markup]:
    """Show a path so that a line ends between nodes, not at the hyphen in a name."""
    *passed, last = path.split(" > ")
    return [joined(element("span", f"{node} →", class_="node"), " ") for node in passed] + [element("span", last)]


def _drawings(verdict: Verdict, topology: Topology) -> Markup | None:
    flows = list(verdict.environment.get("paths", ()))
    moved = [flow for flow in flows if _nodes(flow, "before") != _nodes(flow, "after")]
    drawn = [_drawing(flow, topology) for flow in (moved or flows[:1])[:MOST_DRAWINGS]]
    if not drawn:
        drawn = [element("div", Markup(to_svg(topology)), class_="drawing")] if topology.nodes else []
    left = len(moved) - MOST_DRAWINGS
    more = element("p", f"{left} more flows changed their path.", class_="quiet") if left > 0 else None
    return element("section", element("h2", "The network, and the way of the packets"), drawn, more) if drawn else None


def _nodes(flow: Mapping[str, Any], when: str) -> list[str]:
    way = flow.get(when) or {}
    return [node or "?" for node in way.get("nodes", ())] + ([] if way.get("reached", True) else ["(not reached)"])


def _drawing(flow: Mapping[str, Any], topology: Topology) -> Markup:
    before, after = (
        {link for link in (flow.get(when) or {}).get("links", ()) if link in topology.links} for when, _ in GROUPS
    )
    colours = dict.fromkeys(before, "var(--before)") | dict.fromkeys(after, "var(--after)")
    colours |= dict.fromkeys(before & after, "var(--both)")
    ways = [
        element(
            "p", element("strong", name, class_=when), " ", " → ".join(_nodes(flow, when)) or "not traced", class_="way"
        )
        for when, name in GROUPS
    ]
    key = element(
        "p",
        element("span", "only before", class_="before"),
        element("span", "only after", class_="after"),
        element("span", "before and after", class_="both"),
        class_="key",
    )
    return element(
        "div",
        element("h3", f"{flow.get('source', '?')} to {flow.get('destination', '?')}"),
        ways,
        element("div", Markup(to_svg(topology, highlight=colours)), class_="drawing"),
        key if colours else None,
    )


def _devices(verdict: Verdict) -> Markup | None:
    if verdict.devices:
        return element("section", element("h2", "The change on each device"), *map(_device, verdict.devices))
    steps = [element("pre", _step_text(step)) for step in verdict.change.steps]
    return element("section", element("h2", "The change as proposed"), *steps)


def _step_text(step: Step) -> str:
    return "\n".join(f"{key}: {value}" for key, value in step.model_dump(exclude_none=True).items())


def _device(device: DeviceChange) -> Markup:
    hashes = f"configuration {device.before_hash[:12]} before, {device.after_hash[:12]} after, SHA-256"
    return element(
        "div",
        element("h3", f"{device.device} ({device.adapter})"),
        element("p", hashes, class_="interval mono"),
        element("pre", *(_diff_line(line) for line in device.diff.splitlines()), class_="diff"),
        _folded("Exact bytes sent, and what takes them back", f"{device.lines}\n--- rollback ---\n{device.rollback}"),
        class_="device",
    )


def _diff_line(line: str) -> Markup:
    kinds = (("+++", "at"), ("---", "at"), ("@@", "at"), ("+", "add"), ("-", "del"))
    kind = next((name for start, name in kinds if line.startswith(start)), None)
    return element("span", line, class_=kind)


def _folded(title: str, text: str) -> Markup:
    return element("details", element("summary", title), element("pre", text))


def _evidence(verdict: Verdict) -> Markup | None:
    if not verdict.findings:
        return None
    shown = [_finding(index, finding) for index, finding in enumerate(verdict.findings, 1)]
    return element("section", element("h2", "The evidence"), *shown)


def _finding(number: int, finding: Finding) -> Markup:
    drawn = [plot for plot in _plots(finding) if plot is not None]
    proof = "\n\n".join(_proof(one) for one in finding.measured)
    return element(
        "article",
        element("header", _badge(finding.outcome), element("h3", f"{number}. {wording.stated(finding.expectation)}")),
        element("p", _sentence(finding.reason), class_="why"),
        *(element("div", plot) for plot in drawn),
        _folded("Packets and routes that prove it", proof) if proof else None,
        class_="finding",
    )


def _plots(finding: Finding) -> list[Markup | None]:
    expectation, rounds = finding.expectation, finding.measured
    if isinstance(expectation, RoundTrip):
        curve = plots.distribution(rounds, expectation.below, expectation.percentile)
        name = f"RTT p{expectation.percentile:g}, ms"
        return [curve, plots.intervals(rounds, expectation.below, 1e-3, name)]
    if isinstance(expectation, Loss):
        return [plots.intervals(rounds, expectation.below, 0.01, "packets lost, %")]
    if isinstance(expectation, Throughput):
        return [plots.intervals(rounds, expectation.above, 1e6, "TCP, Mbit/s", above=False)]
    if isinstance(expectation, ConvergenceGap):
        return [plots.intervals(rounds, expectation.below, 1e-3, "longest gap, ms")]
    return []


def _proof(one: Measured) -> str:
    words = {True: "holds", False: "does not hold", None: "open"}
    return "\n".join([f"{one.phase}: {words[one.holds]}", *(f"  {line}" for line in one.proof)])


def _static(verdict: Verdict) -> Markup | None:
    if not verdict.static:
        return None
    rows = [
        element(
            "tr",
            element("td", _badge(one.outcome, _STATIC[one.outcome])),
            element("th", one.check, scope="row"),
            element("td", one.message),
        )
        for one in verdict.static
    ]
    return element("section", element("h2", "Checks without running, and the prediction"), _listed(rows))


def _listed(rows: list[Markup]) -> Markup:
    head = element("tr", *(element("th", name, scope="col") for name in ("Outcome", "Check", "What it found")))
    return element("table", element("thead", head), element("tbody", *rows), class_="stacks")


_STATIC = {Outcome.PASSED: "NOTE", Outcome.FAILED: "REFUSED", Outcome.INCONCLUSIVE: "WARNING"}


def _environment(verdict: Verdict) -> Markup:
    shown = {key: value for key, value in verdict.environment.items() if key != "paths"}
    named = {key: _time(value) if key == "mirrored_at" else value for key, value in shown.items()}
    return element("section", element("h2", "Where and how it was tried"), _content(named))


def _extra(title: str, content: Any) -> Markup:
    return element("section", element("h2", _TITLES.get(title, title)), _content(content))


_TITLES = {
    "mirror": "How well the twin was in step with the rack",
    "replay": "Foretold by the twin, measured on the rack",
}


def _content(content: Any) -> Markup:
    """Show plain data: a mapping as names and values, a list of mappings as a table."""
    if isinstance(content, Mapping):
        pairs = [(element("dt", _spaced(key)), element("dd", _content(value))) for key, value in content.items()]
        return element("dl", *pairs, class_="plain")
    if isinstance(content, Sequence) and not isinstance(content, str):
        if content and all(isinstance(row, Mapping) for row in content):
            return _rows(content)
        return joined(", ".join(map(_plain, content)) or "none")
    return joined(_plain(content))


def _rows(rows: Sequence[Mapping[str, Any]]) -> Markup:
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = element("tr", *(element("th", _spaced(name), scope="col") for name in names))
    body = [element("tr", *(element("td", _content(row.get(name, ""))) for name in names)) for row in rows]
    return element("table", element("thead", head), element("tbody", *body))


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _spaced(name: object) -> str:
    return str(name).replace("_", " ")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) or not text else ".")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if seconds else "unknown"


def _badge(outcome: Outcome, word: str | None = None) -> Markup:
    return element("span", _icon(outcome), word or outcome.value, class_=f"badge {outcome.value}")


_SHAPES: dict[Outcome, Callable[[], Markup]] = {
    Outcome.PASSED: lambda: element("path", d="M7 12.5l3.5 3.5L17 8.5", **_STROKE),
    Outcome.FAILED: lambda: element("path", d="M8 8l8 8M16 8l-8 8", **_STROKE),
    Outcome.INCONCLUSIVE: lambda: element("path", d="M9 9.2a3 3 0 1 1 4.2 2.8c-.8.4-1.2.9-1.2 2M12 17.2v.1", **_STROKE),
}
_STROKE = {
    "fill": "none",
    "stroke": "currentColor",
    "stroke_width": "2.4",
    "stroke_linecap": "round",
    "stroke_linejoin": "round",
}


def _icon(outcome: Outcome) -> Markup:
    """A tick, a cross or a question mark: the outcome is never told by colour alone."""
    ring = element("circle", cx=12, cy=12, r=10.5, fill="none", stroke="currentColor", stroke_width="2")
    return element("svg", ring, _SHAPES[outcome](), viewBox="0 0 24 24", aria_hidden="true")
