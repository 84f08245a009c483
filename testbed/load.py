"""Load of a lab: from what was written to flows between addresses, and from reports to samples and sums."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import structs
from pydantic import ValidationError

from testbed.emulator.loading import FlowReport, LoadFlow, LoadReport
from testbed.emulator.probes.load import explain
from testbed.errors import BadInput
from testbed.model.base import WRITTEN
from testbed.model.load import Written, written_load
from testbed.model.topology import Bridge, Switch, Topology
from testbed.model.traffic import SIZE, UNIT, Matrix, Pairs, Shape, Traffic, gravity, place_problems
from testbed.telemetry.sample import Sample
from testbed.telemetry.sinks import SqliteFile

LARGEST_RATE = 1e11
SMALLEST_RATE = 8.0
"""bit/s; what a matrix gives less to is left out, and told."""


def flows_of(
    written: Written[Traffic], topology: Topology, factor: float = 1.0
) -> tuple[tuple[LoadFlow, ...], tuple[str, ...]]:
    """Work out the flows of a load in a topology, their rates multiplied by `factor`.

    Returns:
        The flows, and lines that the user is to read: what was left out.

    Raises:
        BadInput: a node that is not there or has no address; told by its place in the file.
    """
    load = written.model
    kinds = {name: node.kind for name, node in topology.nodes.items()}
    problems = [written.tell(problem) for problem in place_problems(load, kinds, topology.demands)]
    if problems:
        raise BadInput("\n".join(problems))
    flows = scaled(_flows(load, topology), factor)
    kept = tuple(flow for flow in flows if flow.rate >= SMALLEST_RATE)
    left = len(flows) - len(kept)
    return kept, (f"{left} flows of less than {SMALLEST_RATE:g} bit/s are left out",) if left else ()


def declared_flows(topology: Topology) -> tuple[LoadFlow, ...]:
    """Return the flows of what a topology has under `load`; none without.

    Raises:
        BadInput: see `flows_of`.
    """
    return flows_of(Written(topology.load), topology)[0] if topology.load is not None else ()


def _flows(load: Traffic, topology: Topology) -> Iterator[LoadFlow]:
    for name, flow in load.flows.items():
        ends = flow.source, flow.target
        yield _flow(load, flow, topology, ends, name=name, rate=flow.rate, dscp=_dscp(load, flow))
    if load.demands is not None:
        yield from _matrix(load, load.demands, topology, "demand", scaled_demands(topology, load.demands.scale))
    if load.gravity is not None:
        weights = load.gravity.weights or _weights(topology, load.gravity.by)
        yield from _matrix(load, load.gravity, topology, "gravity", gravity(weights, load.gravity.total))


def scaled_demands(topology: Topology, scale: float) -> Pairs:
    """Return a topology's demands in bit/s, by source and target."""
    return {
        source: {target: amount * scale * UNIT for target, amount in row.items()}
        for source, row in topology.demands.items()
    }


def _weights(topology: Topology, by: str) -> dict[str, float]:
    degrees = Counter(end.node for link in topology.links.values() for end in link.endpoints)
    nodes = [name for name, node in topology.nodes.items() if not isinstance(node, Bridge | Switch) and degrees[name]]
    if len(nodes) < 2:
        raise BadInput(f"{topology.name}: gravity needs two hosts or routers with links; it has {len(nodes)}")
    return {name: float(degrees[name]) if by == "degree" else 1.0 for name in nodes}


def _matrix(load: Traffic, shape: Matrix, topology: Topology, what: str, pairs: Pairs) -> Iterator[LoadFlow]:
    split = shape.split or {}
    whole = sum(split.values())
    parts = [(f"/{name}", load.slices[name], weight / whole) for name, weight in split.items()]
    for source, row in pairs.items():
        for target, rate in row.items():
            for suffix, dscp, share in parts or [("", _dscp(load, shape), 1.0)]:
                if rate > 0:
                    name = f"{what}/{source}/{target}{suffix}"
                    yield _flow(load, shape, topology, (source, target), name=name, rate=rate * share, dscp=dscp)


def _dscp(load: Traffic, shape: Shape) -> int:
    return load.slices[shape.slice] if shape.slice is not None else shape.dscp or 0


