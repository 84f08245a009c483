"""Follow frames through what is written in the switches: where they go, whether they circle, whether they are lost.

The controller is not believed: flows, groups and dark ports are what the switches themselves have said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

from testbed.control.messages import Network, Rule, Station, SwitchRules, WasRead

MOST_WAYS = 64
"""Of one frame; with more, the rest is not followed."""
EVERYBODY = "ff:ff:ff:ff:ff:ff"

Hop = tuple[str, str, str]
"""From a switch or node, over a link, to a switch or node."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One way that a frame may take. `fault`: why it does not arrive; empty when it does."""

    hops: tuple[Hop, ...]
    fault: str = ""

    @property
    def text(self) -> str:
        """`h1 > s1 > s2 > h2`."""
        return " > ".join([self.hops[0][0], *(there for _, _, there in self.hops)])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a frame is, and all that it went through."""

    switch: str
    port: int
    hops: tuple[Hop, ...]


class Frames:
    """Frames in the switches of a network as they are at one moment."""

    def __init__(self, network: Network, read: WasRead) -> None:
        """Take the network, and what its switches have said."""
        self.network = network
        self._switches = {one.switch: one for one in read.switches}
        self._rules = {one.switch: _by_destination(one.rules) for one in read.switches}
        self._beyond: dict[tuple[str, int], tuple[str, str, int]] = {}
        for cable in network.cables:
            for here, there in ((0, 1), (1, 0)):
                end = cable.link, cable.ends[there], cable.ports[there]
                self._beyond[cable.ends[here], cable.ports[here]] = end
        for station in network.stations:
            self._beyond[station.segment, station.port] = station.link, station.node, 0

    def stations(self, node: str) -> list[Station]:
        """Return a node's interfaces on switches."""
        known = self._switches
        return [one for one in self.network.stations if one.node == node and one.segment in known]

    def walks(self, source: Station, destination: Station) -> list[Walk]:
        """Return the ways that frames between two interfaces may take."""
        ways: list[Walk] = []
        todo = [self._start(source)]
        while todo and len(ways) < MOST_WAYS:
            here = todo.pop()
            ports, fault = self._out(here, source.mac, destination.mac)
            if fault:
                ways.append(Walk(here.hops, fault))
            for port in sorted(ports, reverse=True):
                self._go(here, port, destination, todo, ways)
        return ways

    def _start(self, source: Station) -> Place:
        return Place(source.segment, source.port, ((source.node, source.link, source.segment),))

    def _go(self, here: Place, port: int, to: Station, todo: list[Place], ways: list[Walk]) -> None:
        link, there, arrival = self._beyond.get((here.switch, port), ("?", "?", 0))
        passed = (*here.hops, (here.switch, link, there))
        if there in {one for one, _, _ in here.hops[1:]} | {here.switch}:
            ways.append(Walk(passed, "circle"))
        elif there in self._switches:
            todo.append(Place(there, arrival, passed))
        elif there == to.node or there in self._bridges():
            ways.append(Walk(passed))  # what a bridge does is its own affair
        else:
            ways.append(Walk(passed, f"go to {there}"))

    def _bridges(self) -> set[str]:
        cabled = {end for cable in self.network.cables for end in cable.ends}
        return cabled - self._switches.keys()

    def _out(self, here: Place, source: str, destination: str) -> tuple[Sequence[int], str]:
        """Return the ports that a frame may leave by, or why it does not leave."""
        fields = {"in_port": str(here.port), "eth_src": source, "eth_dst": destination}
        rule = self._rule(here.switch, fields)
        if rule is None:
            return (), f"end at {here.switch}, which has no flow for them"
        it = self._switches[here.switch]
        lit = [port for port in _ports(rule, it) if port != here.port and port not in it.dark]
        return lit, "" if lit else f"end at {here.switch}, whose flow leads nowhere"

    def _rule(self, switch: str, fields: Mapping[str, str]) -> Rule | None:
        """Return the flow that says where a frame goes, after all tables that only tell whose it is."""
        table: int | None = 0
        found: Rule | None = None
        while table is not None:
            rules = self._rules[switch].get((table, fields["eth_dst"]), ()), self._rules[switch].get((table, ""), ())
            fitting = [rule for group in rules for rule in group if _fits(rule, fields)]
            found = max(fitting, key=lambda rule: rule.priority, default=None)
            table = found.next if found else None
        return found

    def faults(self) -> list[str]:
        """Return what does not arrive, and what circles, between all pairs of nodes and from each to everybody."""
        lines = [line for one, other in permutations(self._edges(), 2) for line in self._faults(one, other)]
        return [*lines, *(line for one in self._edges() for line in self._storms(one))]

    def new_faults(self, before: Frames) -> list[str]:
        """Return the faults that were not there before."""
        known = set(before.faults())
        return [line for line in self.faults() if line not in known]

    def _edges(self) -> list[Station]:
        return [one for one in self.network.stations if one.segment in self._switches]

    def _faults(self, one: Station, other: Station) -> Iterator[str]:
        if one.node == other.node:
            return
        for way in self.walks(one, other):
            if way.fault:
                yield f"frames from {one.node} to {other.node} {way.fault} ({way.text})"
                return

    def _storms(self, source: Station) -> Iterator[str]:
        """Follow copies of a broadcast: on a tree, each switch gets one alone."""
        seen: set[str] = set()
        todo = [self._start(source)]
        while todo:
            here = todo.pop()
            if here.switch in seen:
                yield f"broadcasts from {source.node} come to {here.switch} more than once"
                return
            seen.add(here.switch)
            for port in self._out(here, source.mac, EVERYBODY)[0]:
                link, there, arrival = self._beyond.get((here.switch, port), ("", "", 0))
                if there in self._switches:
                    todo.append(Place(there, arrival, (*here.hops, (here.switch, link, there))))


def _by_destination(rules: Iterable[Rule]) -> dict[tuple[int, str], list[Rule]]:
    """Sort rules by table and the MAC they are for; under the empty text those for any, or for many."""
    found: dict[tuple[int, str], list[Rule]] = {}
    for rule in rules:
        wanted = rule.match.get("eth_dst", "")
        found.setdefault((rule.table, "" if "/" in wanted else wanted), []).append(rule)
    return found


def _fits(rule: Rule, fields: Mapping[str, str]) -> bool:
    return all(key in fields and _equal(value, fields[key]) for key, value in rule.match.items())


def _equal(wanted: str, value: str) -> bool:
    """Compare, under the mask of a MAC where there is one."""
    wanted, _, mask = wanted.partition("/")
    if not mask:
        return wanted == value
    number, bits, want = (int(text.replace(":", ""), 16) for text in (value, mask, wanted))
    return number & bits == want & bits


def _ports(rule: Rule, it: SwitchRules) -> Sequence[int]:
    if rule.group is None:
        return rule.ports
    kind, ports = it.groups.get(rule.group, ("all", ()))
    lit = [port for port in ports if port not in it.dark]
    return lit[:1] if kind == "failover" else lit
