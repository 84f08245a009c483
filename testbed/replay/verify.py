"""What a plan's expectations look like on the rack, measured by the devices themselves and judged as in the twin.

The same code that judges the twin judges here: only what it asks is answered by the adapters (ping, traceroute, routes,
neighbours) instead of the twin's agent. Then the twin's forecast is held against what was measured: a change that
holds, but otherwise than foretold, was not understood, and is not kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from adapters.base import Adapter, Capability, Facts
from testbed.emulator.messages import Hop, Hops, Reach, Reached, Request, Stamp, StampResult, Trace
from testbed.errors import BadInput, NotReady, TestbedError
from testbed.model.change import Adjacency, Change, Expectation, NothingElse, PathIs
from testbed.model.plan import Plan
from testbed.model.rack import Inventory
from testbed.model.verdict import Finding, Measured, Outcome
from testbed.twin.discover import infer, survey
from testbed.validate import expectations, lines, places
from testbed.validate.expectations import adjacency
from testbed.validate.judge import failure
from testbed.validate.routes import Routes, difference
from testbed.validate.scene import Scene, Way, trace

PHASE = "rack"
POLL = 0.5
WINDOW = 5.0
QUICK_WINDOW = 1.5
SPAN = 4.0
FASTEST_PING = 0.005
TOLERANCE: Mapping[str, tuple[float, float]] = {
    "rtt": (2e-3, 0.15),
    "loss": (5e-3, 0.0),
    "reachable": (0.2, 0.0),
    "throughput": (0.0, 0.15),
    "nothing-else-changed": (0.0, 0.0),
}
CANNOT_ON_RACK: Mapping[str, str] = {
    "throughput": "no adapter can load the rack's links",
    "convergence": "no adapter can send user packets across the change",
}
NEEDS: Mapping[str, Capability] = {
    "reachable": Capability.PING,
    "rtt": Capability.PING,
    "loss": Capability.PING,
    "path": Capability.TRACEROUTE,
    "adjacency": Capability.COLLECT,
}

Progress = Callable[[str], object]
Cannot = Callable[[Expectation, Mapping[str, Adapter]], str]


class RackProbes:
    """Measures a plan's expectations on the rack, before and after. See `testbed.replay.transaction.Probes`."""

    def __init__(
        self, inventory: Inventory, *, window: float | None = None, progress: Progress = lambda _: None
    ) -> None:
        """Prepare.

        Args:
            inventory: the rack. window: seconds without any change of routes and neighbours that count as converged;
                when None, as in the twin: short where the change cannot make a neighbour time out, else `WINDOW`.
        """
        self._inventory, self._window, self._progress = inventory, window, progress
        self._baseline: Routes = {}

    def before(self, plan: Plan, adapters: Mapping[str, Adapter]) -> None:
        """Note every device's routes before anything is sent, where an expectation compares them."""
        if any(isinstance(one, NothingElse) for one in plan.change.expect):
            self._baseline = routes_of(survey(adapters))

    def after(self, plan: Plan, adapters: Mapping[str, Adapter], deadline: float) -> tuple[Finding, ...]:
        """Wait until the rack has converged, then judge every expectation its devices can measure.

        Raises:
            NotReady: it did not converge in time. DeviceError: a device does not answer.
        """
        facts = settled(adapters, window(plan.change) if self._window is None else self._window, deadline)
        scene = Scene(
            phase=PHASE,
            topology=infer(facts, self._inventory).topology,
            call=answering(adapters),
            routes=routes_of(facts),
            baseline=self._baseline,
            span=SPAN,
        )
        measurable = [(index, one) for index, one in enumerate(plan.change.expect) if not cannot_measure(one, adapters)]
        return tuple(self._judge(scene, facts, one, plan.forecast.get(str(index))) for index, one in measurable)

    def _judge(self, scene: Scene, facts: Mapping[str, Facts], one: Expectation, foretold: float | None) -> Finding:
        self._progress(f"measuring {one.kind} on the rack")
        try:
            measured = _measure(scene, facts, one)
        except TestbedError as error:
            measured = failure(PHASE, error)
        return judge(one, measured, foretold)


def window(change: Change) -> float:
    """Return the seconds without movement that count as converged: few where no neighbour can time out."""
    return QUICK_WINDOW if lines.keeps_adjacencies(lines.of_change(change)) else WINDOW


def cannot_measure(expectation: Expectation, adapters: Mapping[str, Adapter]) -> str:
    """Say why the rack's devices cannot measure an expectation; empty when they can."""
    if expectation.kind in CANNOT_ON_RACK:
        return CANNOT_ON_RACK[expectation.kind]
    if isinstance(expectation, NothingElse):
        return ""
    device = expectation.device if isinstance(expectation, Adjacency) else expectation.source
    if device not in adapters:
        return f"{device} is no device of the rack"
    needed = NEEDS[expectation.kind]
    return "" if needed in adapters[device].capabilities else f"{device} cannot {needed}"


def judge(expectation: Expectation, measured: Measured, foretold: float | None) -> Finding:
    """Judge one measurement on the rack: by the expectation, then by the twin's forecast."""
    if measured.holds is None:
        reason = measured.proof[0] if measured.proof else "nothing could be said"
        return _finding(expectation, Outcome.INCONCLUSIVE, f"still open on the rack: {reason}", measured)
    if not measured.holds:
        return _finding(expectation, Outcome.FAILED, "does not hold on the rack", measured)
    wrong = disagreement(expectation.kind, measured, foretold)
    if wrong:
        return _finding(expectation, Outcome.FAILED, f"holds, but {wrong}", measured)
    agrees = "" if foretold is None else f", as foretold ({foretold:.6g}; here {measured.value:.6g})"
    return _finding(expectation, Outcome.PASSED, f"holds on the rack{agrees}", measured)


