"""Small networks that several tests build."""

from __future__ import annotations

from testbed.emulator.lower import build_of
from testbed.emulator.messages import Build, LinkPatch, WireEnd, WireLink, WireNode
from testbed.model.topology import Topology


def pair(forward: LinkPatch | None = None, backward: LinkPatch | None = None) -> Build:
    """Two hosts, `left` (10.0.0.1) and `right` (10.0.0.2), joined by the link `wire`."""
    ends = (
        WireEnd(node="left", interface="eth1", addresses=("10.0.0.1/30", "fd00::1/64")),
        WireEnd(node="right", interface="eth1", addresses=("10.0.0.2/30", "fd00::2/64")),
    )
    wire = WireLink(name="wire", ends=ends, forward=forward or LinkPatch(), backward=backward or LinkPatch())
    return Build(nodes=(WireNode(name="left", kind="host"), WireNode(name="right", kind="host")), links=(wire,))


def routers(protocol: str, count: int = 3) -> Build:
    """A chain of routers r0, r1, ... with links l0, l1, ... and loopbacks 10.255.0.1, ..."""
    return build_of(chain(protocol, count))


def chain(protocol: str, count: int = 3) -> Topology:
    nodes = {
        f"r{i}": {"kind": "router", "protocols": [protocol], "loopbacks": [f"10.255.0.{i + 1}/32"], "asn": 65000 + i}
        for i in range(count)
    }
    links = {
        f"l{i}": {
            "endpoints": [
                {"node": f"r{i}", "interface": "eth1", "addresses": [f"10.0.{i}.1/30"]},
                {"node": f"r{i + 1}", "interface": "eth2", "addresses": [f"10.0.{i}.2/30"]},
            ]
        }
        for i in range(count - 1)
    }
    return Topology.model_validate({"name": "chain", "nodes": nodes, "links": links})
