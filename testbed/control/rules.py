"""From a switch's forwarding to flows and groups of OpenFlow, still without a switch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from testbed.control.paths import Forwarding, Hops

FLOOD = 1
"""Group of what comes to everybody."""
_FIRST_TARGET = 10
_PINNED, _STATION, _FLOODED = 300, 200, 100

Match = tuple[tuple[str, str | int | tuple[str, str]], ...]
Target = tuple[Literal["port", "group"], int]


@dataclass(frozen=True, slots=True)
class Group:
    """`all` copies to every port, `select` takes one in turns, `failover` the first that is not dark."""

    kind: Literal["all", "select", "failover"]
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """All that is in one switch. A flow is found by its priority and what it matches."""

    groups: Mapping[int, Group] = field(default_factory=dict)
    flows: Mapping[tuple[int, Match], Target] = field(default_factory=dict)


def rules(it: Forwarding, segments: list[str]) -> Rules:
    """Return what a switch needs.

    Args:
        segments: all switches and bridges, in an order that stays: it numbers their groups.
    """
    numbers = {name: _FIRST_TARGET + index for index, name in enumerate(segments)}
    groups = {numbers[name]: _group(hops) for name, hops in it.targets.items()}
    return Rules({FLOOD: Group("all", it.flood), **groups}, dict(_flows(it, numbers)))


def _group(hops: Hops) -> Group:
    if len(hops.best) > 1:
        return Group("select", hops.best)
    return Group("failover", hops.best if hops.backup is None else (*hops.best, hops.backup))


def _flows(it: Forwarding, numbers: Mapping[str, int]) -> Iterator[tuple[tuple[int, Match], Target]]:
    for (source, destination), port in it.pinned.items():
        yield (_PINNED, (("eth_src", source), ("eth_dst", destination))), ("port", port)
    for mac, place in it.stations.items():
        target: Target = ("port", place) if isinstance(place, int) else ("group", numbers[place])
        yield (_STATION, (("eth_dst", mac),)), target
    for port in it.flood:
        everybody = ("01:00:00:00:00:00", "01:00:00:00:00:00")
        yield (_FLOODED, (("in_port", port), ("eth_dst", everybody))), ("group", FLOOD)
