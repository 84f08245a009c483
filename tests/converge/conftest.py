"""Native labs of hosts and routers, which need no netem."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.substrate.probe import run as probe

LINE: dict[str, Any] = {
    "name": "line",
    "nodes": {"a": {"kind": "host"}, "b": {"kind": "host"}, "c": {"kind": "host"}},
    "links": {
        "a-b": {
            "endpoints": [
                {"node": "a", "interface": "eth1", "addresses": ["10.0.0.1/30"]},
                {"node": "b", "interface": "eth1", "addresses": ["10.0.0.2/30"]},
            ]
        },
        "b-c": {
            "endpoints": [
                {"node": "b", "interface": "eth2", "addresses": ["10.0.1.1/30"]},
                {"node": "c", "interface": "eth1", "addresses": ["10.0.1.2/30"]},
            ]
        },
    },
}


def line(**links: dict[str, Any]) -> Topology:
    """`LINE` with some fields of its links changed: `line(a_b={"mtu": 1400})`."""
    tree = deepcopy(LINE)
    for name, fields in links.items():
        tree["links"][name.replace("_", "-")] |= fields
    return Topology.model_validate(tree)


def with_node(topology: Topology, name: str, *commands: str) -> Topology:
    """A topology with one host more, behind a link to `a`."""
    tree = topology.model_dump(mode="json")
    tree["nodes"][name] = {"kind": "host", "exec": list(commands)}
    ends = [
        {"node": "a", "interface": name, "addresses": ["10.0.9.1/30"]},
        {"node": name, "interface": "eth1", "addresses": ["10.0.9.2/30"]},
    ]
    tree["links"][f"a-{name}"] = {"endpoints": ends}
    return Topology.model_validate(tree)


@pytest.fixture
def native_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if not (allowed := probe("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def lab(native_home: Path) -> Iterator[Lab]:
    with Lab.up(line(), substrate="native") as lab:
        yield lab