def disagreement(kind: str, measured: Measured, foretold: float | None) -> str:
    """Say how the rack differs from the twin's forecast; empty when it does not, or when nothing was foretold.

    They agree when the forecast lies in the measurement's confidence interval, widened on both sides by the kind's
    tolerance: for RTTs 2 ms or 15 %, for loss half a percent, for reachability a fifth of the packets.
    """
    if foretold is None or measured.value is None:
        return ""
    absolute, share = TOLERANCE.get(kind, (0.0, 0.0))
    slack = max(absolute, share * abs(foretold))
    low = measured.value if measured.low is None else measured.low
    high = measured.value if measured.high is None else measured.high
    if low - slack <= foretold <= high + slack:
        return ""
    return f"the twin foretold {foretold:.6g}, the rack has {measured.value:.6g} ({low:.6g} to {high:.6g})"


def settled(adapters: Mapping[str, Adapter], window: float, deadline: float) -> dict[str, Facts]:
    """Ask all devices until no route and no neighbour has changed for a window.

    Raises:
        NotReady: something still moves at the deadline; it is named.
    """
    last = survey(adapters)
    changed = time.monotonic()
    moving: list[str] = []
    while time.monotonic() - changed < window:
        if time.monotonic() > deadline:
            raise NotReady(f"the rack did not converge in time; last moved: {'; '.join(moving[:3]) or 'nothing seen'}")
        time.sleep(POLL)  # a polling period: devices announce no "converged" that could be waited for
        now = survey(adapters)
        moved = difference(routes_of(last), routes_of(now)) or _neighbours_moved(last, now)
        if moved:
            moving, changed = moved, time.monotonic()
        last = now
    return last


def routes_of(facts: Mapping[str, Facts]) -> Routes:
    """Return every device's routes as the twin's are kept: prefix to next hops."""
    return {name: {route.prefix: route.next_hops for route in fact.routes} for name, fact in facts.items()}


def answering(adapters: Mapping[str, Adapter]) -> Callable[[Request], Any]:
    """Return what answers a probe's request by the device's own ping and traceroute.

    Ping's round trips stand for STAMP's: it has no clock at the far end, so one-way values are not known.
    """

    def call(request: Request) -> Any:
        if isinstance(request, Reach):
            return _reach(_of(adapters, request.source), request)
        if isinstance(request, Stamp):
            return _stamp(_of(adapters, request.source), request)
        if isinstance(request, Trace):
            return _trace(_of(adapters, request.source), request)
        raise BadInput(f"{type(request).__name__} cannot be measured on the rack")

    return call


def _measure(scene: Scene, facts: Mapping[str, Facts], expectation: Expectation) -> Measured:
    if isinstance(expectation, Adjacency):
        listed = [one for one in facts[expectation.device].neighbours if one.protocol == expectation.protocol]
        return adjacency.judged(scene, expectation, listed)
    if isinstance(expectation, PathIs):
        address = places.address_of(scene.topology, expectation.destination)
        way: Way = trace(scene.call, scene.topology, scene.routes, expectation.source, address)
        scene = Scene(
            scene.phase, scene.topology, scene.call, scene.routes, scene.baseline, {(expectation.source, address): way}
        )
    measured = expectations.find(expectation.kind).measure(scene, expectation)
    return measured.model_copy(update={"proof": tuple(_by_ping(measured.proof))})


def _by_ping(proof: Iterable[str]) -> Iterable[str]:
    """The judges speak of STAMP; on the rack it was ping, whose clock is in user space."""
    for line in proof:
        if "on the way there" not in line and line != "path not traced":
            yield line.replace("STAMP packets", "ICMP echoes")


def _reach(adapter: Adapter, request: Reach) -> Reached:
    result = adapter.ping(request.destination, count=request.count, interval=request.interval)
    return Reached(sent=result.sent, received=result.received, rtt=result.rtt, detail=result.proof)


def _stamp(adapter: Adapter, request: Stamp) -> StampResult:
    interval = max(request.interval, FASTEST_PING)
    result = adapter.ping(request.destination, count=request.count, interval=interval, dscp=request.dscp)
    lost = (math.nan,) * (result.sent - len(result.rtt))
    return StampResult(
        rtt=(*result.rtt, *lost),
        forward=(),
        backward=(),
        sent=result.sent,
        received=result.received,
        kernel_timestamps=False,
    )


def _trace(adapter: Adapter, request: Trace) -> Hops:
    result = adapter.traceroute(request.destination)
    hops = tuple(Hop(ttl=ttl, address=address) for ttl, address in enumerate(result.hops, 1))
    return Hops(hops=hops, reached=result.reached)


def _of(adapters: Mapping[str, Adapter], source: str) -> Adapter:
    if source not in adapters:
        raise BadInput(f"{source} is no device of the rack; packets cannot be sent from it")
    return adapters[source]


def _neighbours_moved(before: Mapping[str, Facts], after: Mapping[str, Facts]) -> list[str]:
    def states(fact: Facts) -> set[tuple[str, str, str]]:
        return {(one.address, one.interface, one.state) for one in fact.neighbours}

    return [
        f"{name}: neighbours {sorted(states(fact))}"
        for name, fact in after.items()
        if states(fact) != states(before[name])
    ]


def _finding(expectation: Expectation, outcome: Outcome, reason: str, measured: Measured) -> Finding:
    return Finding(expectation=expectation, outcome=outcome, reason=reason, measured=(measured,))
