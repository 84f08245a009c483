"""`adjacency`: a routing neighbour is up, by what the daemon itself says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from testbed.errors import AgentError
from testbed.model.change import Adjacency
from testbed.model.verdict import Measured
from testbed.validate import places
from testbed.validate.expectations.base import KEPT_PROOF, Kind, same_answer
from testbed.validate.routes import vty
from testbed.validate.scene import Scene

Seen = Iterator[tuple[set[str], str, bool]]


def measure(scene: Scene, expectation: Adjacency) -> Measured:
    """Ask the daemon for its neighbours and look for the one that is meant."""
    daemon, command, parse = PROTOCOLS[expectation.protocol]
    answer = vty(scene.call, expectation.device, daemon, command)[0]
    if not isinstance(answer, dict):
        raise AgentError(f"{expectation.device}: {daemon} answered {command!r} with {json.dumps(answer)[:200]}")
    owners = places.addresses(scene.topology)
    theirs = {address for address, node in owners.items() if node == expectation.neighbour} | {expectation.neighbour}
    found = [(sorted(ids & theirs)[0], state, up) for ids, state, up in parse(answer) if ids & theirs]
    proof = [f"{expectation.device}: {expectation.neighbour} as {shown} is {state}" for shown, state, _ in found]
    nothing = f"{expectation.device}: {expectation.protocol} knows no neighbour {expectation.neighbour}"
    holds = any(up for _, _, up in found)
    return Measured(phase=scene.phase, holds=holds, proof=tuple(proof[:KEPT_PROOF]) or (nothing,))


def ospf(answer: Mapping[str, Any]) -> Seen:
    """Read `show ip ospf neighbor json`: keyed by router id, in some releases inside `neighbors`."""
    for router_id, entries in answer.get("neighbors", answer).items():
        for entry in entries:
            state = str(entry.get("nbrState", entry.get("state", "")))
            ids = {router_id, str(entry.get("ifaceAddress", "")), str(entry.get("address", ""))}
            yield ids, state, state.startswith("Full")


def bgp(answer: Mapping[str, Any]) -> Seen:
    """Read `show bgp summary json`: address families, each with its peers by address."""
    for family in answer.values():
        for address, peer in family.get("peers", {}).items() if isinstance(family, dict) else ():
            state = str(peer.get("state", ""))
            yield {address, str(peer.get("hostname", ""))}, state, state == "Established"


def isis(answer: Mapping[str, Any]) -> Seen:
    """Read `show isis neighbor json`: circuits, neighbours by dynamic host name (RFC 5301)."""
    for area in answer.get("areas", ()):
        for circuit in area.get("circuits", ()):
            state = str(circuit.get("interface", {}).get("state", circuit.get("state", "")))
            yield {str(circuit.get("adj", ""))}, state, state == "Up"


PROTOCOLS: dict[str, tuple[str, str, Callable[[Mapping[str, Any]], Seen]]] = {
    "ospf": ("ospfd", "show ip ospf neighbor json", ospf),
    "bgp": ("bgpd", "show bgp summary json", bgp),
    "isis": ("isisd", "show isis neighbor json", isis),
}

KIND = Kind(measure, same_answer)
