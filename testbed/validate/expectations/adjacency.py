"""`adjacency`: a routing neighbour is up, by what the daemon itself says."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.base import Neighbour
from testbed.errors import NotRunning
from testbed.model.change import Adjacency
from testbed.model.verdict import Measured
from testbed.validate import neighbours
from testbed.validate.expectations.base import KEPT_PROOF, Kind, same_answer
from testbed.validate.scene import Scene


def measure(scene: Scene, expectation: Adjacency) -> Measured:
    """Ask the daemon for its neighbours and judge them."""
    device, meant = expectation.device, expectation.neighbour
    try:
        listed = neighbours.of_node(scene.call, device, expectation.protocol)
    except NotRunning as error:
        return Measured(phase=scene.phase, holds=False, proof=(f"{device} has no {meant}: {error}",))
    return judged(scene, expectation, listed)


def judged(scene: Scene, expectation: Adjacency, listed: Sequence[Neighbour]) -> Measured:
    """Judge the neighbours that a device lists: every one that is the one meant must be up, and there must be one."""
    device, meant = expectation.device, expectation.neighbour
    found = [one for one in listed if neighbours.is_of(one, device, meant, scene.topology)]
    proof = [f"{meant} is {one.state} ({one.address or one.router_id}{_on(one.interface)})" for one in found]
    nothing = f"{device}'s {expectation.protocol.upper()} lists no {meant}; it lists {_others(listed)}"
    holds = bool(found) and all(one.full for one in found)
    return Measured(phase=scene.phase, holds=holds, proof=tuple(proof[:KEPT_PROOF]) or (nothing,))


def _on(interface: str) -> str:
    return f" on {interface}" if interface else ""


def _others(listed: Sequence[Neighbour]) -> str:
    return ", ".join(f"{one.address or one.router_id}{_on(one.interface)}" for one in listed[:KEPT_PROOF]) or "none"


KIND = Kind(measure, same_answer)
