"""No file, however broken, makes anything but BadInput: valid ones are cut, doubled and sprinkled with junk."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.errors import BadInput
from testbed.exchange.registry import export_to, import_from
from tests.exchange.labs import LAB, write_lab

_YAML = """kind linux bridge nodes links exec binds [] {} null ~ << : - & * ! $ ${ ${A:-} __clabNodeName__ 0x1 |- # @"""
_XML = """<node id="a"/> <edge/> <data key="d0"> </data> <graph> & < > &#0; &amp; <![CDATA[ ]]> <!-- <?x ?> xmlns=" """
_GML = """graph node edge [ ] id source target label " 1 -1e9999 1e5 &#0; &#99999999; # @ \\"""
_WORDS = {ending: words.split(" ") for ending, words in (("clab.yml", _YAML), ("graphml", _XML), ("gml", _GML))}


def valid(ending: str) -> str:
    if ending == "clab.yml":
        return LAB
    return export_to(import_from("topohub:topozoo/Renam").topology, ending, skip_unsupported=True).files[""]


@pytest.mark.parametrize("ending", sorted(_WORDS))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_change_of_a_good_file_raises_anything_but_bad_input(ending, data):
    text = valid(ending)
    junk = st.lists(st.sampled_from(_WORDS[ending]) | st.text(max_size=3), max_size=6).map(" ".join)
    for _ in range(data.draw(st.integers(1, 3))):
        at, length = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 30))
        text = text[:at] + data.draw(junk) + text[at + length :]
    with tempfile.TemporaryDirectory() as folder:
        write_lab(Path(folder))
        file = Path(folder) / f"x.{ending}"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        for skip in (False, True):
            assert _told(file, skip)


def _told(file: Path, skip: bool) -> bool:
    """Whether it is read, or refused in words that name the file."""
    try:
        return bool(import_from(str(file), skip_unsupported=skip).topology.nodes)
    except BadInput as refused:
        return file.name in str(refused) or "what cannot be kept" in str(refused)
