"""One round: routes, paths, then every expectation, those that do not disturb each other at the same time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from testbed.errors import TestbedError
from testbed.model.change import Change, Expectation, NothingElse, flow
from testbed.model.topology import Topology
from testbed.model.verdict import Measured
from testbed.validate import neighbours, places, switches
from testbed.validate.around import Around, look
from testbed.validate.busy import tempered, watching
from testbed.validate.expectations import find
from testbed.validate.judge import failure
from testbed.validate.routes import Call, Routes, snapshot
from testbed.validate.scene import Scene, Way, trace

AT_ONCE = 6


def run_round(
    phase: str,
    change: Change,
    topology: Topology,
    call: Call,
    speaking: neighbours.Speakers,
    *,
    before: Scene | None = None,
) -> tuple[Scene, dict[int, Measured]]:
    """Measure every expectation that belongs to this phase.

    Args:
        phase: `before-1` ... `after-2`. speaking: who speaks which routing protocol.
        before: the first round, which is what others are compared with; None in that round itself.

    Returns:
        What the round saw, and the measurements by index of the expectation. A failed measurement is one that holds
        nothing.
    """
    routes = snapshot(call, topology)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"validate-{phase}") as pool:
        ways = _trace_all(pool, change.expect, topology, call, routes)
        frames = switches.look(call, topology)
        if frames is not None:
            ways = {pair: switches.through(frames, way) if isinstance(way, Way) else way for pair, way in ways.items()}
        asked = any(isinstance(expectation, NothingElse) for expectation in change.expect)
        here = look(call, topology, speaking, pool) if asked else Around()
        baseline, around_before = (before.routes, before.around) if before else (routes, here)
        scene = Scene(
            phase, topology, call, routes, baseline, ways, around=here, around_before=around_before, frames=frames
        )
        mine = [(i, e) for i, e in enumerate(change.expect) if _belongs(e, phase)]
        measured: dict[int, Measured] = {}
        for wave in sorted({find(e.kind).wave for _, e in mine}):
            items = [(i, e) for i, e in mine if find(e.kind).wave == wave]
            with watching() as watch:
                found = list(pool.map(lambda item: _measure(scene, item[1]), items))
            measured.update({i: tempered(e, one, watch.share) for (i, e), one in zip(items, found, strict=True)})
    return scene, measured


def _belongs(expectation: Expectation, phase: str) -> bool:
    return phase in find(expectation.kind).phases and expectation.kind != "convergence"


def _measure(scene: Scene, expectation: Expectation) -> Measured:
    try:
        return find(expectation.kind).measure(scene, expectation)
    except TestbedError as error:
        return failure(scene.phase, error)


def flows(expectations: Sequence[Expectation], topology: Topology) -> list[tuple[str, str]]:
    """Return each (source node, destination address) that expectations speak of, once."""
    pairs = [pair for expectation in expectations if (pair := flow(expectation))]
    return list(dict.fromkeys((source, places.address_of(topology, destination)) for source, destination in pairs))


def _trace_all(
    pool: ThreadPoolExecutor, expectations: Sequence[Expectation], topology: Topology, call: Call, routes: Routes
) -> Mapping[tuple[str, str], Way | TestbedError]:
    pairs = flows(expectations, topology)

    def one(pair: tuple[str, str]) -> Way | TestbedError:
        try:
            return trace(call, topology, routes, *pair)
        except TestbedError as error:
            return error

    return dict(zip(pairs, pool.map(one, pairs), strict=True))
