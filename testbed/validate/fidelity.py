"""Whether the fork is the mirrored rack, and whether the prediction was right about the fork."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from statistics import median
from typing import Any

from msgspec import UNSET

from testbed.emulator.messages import GetLinks, LinkPatch, LinkStates
from testbed.model.change import Change, SwitchStep
from testbed.model.impairment import Impairment
from testbed.model.topology import Topology
from testbed.model.verdict import Measured, Outcome, StaticFinding
from testbed.twin.state import MirroredState
from testbed.validate import lines, places, prediction
from testbed.validate.rounds import flows
from testbed.validate.routes import Call
from testbed.validate.scene import Scene, Way

COMPARED = ("delay", "jitter", "loss", "rate")
PATH_TOLERANCE_S = 1e-3
PATH_TOLERANCE = 0.2


def mismatches(state: MirroredState, call: Call) -> list[str]:
    """Return where the fork, as its kernel has it, is not what was mirrored, one line each."""
    found = [f"the mirror's last reading of {device} is stale" for device in state.stale]
    found += [f"the twin could not follow the rack: {line}" for line in state.drift]
    links: LinkStates = call(GetLinks())
    kernel = {link.name: link for link in links.links}
    for name, link in state.topology.links.items():
        if name not in kernel:
            found.append(f"link {name} is not in the fork")
            continue
        if kernel[name].up != link.up:
            found.append(f"link {name} is {'up' if kernel[name].up else 'down'} in the fork and not in the mirror")
        found += _unlike(f"{name} forward", link.forward, kernel[name].forward)
        found += _unlike(f"{name} backward", link.backward, kernel[name].backward)
    return found


def _unlike(where: str, wanted: Impairment, kernel: LinkPatch) -> Iterator[str]:
    for field in COMPARED:
        want, have = getattr(wanted, field) or 0.0, getattr(kernel, field)
        have = 0.0 if have in (UNSET, None) else have
        if abs(want - have) > max(2e-6, 0.01 * want):
            yield f"{where}: {field} is {have:g} in the fork, {want:g} in the mirror"


def paths(change: Change, topology: Topology, before: Scene, after: Scene) -> list[dict[str, Any]]:
    """Return each flow's path before and after the change, as the packets took it, for reports."""
    rows = []
    for source, address in before.ways:
        numbers = [i for i, e in enumerate(change.expect) if flows([e], topology) == [(source, address)]]
        ways = {"before": before.ways[source, address], "after": after.ways.get((source, address))}
        shown = {when: _shown(way) for when, way in ways.items()}
        rows.append({"source": source, "destination": address, "expectations": numbers, **shown})
    return rows


def _shown(way: object) -> dict[str, Any] | None:
    if not isinstance(way, Way):
        return None
    return {"nodes": list(way.nodes), "links": list(way.links), "reached": way.reached}


def disagreements(
    change: Change, topology: Topology, after: Scene, measured: Mapping[int, Iterable[Measured]]
) -> list[StaticFinding]:
    """Compare what shortest paths foretold with what the packets did; the emulation has decided already."""
    edits = lines.of_change(change)
    if lines.predictable(edits) or any(isinstance(step, SwitchStep) for step in change.steps):
        return []
    network = prediction.graph(topology, edits)
    found = []
    for (source, address), way in after.ways.items():
        target = places.owner_of(topology, address)
        if target is None or target == source or not isinstance(way, Way):
            continue
        foretold = prediction.predict(topology, network, source, target)
        numbers = [i for i, e in enumerate(change.expect) if flows([e], topology) == [(source, address)]]
        samples = [s for i in numbers for m in measured.get(i, ()) for s in _after_rtts(change, i, m)]
        found += [_disagreement(f"{source} to {address}: {text}") for text in _compare(foretold, way, samples)]
    return found


def _after_rtts(change: Change, index: int, measured: Measured) -> tuple[float, ...]:
    is_rtt = change.expect[index].kind == "rtt" and measured.phase.startswith("after")
    return measured.samples if is_rtt else ()


def _compare(foretold: prediction.Predicted, way: Way, samples: list[float]) -> Iterator[str]:
    if way.reached != bool(foretold.paths):
        expected = "a path" if foretold.paths else "no path"
        yield f"predicted {expected}, the packets {'arrived' if way.reached else 'did not arrive'}"
    elif foretold.paths and None not in way.nodes and way.nodes not in foretold.paths:
        yield f"predicted {' > '.join(foretold.paths[0])}, the packets took {way.text}"
    elif samples and foretold.round_trip is not None:
        took = median(samples)
        if abs(took - foretold.round_trip) > max(PATH_TOLERANCE_S, PATH_TOLERANCE * took):
            yield f"predicted an RTT of {1e3 * foretold.round_trip:.3g} ms, the median is {1e3 * took:.3g} ms"


def _disagreement(message: str) -> StaticFinding:
    text = f"prediction and emulation disagree: {message}; the emulation decides"
    return StaticFinding(check="prediction", outcome=Outcome.INCONCLUSIVE, message=text)
