"""A running lab as one topology file, run-time changes included; `testbed restore` brings up its equal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from testbed.converge.carry_out import recover
from testbed.converge.observe import as_it_runs, joined, running_text
from testbed.emulator.messages import Observed
from testbed.emulator.standing import Observe, RouterText
from testbed.errors import BadInput, Unable
from testbed.lab import Lab
from testbed.model.dump import dump, tree
from testbed.model.topology import Bridge, Endpoint, Router, Switch, Topology


def save(lab: Lab) -> tuple[Topology, tuple[str, ...]]:
    """Return what a lab is now, as a topology that brings up its equal, and what of it is left out, a line each.

    Besides all of the topology: settings of links and whether they are cut, traces that play (they begin at their start
    again), what routers run, and addresses that were added or taken away.

    Raises:
        BadInput: it is no lab, or is in a state that no topology can describe; the message says which.
        Unable: it is dead or has no agent.
    """
    if lab.kind != "lab":
        raise BadInput(f"{lab.name!r} is a {lab.kind}; only labs are saved")
    state = lab.liveness()
    if not state.alive:
        raise Unable(f"lab {lab.name!r} is dead ({state.reason}); there is nothing to save")
    with lab.folder.lock(), lab.agent() as agent:
        recover(lab.folder, agent)
        seen = agent.call(Observe(addresses=True))
    saved = lab.topology
    notes = (
        f"not saved: {text} on {node}:{at}, which its own commands add" for node, at, text in not_saved(saved, seen)
    )
    return described(lab.name, saved, seen), tuple(notes)


def described(name: str, topology: Topology, seen: Observed) -> Topology:
    """Put what was seen of a lab into its topology.

    Raises:
        BadInput: no topology can describe it.
    """
    _refuse(seen)
    now = _with_addresses(as_it_runs(topology, seen), seen)
    nodes = {key: _router(node, key, seen) if isinstance(node, Router) else node for key, node in now.nodes.items()}
    tree = now.model_copy(update={"name": name, "nodes": nodes}).model_dump(mode="json")
    try:
        return Topology.model_validate(tree)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors()[:5])
        raise BadInput(f"lab {name!r} was changed into what no topology can say: {problems}") from None


def _refuse(seen: Observed) -> None:
    if seen.dark:
        raise BadInput(f"{', '.join(seen.dark)}: power is off, which no topology can say; give it power first")
    unnamed = sorted({trace.link for trace in seen.traces if not trace.source})
    if unnamed:
        raise BadInput(
            f"{', '.join(unnamed)}: what plays there was not read from a trace; `testbed trace stop` it first"
        )
    ways: dict[str, set[bool]] = {}
    for trace in seen.traces:
        ways.setdefault(trace.link, set()).add(trace.repeat)
    mixed = sorted(link for link, repeats in ways.items() if len(repeats) > 1)
    if mixed:
        raise BadInput(f"{', '.join(mixed)}: one direction's trace repeats and the other's does not; stop one of them")


def _with_addresses(topology: Topology, seen: Observed) -> Topology:
    """Take addresses as the kernel has them, but those that the node's own commands or daemons will add again."""
    theirs = set(not_saved(topology, seen))

    def now(known: tuple[Any, ...], node: str, interface: str) -> tuple[Any, ...]:
        texts = [text for at, text in seen.addresses[node] if at == interface and (node, at, text) not in theirs]
        there = [it for it in map(ip_interface, texts) if not it.ip.is_loopback]
        return (*(it for it in known if it in there), *(it for it in there if it not in known))

    def update(end: Endpoint) -> Endpoint:
        return end.model_copy(update={"addresses": now(end.addresses, end.node, end.interface)})

    links = {
        name: link.model_copy(update={"endpoints": tuple(map(update, link.endpoints))})
        for name, link in topology.links.items()
    }
    nodes = {
        name: node
        if isinstance(node, Bridge | Switch)
        else node.model_copy(update={"loopbacks": now(node.loopbacks, name, "lo")})
        for name, node in topology.nodes.items()
    }
    return topology.model_copy(update={"links": links, "nodes": nodes})


def not_saved(topology: Topology, seen: Observed) -> Iterator[tuple[str, str, str]]:
    """Give (node, interface, address) of what is in the kernel, is not the topology's, and has its own ways to come.

    That is, on a node with `exec` lines, or by a router's configuration.
    """
    declared = {
        (e.node, e.interface, str(a)) for link in topology.links.values() for e in link.endpoints for a in e.addresses
    }
    for name, node in topology.nodes.items():
        own = {("lo", str(address)) for address in getattr(node, "loopbacks", ())}
        routed = _routed(seen.routers[name]) if name in seen.routers else set()
        for interface, text in seen.addresses.get(name, ()):
            ours = (name, interface, text) in declared or (interface, text) in own
            if not ours and (getattr(node, "exec", ()) or text in routed):
                yield name, interface, text


def _routed(text: RouterText) -> set[str]:
    lines = (line for settings in joined(text.running).values() for line in settings)
    return {line.split()[2] for line in lines if line.startswith(("ip address ", "ipv6 address "))}


def _router(router: Router, name: str, seen: Observed) -> Router:
    """A router that was reconfigured by hand is given what it runs; another stays as it was declared."""
    text = seen.routers.get(name)
    if text is None or joined(text.given) == joined(text.running):
        return router
    daemons = tuple(daemon for daemon in text.running if daemon != "zebra")
    return router.model_copy(update={"config": running_text(text), "daemons": daemons})


def as_yaml(topology: Topology) -> str:
    """Write a saved lab as the topology file that it is."""
    return dump(topology, "A lab as it ran. `testbed restore` brings it up again.")


def as_json(topology: Topology) -> str:
    """Write it as JSON, which is YAML too; quantities have their units here as well."""
    return json.dumps(tree(topology), indent=1, ensure_ascii=False) + "\n"


WRITERS: dict[str, Callable[[Topology], str]] = {".json": as_json}


def written(topology: Topology, file: Path | None) -> str:
    """Return a saved lab's text in the format that the file's name asks for, YAML if it asks for none."""
    return WRITERS.get(file.suffix if file else "", as_yaml)(topology)
