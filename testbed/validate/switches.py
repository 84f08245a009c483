"""Switches of our own controller in a trial: what steps may name, the links that packets take, loops and dead ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, product

from testbed.control.frames import Frames, Walk
from testbed.control.messages import Network, Pin, Policy
from testbed.control.paths import forwarding
from testbed.emulator.control import control_of
from testbed.emulator.lower import build_of
from testbed.emulator.segments import ReadSwitches
from testbed.errors import BadInput, NotReady
from testbed.model.base import Problem
from testbed.model.change import SwitchStep
from testbed.model.topology import Switch, Topology
from testbed.validate.naming import Where, unknown
from testbed.validate.routes import Call
from testbed.validate.scene import Step, Way


def are_steered(topology: Topology) -> bool:
    """Tell whether our own controller has a switch."""
    return any(isinstance(node, Switch) and node.controller == "testbed" for node in topology.nodes.values())


def problems(where: Where, step: SwitchStep, topology: Topology) -> Iterator[Problem]:
    """Yield what a step names and the switches have not, and a path to pin that is none."""
    network = control_of([build_of(topology)]).network
    if not network.switches:
        word = next(iter(step.model_fields_set))
        expected = "expected a twin with a switch of our own controller (`kind: switch`), which alone is steered"
        yield Problem((*where, word), _shown(step, word), expected)
        return
    for word, links in (("drain", step.drain), ("restore", step.restore)):
        yield from _links((*where, word), links, network)
    for word, pair in (("pin", step.pin), ("unpin", step.unpin)):
        known = {station.node for station in network.stations}
        for end in ("source", "destination") if pair else ():
            if (name := getattr(pair, end)) not in known:
                yield unknown((*where, word, end), name, "a node on the switches", known)
    if step.pin:
        wrong = list(_links((*where, "pin", "links"), step.pin.links, network))
        yield from wrong or _pin((*where, "pin", "links"), step, network)


def _shown(step: SwitchStep, word: str) -> object:
    value = getattr(step, word)
    return value.model_dump() if hasattr(value, "model_dump") else list(value)


def _links(where: Where, links: Sequence[str], network: Network) -> Iterator[Problem]:
    known = {cable.link for cable in network.cables}
    for index, link in enumerate(links):
        if link not in known:
            yield unknown((*where, index), link, "a link between switches", known)


def _pin(where: Where, step: SwitchStep, network: Network) -> Iterator[Problem]:
    assert step.pin is not None
    pin = Pin(source=step.pin.source, destination=step.pin.destination, links=step.pin.links)
    if {pin.source, pin.destination} <= {station.node for station in network.stations}:
        try:
            forwarding(network, Policy(pins=(pin,)))
        except BadInput as error:
            yield Problem(where, list(pin.links), f"expected links that lead from one to the other; {error}")


def look(call: Call, topology: Topology) -> Frames | None:
    """Read what is written in the switches; None where none is our own controller's.

    Raises:
        NotReady: a switch does not say.
    """
    if not are_steered(topology):
        return None
    said = call(ReadSwitches())
    if said.read.silent:
        raise NotReady(f"no answer from {', '.join(said.read.silent)}: what is written there is not known")
    return Frames(said.network, said.read)


def through(frames: Frames, way: Way) -> Way:
    """Put the switches that packets pass between two hops into a way.

    Where they may take several ways, only what these have in common is named; `steps` has them all.
    """
    nodes, links, steps, spread = [way.nodes[0]], [], set(way.steps), None not in way.nodes
    for (one, other), link in zip(pairwise(way.nodes), way.links, strict=True):
        walks = _walks(frames, one, other) if one and other and link is None else []
        steps = {step for step in steps if not walks or step[::2] != (one, other)}
        spread = spread and (link is not None or bool(walks))
        steps |= {hop for walk in walks for hop in walk.hops}
        more_nodes, more_links = _common(walks) or ([other], [link])
        nodes += more_nodes
        links += more_links
    proof = (*way.proof, *_told(steps))
    return Way(tuple(nodes), tuple(links), way.reached, frozenset(steps), proof, spread)


def _walks(frames: Frames, one: str, other: str) -> list[Walk]:
    pairs = product(frames.stations(one), frames.stations(other))
    return [walk for source, destination in pairs for walk in frames.walks(source, destination) if not walk.fault]


def _common(walks: Sequence[Walk]) -> tuple[list[str | None], list[str | None]] | None:
    """Return nodes and links, None at each place where ways of one length differ; None where lengths do, or no way."""
    if len({len(walk.hops) for walk in walks}) != 1:
        return None
    places = list(zip(*(walk.hops for walk in walks), strict=True))
    nodes = [_only({there for _, _, there in place}) for place in places]
    return nodes, [_only({link for _, link, _ in place}) for place in places]


def _only(names: set[str]) -> str | None:
    return names.pop() if len(names) == 1 else None


def _told(steps: set[Step]) -> Iterator[str]:
    if steps:
        yield "flows lead " + ", ".join(sorted(f"{one} over {link or '?'} to {there}" for one, link, there in steps))
