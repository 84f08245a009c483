"""What the README shows is what the product reads."""

import re
from pathlib import Path

from testbed.model.change import Change
from testbed.model.load import load_topology, loads
from testbed.model.topology import Topology

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def test_the_topology_of_the_readme_is_the_one_in_the_folder():
    assert loads(BLOCKS[0], Topology) == load_topology(ROOT / "topologies" / "first.yaml")


def test_the_change_of_the_readme_can_be_read():
    assert loads(BLOCKS[1], Change).name == "drain-agg1"


def test_every_page_that_the_readme_names_is_there():
    named = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [page for page in named if not (ROOT / page).exists()] == []
