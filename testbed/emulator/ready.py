"""When a network is ready: daemons answer, adjacencies are full, link states agree, routes are installed.

What is expected comes from the daemons themselves: an adjacency wherever both ends of a wire that carries speak the
protocol. So it holds for any configuration, rendered or given.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from testbed.emulator import bridges
from testbed.emulator.context import Event
from testbed.emulator.frr import NO_MATCH
from testbed.emulator.messages import BgpPeer, OspfInterface, Progress, Readiness, RouterReport, Surveyed
from testbed.emulator.nodes import Laboratory, Node
from testbed.emulator.spanning import unsettled
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


def wait_ready(
    look: Callable[[], Surveyed], deadline: float, emit: Callable[[Event], None], cancelled: threading.Event
) -> Readiness:
    """Look until nothing is missing, or until the deadline.

    Args:
        look: surveys the whole lab. deadline: seconds from now.
    """
    started = time.monotonic()
    before = -1
    steady = Steady()
    while True:
        missing = list(missing_now(look(), steady))
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


def survey(lab: Laboratory) -> Surveyed:
    """Ask all routers of this agent."""
    reports: dict[str, RouterReport] = {}
    unready: list[str] = []
    for node in list(lab.nodes.values()):
        if node.frr is None or not node.powered:
            continue
        dead = [name for name, lives in node.frr.alive().items() if not lives]
        unready += [f"{node.name}: {name} is not running" for name in dead]
        if not dead:
            try:
                reports[node.name] = read(lab, node)
            except (AgentError, msgspec.DecodeError) as error:
                unready.append(f"{node.name}: {error}")
    wires = lab.wiring.seen()
    standing = [node for node in lab.nodes.values() if node.kind == "bridge" and node.powered]
    trees = bridges.trees(standing)
    if lab.fabric is not None:
        unready += lab.fabric.unready(wires)
        trees |= lab.fabric.trees()
    unready += unsettled(trees, wires)
    kinds = {name: node.kind for name, node in lab.nodes.items()}
    return Surveyed(reports=reports, unready=tuple(unready), nodes=kinds, wires=wires)


def missing_now(seen: Surveyed, steady: Steady) -> Iterator[str]:
    """Give one line for each thing that is not ready in a whole lab."""
    yield from seen.unready
    reports = seen.reports
    peers = peers_of(seen)
    adjacencies = [*_ospf(reports, peers), *_isis(reports, peers), *_bgp(reports)]
    yield from adjacencies
    if not adjacencies:
        yield from _agreement(reports, peers)
        for name, report in reports.items():
            yield from report.lagging
            wait = STEADY_BGP if report.bgp else STEADY_ISIS if report.isis else 0.0
            if wait and steady.since(name, report.knows) < wait:
                yield f"{name}: its routes are still changing"


def peers_of(seen: Surveyed) -> Peers:
    """Return (node, interface) to the ends it reaches over wires that carry, through bridges and switches."""
    segments = {name for name, kind in seen.nodes.items() if kind in ("bridge", "switch")}
    at: dict[str, list[tuple[str, str]]] = {segment: [] for segment in segments}
    across: dict[tuple[str, str], tuple[str, str]] = {}
    for one, other in (wire.ends for wire in seen.wires if wire.lit):
        across[one], across[other] = other, one
        for end in (one, other):
            if end[0] in segments:
                at[end[0]].append(end)

    def beyond(end: tuple[str, str]) -> list[tuple[str, str]]:
        found, entered, waiting = [], set[str](), [across[end]]
        while waiting:
            far = waiting.pop()
            if far[0] not in segments:
                found.append(far)
            elif far[0] not in entered:
                entered.add(far[0])
                waiting += [across[port] for port in at[far[0]] if port != far]
        return [one for one in found if one != end]

    return {end: beyond(end) for end in across if end[0] not in segments}


def read(lab: Laboratory, node: Node) -> RouterReport:
    """Ask a router's daemons.

    Raises:
        AgentError: one does not answer.
    """
    frr = node.frr
    assert frr is not None
    routes = _json(frr.ask("zebra", _ZEBRA)[0])
    said: dict[str, Any] = {"lagging": tuple(_uninstalled(node.name, routes))}
    known: list[object] = [_next_hops(routes)]
    if "ospfd" in frr.daemons:
        said |= _read_ospf(*map(_json, frr.ask("ospfd", _OSPF)))
        said["lagging"] += tuple(_unheard(node.name, said.pop("ospf_routes"), routes))
    if "isisd" in frr.daemons:
        detail, neighbours, database = frr.ask("isisd", _ISIS)
        said["isis"] = frozenset(_isis_interfaces(detail[0]))
        said["isis_neighbours"] = _isis_neighbours(neighbours[0])
        said["isis_database"] = frozenset(_isis_database(database[0]))
        known.append(sorted(said["isis_database"]))
    if "bgpd" in frr.daemons:
        peers = _bgp_peers(_json(frr.ask("bgpd", _BGP)[0]))
        said["bgp"] = tuple(
            BgpPeer(
                address=address,
                state=facts["state"],
                owner=lab.owner_of(address),
                lit=lab.wiring.carries(node.name, address) is not False,
            )
            for address, facts in peers
        )
        known.append([(address, facts.get("pfxRcd"), facts.get("pfxSnt")) for address, facts in peers])
    return RouterReport(**said, knows=zlib.crc32(msgspec.json.encode(known)))


def _read_ospf(
    interfaces: dict[str, Any], neighbours: dict[str, Any], instance: dict[str, Any], routes: dict[str, Any]
) -> dict[str, Any]:
    speaking = {
        name: facts
        for name, facts in interfaces.get("interfaces", {}).items()
        if facts.get("ospfEnabled") and not facts.get("timerPassiveIface") and facts.get("state") != "Loopback"
    }
    return {
        "ospf": {
            name: OspfInterface(address=facts["ipAddress"], area=facts.get("area", ""), state=facts.get("state", ""))
            for name, facts in speaking.items()
        },
        "ospf_neighbours": dict(_ospf_neighbours(neighbours)),
        "ospf_areas": {area: _checksums(facts) for area, facts in instance.get("areas", {}).items()},
        "ospf_busy": "spfTimerDueInMsecs" in instance,
        "ospf_routes": [p for p, r in routes.items() if str(r.get("routeType", "")).startswith("N")],
    }


def _bgp_peers(summary: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    families = [family for family in summary.values() if isinstance(family, dict)]
    return [item for family in families for item in family.get("peers", {}).items()]


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


def _ospf_neighbours(answer: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give `INTERFACE ADDRESS` and state; `ifaceName` is `eth1:10.0.0.1`."""
    for entries in answer.get("neighbors", {}).values():
        for entry in entries if isinstance(entries, list) else [entries]:
            interface = entry.get("ifaceName", "").partition(":")[0]
            address = entry.get("ifaceAddress") or entry.get("address", "")
            yield f"{interface} {address}", entry.get("nbrState") or entry.get("state", "")


