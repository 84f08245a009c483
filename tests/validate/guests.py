"""Scenes of real routers in the test session's guest, tried as if each were a fork of its own."""

from __future__ import annotations

from collections.abc import Callable

from adapters.frr import FrrAdapter
from testbed.emulator.messages import Build, WaitReady
from testbed.lab import Lab
from testbed.model.change import Change
from testbed.model.verdict import Outcome, Verdict
from testbed.twin.state import MirroredState
from testbed.twin.transport import AgentTransport
from testbed.validate.run import validate


class Shared:
    """The test session's guest, in the place of a fork."""

    name = "shared"

    def __init__(self, lab: Lab):
        self.agent = lab.agent

    def down(self):
        """It stays up for the next test."""


def mirrored(lab: Lab, build: Build, state: MirroredState) -> MirroredState:
    """Build a scene and read its configurations back, as a mirror does."""
    names = {node.name for node in build.nodes}
    with lab.agent() as agent:
        agent.call(build)
        missing = [line for line in agent.call(WaitReady(deadline=60.0)).missing if any(name in line for name in names)]
        assert not missing
        configs = {name: FrrAdapter(AgentTransport(agent, name)).running_config() for name in names}
    topology = state.topology
    nodes = {name: node.model_copy(update={"config": configs[name]}) for name, node in topology.nodes.items()}
    return state.model_copy(update={"topology": topology.model_copy(update={"nodes": nodes})})


def attempted(
    lab: Lab, state: MirroredState, change: Change, progress: Callable[[str], None] | None = None, *, tries: int = 1
) -> Verdict:
    """Validate a change in the scene.

    Args:
        tries: how often at most while anything stays open: on a busy machine what is told by times rightly does.
    """
    verdict = validate(change, state, progress, fork=lambda state, name: Shared(lab))
    if tries > 1 and Outcome.INCONCLUSIVE in (verdict.outcome, *(finding.outcome for finding in verdict.findings)):
        return attempted(lab, state, change, progress, tries=tries - 1)
    return verdict
