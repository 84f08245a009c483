"""Import, export, import: the identity on what a format holds, for every format that goes both ways."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.exchange.base import EVERYTHING, kept
from testbed.exchange.containerlab.write import rendered
from testbed.exchange.registry import FORMATS, export_to, find, import_from
from testbed.model.topology import Topology
from tests.model.generated import topologies

TWO_WAY = [name for name, form in FORMATS.items() if form.read and form.write]


def there_and_back(topology: Topology, format: str) -> Topology:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in export_to(topology, format, skip_unsupported=True).files.items():
            path = Path(folder) / (name or "file")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return import_from(str(Path(folder) / "file"), format).topology


def test_the_formats_that_go_both_ways():
    assert {"testbed", "containerlab"} <= set(TWO_WAY)


@pytest.mark.parametrize("format", TWO_WAY)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_what_a_format_holds_comes_back(format, data):
    form = find(format)
    topology = data.draw(topologies(switched=format != "containerlab"))  # it has no switches, and refuses them
    expected = kept(topology, form).topology
    expected = rendered(expected) if form.renders else expected
    again = there_and_back(topology, format)
    assert again == expected
    assert there_and_back(again, format) == again


@pytest.mark.parametrize("format", TWO_WAY)
def test_a_name_that_fits_is_left_as_it_is(format):
    topology = Topology.model_validate({"name": "t", "nodes": {"a--0": {"kind": "host"}}})
    assert list(there_and_back(topology, format).nodes) == ["a--0"]


@pytest.mark.parametrize("format", TWO_WAY)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(topology=topologies())
def test_every_key_that_is_lost_is_named(format, topology):
    form = find(format)
    found = kept(topology, form)
    lines = [*found.lost, *found.unsaid]
    assert (lines == []) == (found.topology == topology)
    assert all(form.holds != EVERYTHING and line.startswith(f"{format} cannot hold `") for line in lines)


def test_containerlab_refuses_a_switch_by_name():
    topology = Topology.model_validate({"name": "t", "nodes": {"s1": {"kind": "switch"}}})
    with pytest.raises(BadInput, match="node s1: containerlab cannot hold kind switch"):
        export_to(topology, "containerlab")
