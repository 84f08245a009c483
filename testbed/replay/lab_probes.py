"""A plan's expectations on a running lab: measured by its agent and judged as in the fork that the change passed in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing

from adapters.base import Adapter
from testbed.errors import NotReady
from testbed.lab import Lab
from testbed.model.change import Change, Expectation, NothingElse
from testbed.model.plan import Plan
from testbed.model.verdict import Finding
from testbed.replay import verify
from testbed.replay.verify import PHASE, Progress
from testbed.validate import lines, neighbours
from testbed.validate.of_lab import state_of
from testbed.validate.rounds import run_round
from testbed.validate.scene import Callers, Scene
from testbed.validate.settle import settle


def cannot_measure(expectation: Expectation) -> str:
    """Say why an expectation is not measured on a lab; empty when it is."""
    return "no user packets are sent across the change" if expectation.kind == "convergence" else ""


class LabProbes:
    """Measures a plan's expectations on a lab, before and after. See `testbed.replay.transaction.Probes`."""

    def __init__(self, lab: Lab, *, window: float | None = None, progress: Progress = lambda _: None) -> None:
        """Prepare; `window`: see `testbed.replay.verify.RackProbes`."""
        self._lab, self._window, self._progress = lab, window, progress
        self._topology = lines.with_addresses(state_of(lab.name).topology)
        self._first: Scene | None = None

    def before(self, plan: Plan, adapters: Mapping[str, Adapter]) -> None:
        """Note routes, flows, and where an expectation compares them who reaches whom."""
        compared = tuple(one for one in plan.change.expect if isinstance(one, NothingElse))
        with closing(Callers(self._lab.agent)) as call:
            change = plan.change.model_copy(update={"expect": compared})
            self._first, _ = run_round("before-1", change, self._topology, call, self._speaking(None))

    def after(self, plan: Plan, adapters: Mapping[str, Adapter], deadline: float) -> tuple[Finding, ...]:
        """Wait until the lab has converged, then judge every expectation.

        Raises:
            NotReady: it did not converge in time, or frames that arrived before the change do not, or circle.
        """
        assert self._first is not None
        with closing(Callers(self._lab.agent)) as call:
            speaking = self._speaking(plan.change)
            window = verify.window(plan.change) if self._window is None else self._window
            settled = settle(call, self._topology, speaking, window, max(0.0, deadline - time.monotonic()))
            if not settled.stable:
                raise NotReady(f"the lab did not converge in time; last moved: {'; '.join(settled.moving[:3])}")
            self._progress("measuring on the lab")
            scene, measured = run_round("after-1", plan.change, self._topology, call, speaking, before=self._first)
        if scene.frames and self._first.frames and (new := scene.frames.new_faults(self._first.frames)):
            raise NotReady(f"on the lab {new[0]}")
        return tuple(
            verify.judge(plan.change.expect[i], one.model_copy(update={"phase": PHASE}), plan.forecast.get(str(i)))
            for i, one in sorted(measured.items())
        )

    def _speaking(self, change: Change | None) -> neighbours.Speakers:
        return neighbours.speakers(self._topology, lines.of_change(change) if change else ())
