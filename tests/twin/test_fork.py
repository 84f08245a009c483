"""A fork beside its live twin: the same kernel, the same addresses, and neither sees the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.emulator.messages import LinkChange, Reach
from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.substrate import probe
from testbed.twin.fork import fork
from testbed.twin.state import MirroredState

PAIR = Topology.model_validate(
    {
        "name": "fork-pair",
        "nodes": {"a": {"kind": "host"}, "b": {"kind": "host"}},
        "links": {
            "a-b": {
                "endpoints": [
                    {"node": "a", "interface": "eth0", "addresses": ["10.0.0.1/24"]},
                    {"node": "b", "interface": "eth0", "addresses": ["10.0.0.2/24"]},
                ]
            }
        },
    }
)


def test_a_fork_runs_where_its_twin_does_and_is_not_cut_with_it(testbed_home: Path) -> None:
    if not (allowed := probe.run("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    ping = Reach(source="a", destination="10.0.0.2", count=1)
    with Lab.up(PAIR, substrate="native") as twin:
        state = MirroredState(twin=twin.name, measured=0.0, topology=PAIR)
        with fork(state) as forked, twin.agent() as live, forked.agent() as other:
            assert forked.substrate == "native"
            live.set_links([LinkChange(link="a-b", up=False)])
            assert live.call(ping).received == 0
            assert other.call(ping).received == 1
