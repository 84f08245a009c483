"""Our own YAML: the one format that holds everything."""

from __future__ import annotations

from testbed.exchange.base import EVERYTHING, Files, Findings, Format
from testbed.model.dump import dump
from testbed.model.load import load_topology
from testbed.model.topology import Topology


def read(source: str, findings: Findings) -> Topology:
    """Read a topology file, see `testbed.model.load.load_topology`."""
    return load_topology(source)


def write(topology: Topology) -> Files:
    """Write a topology as a person would."""
    return {"": dump(topology)}


FORMAT = Format(
    name="testbed",
    about="testbed's own topology file (YAML)",
    recognises=lambda source: source.lower().endswith((".yaml", ".yml")),
    read=read,
    write=write,
    holds=EVERYTHING,
)
