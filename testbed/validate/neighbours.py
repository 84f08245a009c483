"""Every router's routing neighbours at one moment, by what its OSPF, IS-IS and BGP daemons say themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from adapters import frr_facts
from adapters.base import Neighbour
from testbed.model.topology import Router, Topology
from testbed.validate import lines, places
from testbed.validate.routes import Call, routers, vty

DAEMONS = {
    "ospf": ("ospfd", frr_facts.OSPF_NEIGHBOURS),
    "isis": ("isisd", frr_facts.ISIS),
    "bgp": ("bgpd", frr_facts.BGP),
}
Speakers = Mapping[str, frozenset[str]]
States = Mapping[str, Mapping[str, str]]

# BGP on its way up (RFC 4271 section 8.2.2); `Idle` is a session that gave up, for now or by configuration.
TRYING = frozenset({"bgp Connect", "bgp Active", "bgp OpenSent", "bgp OpenConfirm"})


def speakers(topology: Topology, edits: Iterable[lines.Edit] = ()) -> Speakers:
    """Return the routing protocols of each router: by its configuration, or by what is rendered where it has none.

    Args:
        edits: lines that have been applied since.
    """
    found: dict[str, set[str]] = {}
    for node in routers(topology):
        model = topology.nodes[node]
        assert isinstance(model, Router)
        found[node] = set(model.protocols if model.config is None else frr_facts.protocols(model.config))
    for edit in edits:
        words = edit.context.split()
        if not edit.line and words[0] == "router" and words[1] in DAEMONS:
            (found[edit.device].discard if edit.negated else found[edit.device].add)(words[1])
    return {node: frozenset(protocols & DAEMONS.keys()) for node, protocols in found.items()}


def of_node(call: Call, node: str, protocol: str) -> tuple[Neighbour, ...]:
    """Return what one daemon says of its neighbours.

    Raises:
        NotRunning: it does not run. AgentError: it does not answer in JSON: never read as "no neighbours".
    """
    daemon, question = DAEMONS[protocol]
    return frr_facts.neighbours({question: vty(call, node, daemon, question)[0]})


def states(call: Call, speaking: Speakers) -> States:
    """Return, of every router, each neighbour and its state: `ospf 10.0.1.2%eth1` to `ospf Full`."""
    found: dict[str, dict[str, str]] = {node: {} for node in speaking}
    for node, protocol in _asked(speaking):
        listed = of_node(call, node, protocol)
        found[node].update({_name(one): f"{protocol} {one.state.partition('/')[0]}" for one in listed})
    return found


def _asked(speaking: Speakers) -> Iterator[tuple[str, str]]:
    return ((node, protocol) for node, protocols in speaking.items() for protocol in sorted(protocols))


def _name(one: Neighbour) -> str:
    return f"{one.protocol} {one.address or one.router_id}{f'%{one.interface}' if one.interface else ''}"


def is_of(one: Neighbour, device: str, neighbour: str, topology: Topology) -> bool:
    """Tell whether a neighbour that `device` lists is this node: by an address, its name, or the link it is on."""
    mine = {address for address, owner in places.addresses(topology).items() if owner == neighbour} | {neighbour}
    link = topology.links.get(places.interfaces(topology, device).get(one.interface or one.address, ""))
    on_link = link is not None and neighbour in {end.node for end in link.endpoints}
    return bool({one.address, one.router_id} & mine) or on_link


def patience(call: Call, speaking: Speakers) -> float:
    """Return the longest time (seconds) after which a silent neighbour is given up.

    OSPF's dead interval (RFC 2328 section 9.5), IS-IS's holding time (ISO 10589 section 8.2.3), BGP's hold time (RFC
    4271 section 4.2); 0 where no router has a neighbour.
    """
    return max((_patience(call, node, protocol) for node, protocol in _asked(speaking)), default=0.0)


def _patience(call: Call, node: str, protocol: str) -> float:
    daemon, question = _TIMERS[protocol]
    return max(_TIMES[protocol](vty(call, node, daemon, question)[0]), default=0.0)


def _dead_intervals(answer: Mapping[str, Any]) -> Iterator[float]:
    """Of interfaces with a neighbour: a loopback has a timer too, of 40 s, and nobody on it who could fall silent."""
    ports = answer.get("interfaces", answer)
    return (float(port.get("timerDeadSecs", 0)) for port in ports.values() if isinstance(port, dict) and _met(port))


def _met(port: Mapping[str, Any]) -> bool:
    return bool(port.get("nbrCount", 0))


def _holding_times(answer: Mapping[str, Any]) -> Iterator[float]:
    circuits = (circuit for area in answer.get("areas", ()) for circuit in area.get("circuits", ()))
    for circuit in circuits:
        for level in circuit.get("interface", {}).get("levels", ()):
            yield float(level.get("hello-interval", 0)) * float(level.get("holddown", {}).get("count", 0))


def _hold_times(answer: Mapping[str, Any]) -> Iterator[float]:
    return (float(peer.get("bgpTimerHoldTimeMsecs", 0)) / 1e3 for peer in answer.values() if isinstance(peer, dict))


_TIMERS = {
    "ospf": ("ospfd", "show ip ospf interface json"),
    "isis": ("isisd", "show isis interface detail json"),
    "bgp": ("bgpd", "show bgp neighbors json"),
}
_TIMES = {"ospf": _dead_intervals, "isis": _holding_times, "bgp": _hold_times}


def difference(before: States, after: States) -> list[str]:
    """Return one line for each neighbour whose state differs, `agg1: ospf 10.0.1.2%eth1 was Full, is gone`."""
    return [
        f"{device}: {name} was {_shown(old.get(name))}, is {_shown(new.get(name))}"
        for device in sorted({*before, *after})
        for old, new in [(before.get(device, {}), after.get(device, {}))]
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _shown(state: str | None) -> str:
    return "not there" if state is None else state.partition(" ")[2]
