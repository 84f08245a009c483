"""Every router's routes at one moment, and what differs between two moments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from testbed.emulator.messages import Request, Vty, VtyOutput
from testbed.errors import AgentError
from testbed.model.topology import Router, Topology

Call = Callable[[Request], Any]
Routes = Mapping[str, Mapping[str, tuple[str, ...]]]
Network = IPv4Network | IPv6Network

SHOW_ROUTES = ("show ip route json", "show ipv6 route json")


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
    """Return each router's prefixes with the next hops that its kernel forwards to.

    Next hops are sorted, `address%interface`, `%interface` if connected; a route that the kernel did not take has none.
    """
    return {node: dict(_best(vty(call, node, "zebra", *SHOW_ROUTES))) for node in routers(topology)}


def _best(tables: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for table in tables:
        for prefix, entries in table.items():
            if prefix.startswith("fe80:"):
                continue
            for entry in entries:
                if entry.get("selected"):
                    yield prefix, tuple(sorted(_hop(hop) for hop in entry.get("nexthops", ()) if hop.get("fib")))


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
            if old.get(prefix) != new.get(prefix) and not inside(prefix, spared):
                lines.append(f"{device}: {prefix} via {_show(old.get(prefix))} -> {_show(new.get(prefix))}")
    return lines


def inside(prefix: str, spared: Iterable[Network]) -> bool:
    """Tell whether a prefix, or an address, lies in one of these networks; in the default route's lies only itself."""
    network = ip_network(prefix)
    return any(network == one or (one.prefixlen > 0 and _within(network, one)) for one in spared)


def _within(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and network.subnet_of(other)
    return isinstance(other, IPv6Network) and network.subnet_of(other)


def _show(hops: tuple[str, ...] | None) -> str:
    return "no route" if hops is None else " and ".join(hops) or "nothing"


def lookup(table: Mapping[str, tuple[str, ...]], address: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the longest matching prefix of an address with its next hops (RFC 1812 section 5.2.4.3), or None."""
    target = ip_network(address)
    fitting = [prefix for prefix in table if _within(target, ip_network(prefix))]
    if not fitting:
        return None
    best = max(fitting, key=lambda prefix: ip_network(prefix).prefixlen)
    return best, table[best]
