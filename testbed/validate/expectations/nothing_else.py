"""`nothing-else-changed`: apart from what is listed, no router's route changes its next hops."""

from __future__ import annotations

from testbed.model.change import NothingElse
from testbed.model.verdict import Measured
from testbed.validate.expectations.base import AFTER, KEPT_PROOF, Kind
from testbed.validate.routes import difference
from testbed.validate.scene import Scene


def measure(scene: Scene, expectation: NothingElse) -> Measured:
    """Compare every router's routes with those of before the change."""
    changed = difference(scene.baseline, scene.routes, expectation.except_prefixes)
    count = sum(len(table) for table in scene.routes.values())
    compared = f"{len(changed)} of {count} routes on {len(scene.routes)} routers changed beyond what may change"
    more = [f"and {len(changed) - KEPT_PROOF} more"] if len(changed) > KEPT_PROOF else []
    proof = (compared, *changed[:KEPT_PROOF], *more)
    holds = not changed if count else None
    return Measured(phase=scene.phase, holds=holds, value=float(len(changed)), proof=proof)


def differs(expectation: NothingElse, one: Measured, other: Measured) -> str:
    """Two rounds reproduce each other when they found the same routes changed."""
    return "" if one.proof == other.proof else f"{one.phase} and {other.phase} found different routes changed"


KIND = Kind(measure, differs, phases=("before-2", *AFTER))
