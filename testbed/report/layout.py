"""Where the nodes of a drawing go."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.model.topology import Topology

Points = Mapping[str, tuple[float, float]]


def layout(topology: Topology) -> Points:
    """Place every node, the same every time.

    Returns:
        node name to x and y, in hops; the longer side of the drawing lies along x, and y grows downwards.
    """
    from testbed.report.stress import places  # takes long to import; all commands know the drawings, few draw

    links = tuple((one.endpoints[0].node, one.endpoints[1].node) for one in topology.links.values())
    return places(tuple(topology.nodes), links)
