"""Real and synthetic backbones of the topohub package: Topology Zoo, SNDlib, CAIDA, world's fibre, Gabriel graphs.

Each node becomes an FRR router with OSPF and a loopback, each edge a fibre of its length. The data has no capacities.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from testbed.errors import BadInput
from testbed.exchange import addressing
from testbed.exchange.base import Findings, Format
from testbed.exchange.names import Names, slug
from testbed.model.impairment import Impairment
from testbed.model.topology import Endpoint, GuestOptions, Link, Router, Topology

SCHEME = "topohub:"
FIBRE = 4.9e-6
"""Seconds per km: ITU-T G.652 fibre, group index 1.468 at 1550 nm, 299792.458 km/s in vacuum."""

ROUTER_MEMORY = 20 * 2**20
"""Bytes of a guest for a router with OSPF: the 22 of GÉANT were seen to take 319 MiB."""


@cache
def names() -> tuple[str, ...]:
    """Return every graph's name, such as `sndlib/geant`."""
    return tuple(sorted(_under(files("topohub") / "data", "")))


def _under(folder: Traversable, path: str) -> list[str]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _under(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(".json"):
            found.append(path + entry.name.removesuffix(".json"))
    return found


def read(source: str, findings: Findings) -> Topology:
    """Read a graph.

    Args:
        source: `topohub:GROUP/NAME`. findings: stays empty: all of a graph is kept.

    Raises:
        BadInput: there is no such graph; the message has the nearest.
    """
    name = source.removeprefix(SCHEME)
    if name not in names():
        raise BadInput(f"{source}: topohub has no graph {name!r}; {_nearest(name)}")
    data = json.loads((files("topohub") / "data" / f"{name}.json").read_text(encoding="utf-8"))
    return topology_of(name, data)


def _nearest(name: str) -> str:
    """The graphs of a group, those that are nearly called so, or the groups that there are."""
    inside = [known for known in names() if known.startswith(f"{name.rstrip('/')}/")]
    by_lower = {known.lower(): known for known in names()} | {known.split("/")[-1].lower(): known for known in names()}
    near = [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=5, cutoff=0.5)]
    if inside or near:
        found = list(dict.fromkeys(inside or near))
        return (
            f"{'it has' if inside else 'the nearest are'} {', '.join(found[:12])}{', ...' if len(found) > 12 else ''}"
        )
    groups = Counter(known.rsplit("/", 1)[0].split("/")[0] for known in names())
    return "it has " + ", ".join(f"{group}/... ({count})" for group, count in groups.items())


def topology_of(name: str, data: Mapping[str, Any]) -> Topology:
    """Make a topology of a graph in networkx' node-link form."""
    called = _names(data["nodes"])
    fit, ports, links = Names(), Counter[str](), {}
    for index, edge in enumerate(data["edges"]):
        ends = [called[str(edge[side])] for side in ("source", "target")]
        links[fit.link(*ends)] = _link(index, ends, ports, edge["dist"])
    return Topology(
        name=slug(name),
        description=f"topohub {name}: {len(called)} nodes, {len(links)} links, fibre at {FIBRE * 1e6:g} us/km",
        nodes={called[str(node["id"])]: _router(index, node) for index, node in enumerate(data["nodes"])},
        links=links,
        demands=_demands(called, data["graph"].get("demands", {})),
        guest=GuestOptions(memory=max(GuestOptions().memory, len(called) * ROUTER_MEMORY)),
    )


def _names(nodes: list[Mapping[str, Any]]) -> dict[str, str]:
    fit = Names()
    return {str(node["id"]): fit.take(node.get("name", ""), f"n{node['id']}") for node in nodes}


def _router(index: int, node: Mapping[str, Any]) -> Router:
    x, y = node["pos"]
    return Router(kind="router", loopbacks=(addressing.loopback(index),), position=(float(x), float(y)))


def _link(index: int, ends: list[str], ports: Counter[str], km: float) -> Link:
    ports.update(ends)
    first, second = (
        Endpoint(node=end, interface=f"eth{ports[end]}", addresses=(address,))
        for end, address in zip(ends, addressing.wire(index), strict=True)
    )
    fibre = Impairment(delay=round(km * FIBRE, 9))
    return Link(endpoints=(first, second), forward=fibre, backward=fibre, medium=f"fibre {km:g} km")


def _demands(called: Mapping[str, str], given: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {
        called[source]: {called[target]: float(amount) for target, amount in amounts.items() if target != source}
        for source, amounts in given.items()
    }


FORMAT = Format(
    name="topohub",
    about="a graph of the topohub package, such as topohub:sndlib/geant",
    recognises=lambda source: source.startswith(SCHEME),
    read=read,
)