def _ospf(reports: Mapping[str, RouterReport], peers: Peers) -> Iterator[str]:
    for name, report in reports.items():
        for interface, speaks in report.ospf.items():
            for other, far in peers.get((name, interface), ()):
                remote = reports[other].ospf.get(far) if other in reports else None
                if remote is None:
                    continue
                state = report.ospf_neighbours.get(f"{interface} {remote.address}", "not seen")
                between_others = speaks.state == "DROther" and state.startswith("2-Way/DROther")
                if not state.startswith("Full") and not between_others:
                    yield f"{name}: OSPF neighbour {other} ({remote.address}) on {interface} is {state}"


def _agreement(reports: Mapping[str, RouterReport], peers: Peers) -> Iterator[str]:
    """Neighbours have the same link states when all of them have been flooded."""
    for name, report in reports.items():
        if report.ospf_busy:
            yield f"{name}: OSPF has yet to compute its routes"
        for interface, speaks in report.ospf.items():
            for other, far in peers.get((name, interface), ()):
                if name < other and other in reports and far in reports[other].ospf:
                    ours, theirs = (r.ospf_areas.get(speaks.area) for r in (report, reports[other]))
                    if ours != theirs:
                        yield f"{name}: its OSPF link-state database of area {speaks.area} differs from {other}'s"
        for interface in report.isis:
            for other, far in peers.get((name, interface), ()):
                same = other not in reports or report.isis_database == reports[other].isis_database
                if name < other and not same and far in reports[other].isis:
                    yield f"{name}: its IS-IS link-state database differs from {other}'s"


