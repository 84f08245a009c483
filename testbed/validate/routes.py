"""Every router's routes at one moment, what differs between two moments, and when they have stopped changing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from testbed.emulator.messages import Request, Vty, VtyOutput
from testbed.errors import AgentError
from testbed.model.topology import Router, Topology

Call = Callable[[Request], Any]
Routes = Mapping[str, Mapping[str, tuple[str, ...]]]

SHOW_ROUTES = ("show ip route json", "show ipv6 route json")
SHOW_OSPF = ("show ip ospf neighbor json", "show ip ospf interface json")
POLL = 0.25


@dataclass(frozen=True, slots=True)
class Settled:
    """How waiting for convergence ended.

    Attributes:
        routes: last seen. seconds: until the last change seen. stable: nothing changed for the whole window.
        moving: what changed last, for the message when it never settled.
    """

    routes: Routes
    seconds: float
    stable: bool
    moving: tuple[str, ...] = ()


def routers(topology: Topology) -> list[str]:
    """Return the names of the routers, sorted."""
    return sorted(name for name, node in topology.nodes.items() if isinstance(node, Router))


def vty(call: Call, node: str, daemon: str, *commands: str) -> list[Any]:
    """Run show-commands of one daemon and parse their JSON.

    Raises:
        AgentError: the daemon does not answer, or not in JSON: never read as "nothing there".
    """
    answer: VtyOutput = call(Vty(node=node, daemon=daemon, commands=commands))
    try:
        return [json.loads(output) for output in answer.outputs]
    except ValueError:
        shown = " | ".join(output.strip()[:200] for output in answer.outputs)
        raise AgentError(f"{node}: {daemon} answered {commands} with no JSON: {shown}") from None


def snapshot(call: Call, topology: Topology) -> Routes:
    """Return, of every router, each prefix's best next hops: sorted `address%interface`, `%interface` if connected."""
    return {node: dict(_best(vty(call, node, "zebra", *SHOW_ROUTES))) for node in routers(topology)}


def _best(tables: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for table in tables:
        for prefix, entries in table.items():
            if prefix.startswith("fe80:"):
                continue
            for entry in entries:
                if entry.get("selected"):
                    yield prefix, tuple(sorted(_hop(hop) for hop in entry.get("nexthops", ()) if hop.get("active")))


def _hop(hop: Mapping[str, Any]) -> str:
    if hop.get("blackhole") or hop.get("unreachable"):
        return "blackhole"
    return f"{hop.get('ip', '')}%{hop.get('interfaceName', '')}"


def difference(before: Routes, after: Routes, ignored: Iterable[str] = ()) -> list[str]:
    """Return one line for each route whose next hops differ, `agg1: 10.10.1.1/32 via 10.0.1.1%eth1 -> no route`.

    Args:
        before, after: from `snapshot`.
        ignored: prefixes that may change, with all that lies inside them.
    """
    spared = [ip_network(prefix) for prefix in ignored]
    lines = []
    for device in sorted({*before, *after}):
        old, new = before.get(device, {}), after.get(device, {})
        for prefix in sorted({*old, *new}):
            if old.get(prefix) != new.get(prefix) and not _inside(prefix, spared):
                lines.append(f"{device}: {prefix} via {_show(old.get(prefix))} -> {_show(new.get(prefix))}")
    return lines


def _inside(prefix: str, spared: Iterable[Any]) -> bool:
    network = ip_network(prefix)
    return any(network.version == one.version and network.subnet_of(one) for one in spared)


def _show(hops: tuple[str, ...] | None) -> str:
    return "no route" if hops is None else " and ".join(hops) or "nothing"


def lookup(table: Mapping[str, tuple[str, ...]], address: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the longest matching prefix of an address with its next hops (RFC 1812 section 5.2.4.3), or None."""
    target = ip_network(address)
    fitting = [p for p in table if ip_network(p).version == target.version and target.subnet_of(ip_network(p))]  # type: ignore[arg-type]
    if not fitting:
        return None
    best = max(fitting, key=lambda prefix: ip_network(prefix).prefixlen)
    return best, table[best]


def dead_interval(call: Call, topology: Topology) -> float:
    """Return the longest OSPF dead interval (seconds, RFC 2328 section 9.5) of all interfaces; 0 without OSPF."""
    longest = 0.0
    for node in routers(topology):
        if not runs_ospf(topology, node):
            continue
        answer = vty(call, node, "ospfd", SHOW_OSPF[1])[0]
        ports = answer.get("interfaces", answer)
        longest = max([longest, *(float(p.get("timerDeadSecs", 0)) for p in ports.values() if isinstance(p, dict))])
    return longest


def runs_ospf(topology: Topology, node: str) -> bool:
    """Tell whether a router runs OSPF: by its configuration, or by what is rendered where it has none."""
    model = topology.nodes[node]
    if not isinstance(model, Router):
        return False
    return "ospf" in model.protocols if model.config is None else "router ospf" in model.config


def adjacencies(call: Call, topology: Topology) -> dict[str, dict[str, str]]:
    """Return, of every OSPF router, each neighbour (`address%interface`) and its state."""
    return {node: _neighbours(call, node) for node in routers(topology) if runs_ospf(topology, node)}


def _neighbours(call: Call, node: str) -> dict[str, str]:
    answer = vty(call, node, "ospfd", SHOW_OSPF[0])[0]
    entries = [(key, entry) for key, listed in answer.get("neighbors", answer).items() for entry in listed]
    return {f"{e.get('ifaceAddress', e.get('address', key))}%{_port(e)}": _state(e) for key, e in entries}


def _port(entry: Mapping[str, Any]) -> str:
    return str(entry.get("ifaceName", "")).split(":")[0]


def _state(entry: Mapping[str, Any]) -> str:
    return str(entry.get("nbrState", entry.get("state", "?"))).split("/")[0]


def settle(call: Call, topology: Topology, window: float, deadline: float) -> Settled:
    """Wait until every route and every adjacency has stayed the same for a window.

    Args:
        window: seconds without any change that count as converged; longer than the dead interval where a neighbour
            may time out.
        deadline: seconds after which it is given up.
    """
    start = changed = time.monotonic()
    last, neighbours, moving = snapshot(call, topology), adjacencies(call, topology), ()
    while (now := time.monotonic()) - changed < window:
        if now - start > deadline:
            return Settled(last, changed - start, False, moving)
        time.sleep(POLL)  # a polling period: daemons announce no "converged" that could be waited for
        routes, states = snapshot(call, topology), adjacencies(call, topology)
        if (routes, states) != (last, neighbours):
            moving = tuple(difference(last, routes)) or (f"adjacencies {_moved(neighbours, states)}",)
            last, neighbours, changed = routes, states, time.monotonic()
    return Settled(last, changed - start, True, moving)


def _moved(before: Mapping[str, Mapping[str, str]], after: Mapping[str, Mapping[str, str]]) -> str:
    return ", ".join(f"{node} {dict(states)}" for node, states in after.items() if states != before.get(node))
