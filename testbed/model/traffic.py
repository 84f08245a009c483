"""Load as a person writes it: flows, and matrices that become one flow for each pair of nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from testbed.errors import nearest
from testbed.model.base import Model, Name, Problem, Rate, Seconds, refuse

UNIT = 1e6
"""bit/s that a demand of 1 stands for; a load's `scale` says otherwise."""

SIZE = 1000

PacketSize = Annotated[int, Strict(), Field(ge=64, le=9000)]
MixedSize = Annotated[int, Field(ge=64, le=9000)]
Dscp = Annotated[int, Strict(), Field(ge=0, le=63)]
Weight = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
Above = Annotated[float, Strict(), Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Strict(), Field(ge=0)]
Pairs = Mapping[str, Mapping[str, float]]


class Shape(Model):
    """What the packets of a flow are like.

    Attributes:
        protocol: over TCP, `size` is what is written at a time.
        slice: the name of one of the load's `slices`, for its DSCP. dscp: the same as a number.
        size: bytes of an IP packet, `SIZE` by default.
        mix: sizes and how often each comes, instead (`{64: 7, 576: 4, 1500: 1}`).
        arrival: even gaps; exponential ones; or packets only while on, for `on` and `off` seconds on average.
        start: after the load's own. duration: how long it sends; without it until the load is stopped.
    """

    protocol: Literal["udp", "tcp"] = "udp"
    slice: Name | None = None
    dscp: Dscp | None = None
    size: PacketSize | None = None
    mix: dict[MixedSize, Above] | None = None
    arrival: Literal["constant", "poisson", "on-off"] = "constant"
    on: Seconds | None = None
    off: Seconds | None = None
    start: Seconds = 0.0
    duration: Seconds | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse(list(_shape_problems(self)))
        return self


def _shape_problems(it: Shape) -> Iterator[Problem]:
    if it.slice is not None and it.dscp is not None:
        yield Problem(("dscp",), it.dscp, "expected either slice or dscp, not both")
    if it.mix is not None and not it.mix:
        yield Problem(("mix",), it.mix, "expected sizes and how often each comes, such as {64: 7, 1500: 1}")
    if it.mix and it.size is not None:
        yield Problem(("size",), it.size, "expected either size or mix, not both")
    for name in ("on", "off"):
        value = getattr(it, name)
        if (value is None) is (it.arrival == "on-off"):
            wanted = "expected a mean time, such as 500ms" if value is None else "expected `arrival: on-off` with it"
            yield Problem((name,), value, wanted)
        elif value is not None and value < 1e-3:
            yield Problem((name,), value, "expected at least 1ms")
    if it.duration is not None and it.duration < 1e-3:
        yield Problem(("duration",), it.duration, "expected at least 1ms")


class TrafficFlow(Shape):
    """One flow from a node to another: `rate` counts whole IP packets."""

    source: Name
    target: Name
    rate: Rate


class Matrix(Shape):
    """Flows of many pairs of nodes.

    Attributes:
        split: slices and their weights: each pair has a flow in each slice, which share its rate by these.
    """

    split: dict[Name, Above] | None = None

    @model_validator(mode="after")
    def _one_marking(self) -> Self:
        both = self.split is not None and (self.slice is not None or self.dscp is not None)
        if both or self.split == {}:
            refuse([Problem(("split",), self.split, "expected slices and weights, without slice and dscp")])
        return self


class Demands(Matrix):
    """A flow for each of the topology's `demands`.

    Attributes:
        scale: a demand of 1 becomes this many Mbit/s.
    """

    scale: Above = 1.0


class Gravity(Matrix):
    """A flow for each pair of nodes, in proportion to the product of their weights; together they are `total`.

    Attributes:
        weights: of nodes (people, customers, cells): those not named have none. Without weights, as `by` says.
        by: a node's number of links, or all alike.
    """

    total: Rate
    by: Literal["degree", "equal"] = "degree"
    weights: dict[Name, Weight] | None = None

    @model_validator(mode="after")
    def _has_weight(self) -> Self:
        if self.weights is not None and sum(weight > 0 for weight in self.weights.values()) < 2:
            refuse([Problem(("weights",), self.weights, "expected at least two nodes with a weight above 0")])
        return self


class Traffic(Model):
    """The load of a lab: a file of its own, or `load:` in a topology.

    Attributes:
        slices: names of slices to the DSCP that their packets carry. seed: of what is drawn at random.
    """

    slices: dict[Name, Dscp] = Field(default_factory=dict)
    flows: dict[Name, TrafficFlow] = Field(default_factory=dict)
    demands: Demands | None = None
    gravity: Gravity | None = None
    seed: Seed = 0

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse(list(_problems(self)))
        return self

    def shapes(self) -> Iterator[tuple[tuple[str, ...], Shape]]:
        """Give all that has a shape, with its place."""
        yield from ((("flows", name), flow) for name, flow in self.flows.items())
        yield from (((key,), one) for key, one in (("demands", self.demands), ("gravity", self.gravity)) if one)


def _problems(it: Traffic) -> Iterator[Problem]:
    if not list(it.shapes()):
        yield Problem((), None, "expected flows, demands or gravity")
    for place, shape in it.shapes():
        named = {("slice",): shape.slice} if shape.slice is not None else {}
        split = shape.split if isinstance(shape, Matrix) and shape.split else {}
        for key, name in (named | {("split", name): name for name in split}).items():
            if name not in it.slices:
                known = ", ".join(it.slices) or "none"
                yield Problem((*place, *key), name, f"expected one of `slices`{nearest(name, it.slices)} ({known})")


def place_problems(it: Traffic, nodes: Mapping[str, str], demands: Pairs) -> Iterator[Problem]:
    """Give what a load asks of nodes that are not there, or that have no address of their own.

    Args:
        nodes: name to kind.
    """
    for name, flow in it.flows.items():
        for end in ("source", "target"):
            yield from _node_problem(("flows", name, end), getattr(flow, end), nodes)
        if flow.source == flow.target:
            yield Problem(("flows", name, "target"), flow.target, "expected another node than the source")
    if it.gravity is not None and it.gravity.weights is not None:
        for node in it.gravity.weights:
            yield from _node_problem(("gravity", "weights", node), node, nodes)
    if it.demands is not None and not any(amount > 0 for row in demands.values() for amount in row.values()):
        yield Problem(("demands",), None, "expected a topology with demands above 0; this one has none")


def _node_problem(place: tuple[str, ...], node: str, nodes: Mapping[str, str]) -> Iterator[Problem]:
    if node not in nodes:
        yield Problem(place, node, f"expected a node of this topology{nearest(node, nodes)}")
    elif nodes[node] in ("bridge", "switch"):
        yield Problem(place, node, f"expected a host or router: a {nodes[node]} has no address of its own")


def gravity(weights: Mapping[str, float], total: float) -> dict[str, dict[str, float]]:
    """Return a gravity model's matrix (Zhang et al., SIGMETRICS 2003): rates in proportion to both ends' weights.

    Args:
        weights: by node; at least two are above 0. total: bit/s of all together.

    Returns:
        By source and target, without a node's traffic to itself and pairs that have none.
    """
    most = max(weights.values())
    shares = {node: weight / most for node, weight in weights.items() if weight > 0}
    pairs = {(a, b): x * y for a, x in shares.items() for b, y in shares.items() if a != b}
    unit = total / sum(pairs.values())
    matrix: dict[str, dict[str, float]] = {}
    for (source, target), share in pairs.items():
        matrix.setdefault(source, {})[target] = unit * share
    return matrix
