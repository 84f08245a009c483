"""`nothing-else-changed`: apart from what is listed, routes, neighbours and who reaches whom are as before."""

from __future__ import annotations

from testbed.model.change import NothingElse
from testbed.model.verdict import Measured
from testbed.validate import around
from testbed.validate.expectations.base import AFTER, KEPT_PROOF, Kind
from testbed.validate.routes import difference
from testbed.validate.scene import Scene


def measure(scene: Scene, expectation: NothingElse) -> Measured:
    """Compare every router's routes and neighbours, and the pairs of routers that reach each other, with before."""
    spared = expectation.except_prefixes
    changed = difference(scene.baseline, scene.routes, spared)
    changed += around.difference(scene.around_before, scene.around, spared, scene.topology)
    count = sum(len(table) for table in scene.routes.values())
    more = [f"and {len(changed) - KEPT_PROOF} more"] if len(changed) > KEPT_PROOF else []
    summary = f"{len(changed)} changed beyond what may; {_compared(scene, count)}"
    holds = not changed if count else None
    proof = (summary, *changed[:KEPT_PROOF], *more)
    return Measured(phase=scene.phase, holds=holds, value=float(len(changed)), proof=proof)


def _compared(scene: Scene, count: int) -> str:
    """Say what was looked at, so that what was not is plain."""
    parts = [f"{count} routes of {len(scene.routes)} routers"]
    if states := scene.around.states:
        parts.append(f"{sum(map(len, states.values()))} neighbours")
    if reached := scene.around.reached:
        of_all = "" if len(reached) == scene.around.pairs else f" of {scene.around.pairs}"
        parts.append(f"{len(reached)}{of_all} pairs of routers that reach each other or do not")
    return f"compared: {', '.join(parts)}"


def differs(expectation: NothingElse, one: Measured, other: Measured) -> str:
    """Two rounds reproduce each other when they found the same changed."""
    first, second = (set(measured.proof[1:]) for measured in (one, other))
    if first == second:
        return ""
    odd = sorted(first ^ second)
    where = one.phase if odd[0] in first else other.phase
    return f"only {where} found changed: {odd[0]}"


KIND = Kind(measure, differs, phases=("before-2", *AFTER))