def _flow(
    load: Traffic, shape: Shape, topology: Topology, ends: tuple[str, str], *, name: str, rate: float, dscp: int
) -> LoadFlow:
    source, target = ends
    return LoadFlow(
        name=name,
        source=source,
        sink=target,
        destination=address_of(topology, target),
        rate=rate,
        dscp=dscp,
        size=shape.size or SIZE,
        mix=tuple((shape.mix or {}).items()),
        protocol=shape.protocol,
        arrival=shape.arrival,
        on=shape.on or 1.0,
        off=shape.off or 1.0,
        start=shape.start,
        duration=shape.duration,
        seed=load.seed,
    )


def address_of(topology: Topology, name: str) -> str:
    """Return where a node is reached: its first loopback, else the first address on a link.

    Raises:
        BadInput: it has none.
    """
    ends = (end for link in topology.links.values() for end in link.endpoints if end.node == name)
    for address in (*getattr(topology.nodes[name], "loopbacks", ()), *(a for end in ends for a in end.addresses)):
        return str(address.ip)
    raise BadInput(f"node {name} has no address to send load to: give it one on a link or in `loopbacks`")


_METRICS = (
    ("offered", "bit/s"),
    ("delivered", "bit/s"),
    ("shortfall", "1"),
    ("loss", "1"),
    ("delay_p50", "s"),
    ("delay_p99", "s"),
    ("jitter", "s"),
)


def figures(report: FlowReport) -> dict[str, float | None]:
    """Sum up a flow in SI; None for what is not known: nothing was sent, or nothing came."""
    return {
        "offered": report.flow.rate,
        "delivered": report.delivered,
        "shortfall": report.shortfall,
        "loss": report.lost / report.sent if report.sent else None,
        "delay_p50": report.delay(0.5),
        "delay_p99": report.delay(0.99),
        "jitter": report.jitter if report.received else None,
    }


def samples(report: LoadReport, received: float) -> list[Sample]:
    """Return a report as telemetry: `flow:NAME`, measured when the agent read it.

    Args:
        received: Unix seconds when it came.
    """
    return [
        Sample(f"flow:{flow.flow.name}", metric, value, unit, report.time, received, f"{flow.flow.sink}/load")
        for flow in report.flows
        for metric, unit in _METRICS
        if (value := figures(flow)[metric]) is not None
    ]


def keep(report: LoadReport, path: Path) -> None:
    """Append a report's samples to a file of samples, which `testbed.telemetry.sinks.read` reads."""
    with closing(SqliteFile(path)) as sink:
        sink.write(samples(report, time.time()))


ENOUGH = 0.99
"""Of what was to be sent; less, and the load is not the one that was asked for."""


def summary(report: LoadReport) -> dict[str, Any]:
    """Return a report as plain data: SI figures by flow, and the sums."""
    flows = {
        flow.flow.name: {
            "source": flow.flow.source,
            "target": flow.flow.sink,
            "protocol": flow.flow.protocol,
            "dscp": flow.flow.dscp,
            "seconds": flow.seconds,
            "ended": flow.ended,
            **{name: getattr(flow, name) for name in _COUNTS},
            **figures(flow),
            "clock_error": flow.clock_error,
            "not_sent": explain(flow),
        }
        for flow in report.flows
    }
    sums = {name: sum(getattr(flow, name) for flow in report.flows) for name in _COUNTS}
    rates = {
        "offered": sum(flow.flow.rate for flow in report.flows),
        "delivered": sum(flow.delivered for flow in report.flows),
    }
    return {"running": report.running, **rates, **sums, "unread": report.unread, "flows": flows}


_COUNTS = ("asked", "skipped", "sent", "received", "lost", "reordered", "duplicated")


def worst_first(report: LoadReport) -> list[FlowReport]:
    """Order flows by the share of their rate that was delivered; those that have not begun come last."""
    return sorted(report.flows, key=lambda flow: flow.delivered / flow.flow.rate if flow.asked else math.inf)


def falls_short(flow: FlowReport) -> bool:
    """Whether less was sent than asked for, beyond what a moment's stall costs."""
    return flow.shortfall > 1 - ENOUGH


