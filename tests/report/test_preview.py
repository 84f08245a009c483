"""Previews of link profiles: what they work out, and that every profile can be drawn."""

from itertools import pairwise
from statistics import fmean, pstdev
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.model.impairment import GilbertElliott, Impairment
from testbed.model.profile import profile_names
from testbed.report.preview import PACKETS, POINTS, STEPS, _way, drawn, preview
from testbed.report.preview_plot import delay_rows, loss_lines, step_rows, to_html, to_svg

SVG = "{http://www.w3.org/2000/svg}"


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["uniform", "normal", "pareto", "paretonormal"]))
def test_delays_are_around_their_mean_as_wide_as_the_jitter(delay, share, distribution):
    it = Impairment(delay=delay + 4.0, jitter=share, distribution=distribution)
    delays = drawn(it)
    assert delays == tuple(sorted(delays))
    assert len(delays) == POINTS + 1
    assert fmean(delays) == pytest.approx(it.delay, abs=0.25 * share + 1e-9)
    assert pstdev(delays) == pytest.approx(
        share * (0.58 if distribution == "uniform" else 1.0), abs=0.25 * share + 1e-9
    )


def test_no_packet_arrives_before_it_was_sent():
    assert drawn(Impairment(delay=0.01, jitter=0.01, distribution="normal"))[0] == 0.0


@pytest.mark.parametrize(
    ("it", "burst"),
    [
        (Impairment(loss=0.2), None),
        (Impairment(burst=GilbertElliott(p=0.02, r=0.1, bad_loss=0.8, good_loss=0.01)), 10.0),
        (Impairment(), None),
    ],
)
def test_lost_packets_are_as_many_as_the_chain_says(it, burst):
    way = _way(it)
    assert way.burst == burst
    assert len(way.lost) / PACKETS == pytest.approx(it.mean_loss, abs=0.03)
    assert way == _way(it)


def test_losses_in_bursts_stand_together():
    alone, together = (_way(it).lost for it in (Impairment(loss=0.1), Impairment(burst=GilbertElliott(p=0.01, r=0.09))))
    neighbours = [sum(b == a + 1 for a, b in pairwise(lost)) / len(lost) for lost in (alone, together)]
    assert neighbours[0] < 0.2
    assert neighbours[1] > 0.8


def test_a_parameter_is_varied_over_its_span_and_the_others_stay_as_given():
    found = preview("microwave(km=5)", over="rain")
    assert (found.over, found.unit, len(found.steps)) == ("rain", "mm/h", STEPS + 1)
    assert (found.steps[0].value, found.steps[-1].value) == (0, 250)
    rates = [step.rate[0] or 0.0 for step in found.steps]
    assert rates == sorted(rates, reverse=True)
    assert {step.delay[0] for step in found.steps} == {found.ways["forward"].delays[50]}


def test_choices_are_varied_one_by_one():
    found = preview("nr-5qi")
    assert [step.value for step in found.steps][:3] == ["1", "2", "3"]
    assert preview("geo").steps == ()


def test_a_parameter_that_there_is_not_is_told():
    with pytest.raises(BadInput, match="microwave has no parameter 'rian'; did you mean 'rain'"):
        preview("microwave", over="rian")


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_can_be_drawn(name):
    found = preview(name)
    top = ElementTree.fromstring(to_svg(found))
    assert top.findtext(f"{SVG}title", "").startswith(found.call)
    bottom = float(top.attrib["height"])
    for line in top.iter(f"{SVG}polyline"):
        places = [tuple(map(float, place.split(","))) for place in line.attrib["points"].split()]
        assert all(0 <= x <= 520 and 0 <= y <= bottom for x, y in places)
    assert found.call in to_html(found)
    assert len(list(delay_rows(found))) == 9
    assert len(list(loss_lines(found))) == 2
    assert len(list(step_rows(found))) <= 32
