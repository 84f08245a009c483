import json
import re
from html.parser import HTMLParser

import pytest

from testbed.model.change import Reachable
from testbed.model.topology import Link, Topology
from testbed.model.verdict import Finding, Measured, Outcome, StaticFinding, Verdict
from testbed.report import json as report_json
from testbed.report import plots
from testbed.report.html import render
from testbed.report.markup import element
from tests.report.samples import square, verdict

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&{}"
VOID = {"meta", "br", "hr"}


class Reader(HTMLParser):
    """Collects elements and checks that every one is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


@pytest.mark.parametrize("outcome", list(Outcome))
def test_the_page_is_whole_and_says_the_outcome_first(outcome):
    page = render(
        verdict(outcome), square(), {"mirror": {"alignment": 0.99}, "replay": [{"predicted": 1, "measured": 2}]}
    )
    reader = read(page)
    assert f"<title>{outcome.value}: prefer-the-microwave</title>" in page
    assert reader.tags.count("h1") == 1
    assert page.index(outcome.value) < page.index("What must hold")


def test_the_page_asks_nothing_of_the_network():
    reader = read(render(verdict(), square()))
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(reader.tags)
    assert not {"src", "href", "srcset"} & {name for name, _ in reader.attributes}
    page = render(verdict(), square()).replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|url\(|@import", page)


def hostile():
    base = verdict()
    change = base.change.model_copy(
        update={
            "description": HOSTILE,
            "expect": (Reachable.model_construct(kind="reachable", source="r1", destination=HOSTILE),),
        }
    )
    measured = tuple(Measured(phase=p, holds=False, proof=(HOSTILE,)) for p in ("before-1", "after-1"))
    update = {
        "change": change,
        "reason": HOSTILE,
        "findings": (Finding(expectation=change.expect[0], outcome=Outcome.FAILED, reason=HOSTILE, measured=measured),),
        "static": (StaticFinding(check=HOSTILE, outcome=Outcome.FAILED, message=HOSTILE),),
        "devices": tuple(
            d.model_copy(update={"diff": HOSTILE, "lines": HOSTILE, "rollback": HOSTILE, "adapter": HOSTILE})
            for d in base.devices
        ),
        "environment": {
            HOSTILE: HOSTILE,
            "paths": [
                {
                    "source": HOSTILE,
                    "destination": HOSTILE,
                    "before": {"nodes": [HOSTILE], "links": [HOSTILE]},
                    "after": None,
                }
            ],
        },
        "state_hash": HOSTILE,
    }
    return base.model_copy(update=update)


def test_nothing_from_outside_becomes_markup():
    base = square()
    links = {name: Link.model_validate(link.model_dump() | {"medium": HOSTILE}) for name, link in base.links.items()}
    topology = Topology(name=base.name, nodes=base.nodes, links=links)
    reader = read(render(hostile(), topology, {HOSTILE: [{HOSTILE: HOSTILE}]}))
    plain = read(render(verdict(), square()))
    assert "script" not in reader.tags
    assert "img" not in reader.tags
    assert set(reader.tags) <= set(plain.tags) | {"li"}
    assert not [name for name, _ in reader.attributes if name.startswith("on")]


def test_text_and_attributes_are_escaped_and_markup_is_not():
    assert element("p", "<b>", element("b", "x"), title='"') == '<p title="&quot;">&lt;b&gt;<b>x</b></p>'


def test_a_refused_change_has_a_page_too():
    base = verdict()
    refused = Verdict(change=base.change, outcome=Outcome.FAILED, reason="refused", static=base.static)
    page = render(refused, square())
    read(page)
    assert "not tried" in page


def test_every_expectation_with_numbers_is_drawn_against_its_bound():
    page = render(verdict(), square())
    for words in ("bound 8 ms", "bound 1", "bound 50", "bound 200"):
        assert words in page


def test_paths_before_and_after_are_marked_in_the_drawing():
    page = render(verdict(), square())
    assert "stroke:var(--before)" in page
    assert "stroke:var(--after)" in page
    assert "r1 → r4 → r3" in page


def test_json_has_the_summary_and_the_whole_verdict():
    given = verdict()
    made = json.loads(report_json.render(given, {"mirror": {"alignment": 1.0}}))
    assert made["summary"]["outcome"] == "FAILED"
    assert made["summary"]["outcomes"] == {"FAILED": 2, "INCONCLUSIVE": 1, "PASSED": 5}
    assert Verdict.model_validate(made["verdict"]) == given
    assert made["extra"]["mirror"]["alignment"] == 1.0


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0042, 0.0145), (13.0, 13.1), (0.0, 94e6)])
def test_ticks_are_few_round_and_inside(low, high):
    found = plots.ticks(low, high)
    assert 3 <= len(found) <= 9
    assert all(low - 1e-9 <= tick <= high + 1e-9 * max(1, high) for tick in found)


def test_plots_without_measurements_are_left_out():
    nothing = [Measured(phase="after-1", holds=None)]
    assert plots.distribution(nothing, 0.01, 95) is None
    assert plots.intervals(nothing, 0.01, 1, "x") is None


def test_one_value_and_an_unbounded_interval_are_drawn():
    one = [Measured(phase="after-1", holds=None, value=0.0, low=0.0, high=None, samples=(0.0,))]
    assert plots.intervals(one, 0.0, 1, "x") is not None
    assert plots.distribution(one, 0.0, 95) is not None
