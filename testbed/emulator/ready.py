"""When a network is ready: daemons answer, adjacencies are full, link states agree, routes are installed.

What is expected comes from the daemons themselves: an adjacency wherever both ends of a wire that carries speak the
protocol. So it holds for any configuration, rendered or given.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from testbed.emulator.context import Event
from testbed.emulator.frr import NO_MATCH
from testbed.emulator.messages import Progress, Readiness
from testbed.emulator.nodes import Laboratory, Node
from testbed.errors import AgentError

INTERVAL = 0.1
STEADY_ISIS, STEADY_BGP = 1.5, 1.6
"""Seconds without any change after which IS-IS or BGP, which do not say so, have finished: above isisd's longest wait
for a computation, and bgpd's second of gathering before it announces (`coalesce-time`)."""
_OSPF = (
    "show ip ospf interface json",
    "show ip ospf neighbor json",
    "show ip ospf json",
    "show ip ospf route json",
)
_ISIS = ("show isis interface detail", "show isis neighbor", "show isis database")
_BGP = ("show bgp summary json",)
_ZEBRA = ("show ip route json",)

Peers = Mapping[tuple[str, str], list[tuple[str, str]]]
"""(node, interface) to those at the other end of its wire, beyond bridges."""


@dataclass(slots=True)
class Report:
    """What one router says of itself."""

    ospf: dict[str, Any] = field(default_factory=dict)
    ospf_neighbours: dict[tuple[str, str], str] = field(default_factory=dict)
    ospf_areas: dict[str, Any] = field(default_factory=dict)
    ospf_busy: bool = False
    ospf_routes: frozenset[str] = frozenset()
    isis: frozenset[str] = frozenset()
    isis_neighbours: dict[str, list[str]] = field(default_factory=dict)
    isis_database: frozenset[tuple[str, str]] = frozenset()
    bgp: dict[str, str] = field(default_factory=dict)
    bgp_prefixes: list[tuple[str, object, object]] = field(default_factory=list)
    routes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def wait_ready(
    lab: Laboratory, deadline: float, emit: Callable[[Event], None], cancelled: threading.Event
) -> Readiness:
    """Look until nothing is missing, or until the deadline.

    Args:
        deadline: seconds from now.
    """
    started = time.monotonic()
    before = -1
    steady = Steady()
    while True:
        missing = list(missing_now(lab, steady))
        took = time.monotonic() - started
        if not missing or took >= deadline or cancelled.is_set():
            return Readiness(missing=tuple(missing), seconds=took)
        if len(missing) != before:
            before = len(missing)
            emit(Progress(text=f"{before} not ready: {missing[0]}", done=0, total=before))
        cancelled.wait(INTERVAL)


