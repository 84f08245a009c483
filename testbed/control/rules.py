"""From a switch's forwarding to flows and groups of OpenFlow, still without a switch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from testbed.control.messages import Match, Slice
from testbed.control.paths import Forwarding, Hops

SLICES, PATHS = 0, 1
"""Tables: first whose packets they are, then where they go."""

FLOOD = 1
"""Group of what comes to everybody."""
_FIRST_TARGET = 10
_PINNED, _STATION, _FLOODED = 300, 200, 100

_ENTERING, _PASSING, _REST = 20000, 10000, 0
Target = tuple[Literal["port", "group"], int]
Key = tuple[int, int, Match]
"""Table, priority and match: by these a flow is found."""


@dataclass(frozen=True, slots=True)
class Marking:
    """What a slice's packets go through before their path: a meter where they come in, and into which queue."""

    meter: int | None = None
    queue: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """`all` copies to every port, `select` takes one in turns, `failover` the first that is not dark."""

    kind: Literal["all", "select", "failover"]
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """All that is in one switch. `meters`: number to bit/s."""

    groups: Mapping[int, Group] = field(default_factory=dict)
    flows: Mapping[Key, Target | Marking] = field(default_factory=dict)
    meters: Mapping[int, float] = field(default_factory=dict)


def rules(it: Forwarding, segments: Mapping[str, int], slices: Sequence[Slice] = ()) -> Rules:
    """Return what a switch needs.

    Args:
        segments: all switches and bridges, with numbers that stay: they make those of their groups.
        slices: numbered from 1, which numbers their meters and queues.
    """
    numbers = {name: _FIRST_TARGET + index for name, index in segments.items()}
    groups = {numbers[name]: _group(hops) for name, hops in it.targets.items()}
    meters = {number: one.maximum for number, one in enumerate(slices, 1) if one.maximum is not None}
    flows = {**dict(_flows(it, numbers)), **dict(_marks(it, slices))}
    return Rules({FLOOD: Group("all", it.flood), **groups}, flows, meters)


def _marks(it: Forwarding, slices: Sequence[Slice]) -> Iterator[tuple[Key, Marking]]:
    """A packet is metered once, where it comes in; it is queued on every link."""
    yield (SLICES, _REST, ()), Marking()
    for number, one in enumerate(slices, 1):
        meter = number if one.maximum is not None else None
        queue = number if one.guaranteed is not None else None
        for match in one.matches:
            yield (SLICES, _PASSING - number, match), Marking(queue=queue)
            for port in it.edges:
                yield (SLICES, _ENTERING - number, (("in_port", port), *match)), Marking(meter, queue)


def _group(hops: Hops) -> Group:
    if len(hops.best) > 1:
        return Group("select", hops.best)
    return Group("failover", hops.best if hops.backup is None else (*hops.best, hops.backup))


def _flows(it: Forwarding, numbers: Mapping[str, int]) -> Iterator[tuple[Key, Target]]:
    for (source, destination), port in it.pinned.items():
        yield (PATHS, _PINNED, (("eth_src", source), ("eth_dst", destination))), ("port", port)
    for mac, place in it.stations.items():
        target: Target = ("port", place) if isinstance(place, int) else ("group", numbers[place])
        yield (PATHS, _STATION, (("eth_dst", mac),)), target
    for port in it.flood:
        everybody = ("01:00:00:00:00:00", "01:00:00:00:00:00")
        yield (PATHS, _FLOODED, (("in_port", port), ("eth_dst", everybody))), ("group", FLOOD)
