"""What draw.io opens: mxGraph XML in which every edge has its ends, in the places that the nodes have."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings

from testbed.exchange.registry import import_from
from testbed.report.drawio import to_drawio
from tests.model.generated import topologies


def cells(text: str) -> dict[str, ET.Element]:
    root = ET.fromstring(text)
    assert root.tag == "mxfile"
    found = {cell.attrib["id"]: cell for cell in root.iterfind("diagram/mxGraphModel/root/mxCell")}
    assert len(found) == len(root.findall(".//mxCell"))
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(topologies())
def test_every_node_and_link_is_there_and_every_reference_holds(topology):
    found = cells(to_drawio(topology))
    assert len(found) == 2 + len(topology.nodes) + len(topology.links)
    for name, link in topology.links.items():
        ends = [found[f"link-{name}"].attrib[side] for side in ("source", "target")]
        assert ends == [f"node-{end.node}" for end in link.endpoints]
    assert all(cell.attrib.get("parent", "0") in found for cell in found.values())


def test_north_is_up_and_east_is_right():
    found = cells(to_drawio(import_from("topohub:sndlib/polska").topology))
    place = {
        name: found[f"node-{name}"].find("mxGeometry") for name in ("gdansk", "katowice", "kolobrzeg", "bialystok")
    }
    x, y = ({name: float(cell.attrib[axis]) for name, cell in place.items() if cell is not None} for axis in ("x", "y"))
    assert y["gdansk"] < y["katowice"]
    assert x["kolobrzeg"] < x["bialystok"]


def test_text_that_xml_has_no_way_to_write_is_replaced():
    topology = import_from("topohub:topozoo/Renam").topology
    links = {name: link.model_copy(update={"medium": "a\x00<b>"}) for name, link in topology.links.items()}
    found = cells(to_drawio(topology.model_copy(update={"links": links})))
    assert found["link-chisinau-balti"].attrib["value"].startswith("a\ufffd<b>\n")


@pytest.mark.parametrize("name", ["sndlib/geant", "backbone/africa"])
def test_real_backbones_are_drawn(name):
    topology = import_from(f"topohub:{name}").topology
    assert len(cells(to_drawio(topology))) == 2 + len(topology.nodes) + len(topology.links)