def _checksums(area: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        str(area.get(f"lsa{kind}{what}"))
        for kind in ("Router", "Network", "Summary")
        for what in ("Number", "Checksum")
    )


def _next_hops(routes: dict[str, list[dict[str, Any]]]) -> list[object]:
    return [
        (prefix, entry.get("protocol"), [(hop.get("ip"), hop.get("interfaceName")) for hop in entry["nexthops"]])
        for prefix, entries in routes.items()
        for entry in entries
        if entry.get("selected") and "nexthops" in entry
    ]


def _uninstalled(name: str, routes: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for prefix, entries in routes.items():
        if any(entry.get("selected") and not entry.get("installed") for entry in entries):
            yield f"{name}: route {prefix} is not installed in the kernel"


def _unheard(name: str, prefixes: list[str], routes: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    for prefix in prefixes:
        if not any(entry.get("protocol") == "ospf" for entry in routes.get(prefix, ())):
            yield f"{name}: OSPF's route {prefix} has not reached zebra"


# --- IS-IS and BGP ---------------------------------------------------------------------------------------------------


def _isis_interfaces(text: str) -> Iterator[str]:
    """Read `Interface: eth1, State: Up, Active, Circuit Id: 0x0`; passive ones are left out."""
    for line in text.splitlines():
        if line.strip().startswith("Interface: ") and "State: Up" in line and ", Active" in line:
            yield line.split(":", 1)[1].split(",")[0].strip()


def _isis_neighbours(text: str) -> dict[str, tuple[str, ...]]:
    """Read the table of `show isis neighbor`: system, interface, level, state, hold time, SNPA."""
    found: dict[str, tuple[str, ...]] = {}
    for words in (line.split() for line in text.splitlines()):
        if len(words) >= 5 and words[2].isdigit():
            found[words[1]] = (*found.get(words[1], ()), words[3])
    return found


def _isis_database(text: str) -> Iterator[tuple[str, str]]:
    """Read `r1.00-00  *  86  0x00000003  0xabcd  1185  0/0/0` as LSP and sequence number (`*` marks the own one)."""
    for words in (line.replace("*", " ").split() for line in text.splitlines()):
        if len(words) == 6 and words[2].startswith("0x"):
            yield words[0], words[2]


def _isis(reports: Mapping[str, RouterReport], peers: Peers) -> Iterator[str]:
    for name, report in reports.items():
        for interface in report.isis:
            near = [o for o, far in peers.get((name, interface), ()) if o in reports and far in reports[o].isis]
            states = report.isis_neighbours.get(interface, ())
            if states.count("Up") < len(near):
                said = ", ".join(states) or "not seen"
                yield f"{name}: IS-IS neighbour {' or '.join(near)} on {interface} is {said}"


def _bgp(reports: Mapping[str, RouterReport]) -> Iterator[str]:
    for name, report in reports.items():
        for peer in report.bgp:
            theirs = reports.get(peer.owner or "")
            speaks = theirs is not None and bool(theirs.bgp) and peer.lit
            if speaks and peer.state != "Established" and "Admin" not in peer.state:
                yield f"{name}: BGP neighbour {peer.owner} ({peer.address}) is {peer.state}"