def warnings(report: LoadReport) -> list[str]:
    """Say which flows were not sent as asked and why, and whether the sinks kept up."""
    short = [flow for flow in report.flows if falls_short(flow)]
    lines = [f"flow {flow.flow.name}: {100 * flow.shortfall:.3g} % not sent ({_why(flow)})" for flow in short[:_TOLD]]
    if len(short) > _TOLD:
        lines.append(f"{len(short) - _TOLD} more flows were not sent as asked (--json has them)")
    if report.unread:
        lines.append(
            f"{report.unread} packets reached their nodes and were not read in time: the agent is overloaded, "
            "and they count as lost; ask for fewer or larger packets"
        )
    return lines


_TOLD = 10


def _why(flow: FlowReport) -> str:
    return "; ".join(explain(flow))


def scaled(flows: Iterable[LoadFlow], factor: float) -> tuple[LoadFlow, ...]:
    """Multiply all rates.

    Raises:
        BadInput: the factor is not above 0, or a rate becomes more than can be.
    """
    if not 0 < factor < math.inf:
        raise BadInput(f"--scale is {factor:g}; expected a number above 0")
    result = tuple(structs.replace(flow, rate=flow.rate * factor) for flow in flows)
    wrong = next((flow for flow in result if flow.rate > LARGEST_RATE), None)
    if wrong is not None:
        raise BadInput(f"flow {wrong.name}: {wrong.rate:g} bit/s; expected at most {LARGEST_RATE:g}")
    return result


def written_or_declared(file: Path | None, topology: Topology) -> Written[Traffic]:
    """Read a load file, or take what the topology has under `load`.

    Raises:
        BadInput: the file cannot be used, or there is neither.
    """
    if file is not None:
        return written_load(file)
    if topology.load is None:
        raise BadInput(f"{topology.name} has no `load`: name a load file, or ask for --demands or --gravity 100Mbit")
    return Written(topology.load)


def matrix_load(
    demands: bool, total: str | None, weights: Sequence[str], slices: Sequence[str], **options: Any
) -> Written[Traffic] | None:
    """Make the load that options ask for; None when they ask for no matrix.

    Args:
        total: of the gravity model, with its unit. weights: NODE=WEIGHT. slices: NAME=DSCP.
        options: `by`, `protocol`, `size`, `seed`; None where not given.

    Raises:
        BadInput: a value that cannot be, or without a matrix to be for; told by its option.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if total is None and (weights or "by" in given):
        raise BadInput("--weight and --by are of the gravity model: expected --gravity TOTAL with them")
    if not demands and total is None:
        if given or slices:
            raise BadInput("--slice, --protocol, --packet-size and --seed go with --demands or --gravity alone")
        return None
    by = {"by": given.pop("by")} if "by" in given else {}
    content: dict[str, Any] = {"seed": given.pop("seed", 0)}
    marks = {name: _number("--slice", text, "NAME=DSCP") for name, text in _pairs("--slice", slices, "NAME=DSCP")}
    common: dict[str, Any] = given | ({"split": dict.fromkeys(marks, 1.0)} if marks else {})
    content["slices"] = {name: _whole(mark) for name, mark in marks.items()}
    if demands:
        content["demands"] = common
    if total is not None:
        pairs = _pairs("--weight", weights, "NODE=WEIGHT")
        named = {name: _number("--weight", text, "NODE=WEIGHT") for name, text in pairs}
        content["gravity"] = {**common, **by, "total": total} | ({"weights": named} if named else {})
    try:
        return Written(Traffic.model_validate(content, context=WRITTEN))
    except ValidationError as wrong:
        raise BadInput("\n".join(_told(error) for error in wrong.errors())) from None


def _pairs(option: str, texts: Sequence[str], form: str) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in texts]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise BadInput(f"{option} {name + equals + value!r}: expected {form}")
    return [(name, value) for name, _, value in pairs]


def _number(option: str, text: str, form: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"{option} {text!r}: expected a number, as in {form}") from None


def _whole(number: float) -> int | float:
    return int(number) if number.is_integer() else number


_OPTIONS = {"slices": "--slice", "weights": "--weight", "total": "--gravity", "by": "--by", "protocol": "--protocol"}


def _told(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    option = next((_OPTIONS[part] for part in reversed(place) if part in _OPTIONS), ".".join(place))
    return f"{option}: value {error['input']!r}: {error['msg'].removeprefix('Value error, ')}"