class Steady:
    """Since when what each router knows has not changed."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[object, float]] = {}

    def since(self, name: str, known: object) -> float:
        """Return seconds for which `known` has not changed."""
        now = time.monotonic()
        if name not in self._seen or self._seen[name][0] != known:
            self._seen[name] = (known, now)
        return now - self._seen[name][1]


def missing_now(lab: Laboratory, steady: Steady) -> Iterator[str]:
    """Give one line for each thing that is not ready."""
    reports: dict[str, Report] = {}
    for node in list(lab.nodes.values()):
        if node.frr is None or not node.powered:
            continue
        dead = [name for name, lives in node.frr.alive().items() if not lives]
        yield from (f"{node.name}: {name} is not running" for name in dead)
        if not dead:
            try:
                reports[node.name] = read(node)
            except (AgentError, msgspec.DecodeError) as error:
                yield f"{node.name}: {error}"
    peers = lab.wiring.peers({name for name, node in lab.nodes.items() if node.kind == "bridge"})
    adjacencies = [*_ospf(reports, peers), *_isis(reports, peers), *_bgp(lab, reports)]
    yield from adjacencies
    if not adjacencies:
        yield from _agreement(reports, peers)
        for name, report in reports.items():
            yield from _uninstalled(name, report)
            wait = STEADY_BGP if report.bgp else STEADY_ISIS if report.isis else 0.0
            if wait and steady.since(name, (_next_hops(report), report.isis_database, report.bgp_prefixes)) < wait:
                yield f"{name}: its routes are still changing"


def read(node: Node) -> Report:
    """Ask a router's daemons.

    Raises:
        AgentError: one does not answer.
    """
    report = Report()
    frr = node.frr
    assert frr is not None
    report.routes = _json(frr.ask("zebra", _ZEBRA)[0])
    if "ospfd" in frr.daemons:
        interfaces, neighbours, instance, routes = map(_json, frr.ask("ospfd", _OSPF))
        report.ospf = {
            name: facts
            for name, facts in interfaces.get("interfaces", {}).items()
            if facts.get("ospfEnabled") and not facts.get("timerPassiveIface") and facts.get("state") != "Loopback"
        }
        report.ospf_neighbours = dict(_ospf_neighbours(neighbours))
        report.ospf_areas = instance.get("areas", {})
        report.ospf_busy = "spfTimerDueInMsecs" in instance
        report.ospf_routes = frozenset(p for p, r in routes.items() if str(r.get("routeType", "")).startswith("N"))
    if "isisd" in frr.daemons:
        detail, neighbours, database = frr.ask("isisd", _ISIS)
        report.isis = frozenset(_isis_interfaces(detail[0]))
        report.isis_neighbours = _isis_neighbours(neighbours[0])
        report.isis_database = frozenset(_isis_database(database[0]))
    if "bgpd" in frr.daemons:
        summary = _json(frr.ask("bgpd", _BGP)[0])
        families = [family for family in summary.values() if isinstance(family, dict)]
        peers = [item for family in families for item in family.get("peers", {}).items()]
        report.bgp = {peer: facts["state"] for peer, facts in peers}
        report.bgp_prefixes = [(peer, facts.get("pfxRcd"), facts.get("pfxSnt")) for peer, facts in peers]
    return report


def _json(answer: tuple[str, int]) -> dict[str, Any]:
    """Read an answer; a daemon whose protocol is not configured says so in words instead (`% OSPF ...`).

    Raises:
        AgentError: the daemon does not know the question.
    """
    text = answer[0].strip()
    if answer[1] == NO_MATCH:
        raise AgentError(f"unexpected answer: {text}")
    return msgspec.json.decode(text) if text.startswith("{") else {}


# --- OSPF ------------------------------------------------------------------------------------------------------------


def _ospf_neighbours(answer: dict[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    """Give (interface, address) and state; `ifaceName` is `eth1:10.0.0.1`."""
    for entries in answer.get("neighbors", {}).values():
        for entry in entries if isinstance(entries, list) else [entries]:
            interface = entry.get("ifaceName", "").partition(":")[0]
            address = entry.get("ifaceAddress") or entry.get("address", "")
            yield (interface, address), entry.get("nbrState") or entry.get("state", "")


def _ospf(reports: Mapping[str, Report], peers: Peers) -> Iterator[str]:
    for name, report in reports.items():
        for interface, facts in report.ospf.items():
            for other, far in peers.get((name, interface), ()):
                remote = reports[other].ospf.get(far) if other in reports else None
                if remote is None:
                    continue
                state = report.ospf_neighbours.get((interface, remote["ipAddress"]), "not seen")
                between_others = facts.get("state") == "DROther" and state.startswith("2-Way/DROther")
                if not state.startswith("Full") and not between_others:
                    yield f"{name}: OSPF neighbour {other} ({remote['ipAddress']}) on {interface} is {state}"


def _agreement(reports: Mapping[str, Report], peers: Peers) -> Iterator[str]:
    """Neighbours have the same link states when all of them have been flooded."""
    for name, report in reports.items():
        if report.ospf_busy:
            yield f"{name}: OSPF has yet to compute its routes"
        for interface, facts in report.ospf.items():
            area = facts.get("area", "")
            for other, far in peers.get((name, interface), ()):
                if name < other and other in reports and far in reports[other].ospf:
                    ours, theirs = (_checksums(r.ospf_areas.get(area, {})) for r in (report, reports[other]))
                    if ours != theirs:
                        yield f"{name}: its OSPF link-state database of area {area} differs from {other}'s"
        for interface in report.isis:
            for other, far in peers.get((name, interface), ()):
                same = other not in reports or report.isis_database == reports[other].isis_database
                if name < other and not same and far in reports[other].isis:
                    yield f"{name}: its IS-IS link-state database differs from {other}'s"


def _checksums(area: dict[str, Any]) -> list[object]:
    return [
        area.get(f"lsa{kind}{what}") for kind in ("Router", "Network", "Summary") for what in ("Number", "Checksum")
    ]


def _next_hops(report: Report) -> list[tuple[str, object, tuple[object, ...]]]:
    return [
        (prefix, entry.get("protocol"), tuple((hop.get("ip"), hop.get("interfaceName")) for hop in entry["nexthops"]))
        for prefix, entries in report.routes.items()
        for entry in entries
        if entry.get("selected") and "nexthops" in entry
    ]


def _uninstalled(name: str, report: Report) -> Iterator[str]:
    for prefix, entries in report.routes.items():
        if any(entry.get("selected") and not entry.get("installed") for entry in entries):
            yield f"{name}: route {prefix} is not installed in the kernel"
    for prefix in report.ospf_routes:
        if not any(entry.get("protocol") == "ospf" for entry in report.routes.get(prefix, ())):
            yield f"{name}: OSPF's route {prefix} has not reached zebra"


# --- IS-IS and BGP ---------------------------------------------------------------------------------------------------


def _isis_interfaces(text: str) -> Iterator[str]:
    """Read `Interface: eth1, State: Up, Active, Circuit Id: 0x0`; passive ones are left out."""
    for line in text.splitlines():
        if line.strip().startswith("Interface: ") and "State: Up" in line and ", Active" in line:
            yield line.split(":", 1)[1].split(",")[0].strip()


def _isis_neighbours(text: str) -> dict[str, list[str]]:
    """Read the table of `show isis neighbor`: system, interface, level, state, hold time, SNPA."""
    found: dict[str, list[str]] = {}
    for words in (line.split() for line in text.splitlines()):
        if len(words) >= 5 and words[2].isdigit():
            found.setdefault(words[1], []).append(words[3])
    return found


def _isis_database(text: str) -> Iterator[tuple[str, str]]:
    """Read `r1.00-00  *  86  0x00000003  0xabcd  1185  0/0/0` as LSP and sequence number (`*` marks the own one)."""
    for words in (line.replace("*", " ").split() for line in text.splitlines()):
        if len(words) == 6 and words[2].startswith("0x"):
            yield words[0], words[2]


def _isis(reports: Mapping[str, Report], peers: Peers) -> Iterator[str]:
    for name, report in reports.items():
        for interface in report.isis:
            near = [o for o, far in peers.get((name, interface), ()) if o in reports and far in reports[o].isis]
            states = report.isis_neighbours.get(interface, [])
            if states.count("Up") < len(near):
                said = ", ".join(states) or "not seen"
                yield f"{name}: IS-IS neighbour {' or '.join(near)} on {interface} is {said}"


def _bgp(lab: Laboratory, reports: Mapping[str, Report]) -> Iterator[str]:
    for name, report in reports.items():
        for address, state in report.bgp.items():
            owner = lab.owner_of(address)
            if owner is None or owner not in reports:
                continue
            speaks = bool(reports[owner].bgp) and lab.wiring.carries(name, address) is not False
            if speaks and state != "Established" and "Admin" not in state:
                yield f"{name}: BGP neighbour {owner} ({address}) is {state}"
