"""What a change might disturb without meaning to, beyond routes: neighbours, and who reaches whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import permutations

from testbed.emulator.messages import Reach
from testbed.errors import BadInput
from testbed.model.topology import Topology
from testbed.validate import neighbours, places
from testbed.validate.routes import Call, Network, inside, routers

MOST_PAIRS = 600
# A pair is deaf when nothing of the first try comes back and nothing of the second, so that a lossy link is not.
TRIES = (3, 12)
INTERVAL = 0.02

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Around:
    """The surroundings at one moment.

    Attributes:
        states: every router's neighbours. reached: (router, another's address) to whether echoes came back.
        pairs: how many pairs of routers there are; more than `reached` has in a large network.
    """

    states: neighbours.States = field(default_factory=dict)
    reached: Mapping[Pair, bool] = field(default_factory=dict)
    pairs: int = 0


def look(call: Call, topology: Topology, speaking: neighbours.Speakers, pool: Executor) -> Around:
    """Ask every router for its neighbours and let each send echoes to each other."""
    everyone = list(_pairs(topology))
    chosen = everyone[:: -(-len(everyone) // MOST_PAIRS) or 1]
    answers = pool.map(lambda pair: _reaches(call, pair), chosen)
    return Around(neighbours.states(call, speaking), dict(zip(chosen, answers, strict=True)), len(everyone))


def _pairs(topology: Topology) -> Iterator[Pair]:
    addresses = {node: _address(topology, node) for node in routers(topology)}
    return ((one, far) for one, other in permutations(addresses, 2) if (far := addresses[other]))


def _address(topology: Topology, node: str) -> str | None:
    try:
        return places.address_of(topology, node)
    except BadInput:
        return None  # a router without any address is nobody's destination


def _reaches(call: Call, pair: Pair) -> bool:
    source, address = pair
    requests = (Reach(source=source, destination=address, count=count, interval=INTERVAL) for count in TRIES)
    return any(call(request).received for request in requests)


def difference(before: Around, after: Around, ignored: Iterable[str], topology: Topology) -> list[str]:
    """Return one line for each neighbour and each pair that differs, but for those at addresses that may change."""
    spared = [ip_network(prefix) for prefix in ignored]
    kept = [_without(around.states, spared, topology) for around in (before, after)]
    lines = neighbours.difference(*kept)
    for (source, address), reached in before.reached.items():
        now = after.reached.get((source, address), reached)
        if now != reached and not inside(address, spared):
            said = "reaches" if now else "no longer reaches"
            lines.append(f"{source} {said} {places.owner_of(topology, address)} ({address})")
    return lines


def _without(states: neighbours.States, spared: Sequence[Network], topology: Topology) -> neighbours.States:
    """Leave out the neighbours at addresses, or on interfaces with addresses, that may change."""
    own = {(end.node, end.interface): end.addresses for _, _, _, end in places.endpoints(topology)}

    def may_change(device: str, name: str) -> bool:
        address, _, interface = name.partition(" ")[2].partition("%")
        here = [str(one.ip) for one in own.get((device, interface), ())]
        return any(inside(one, spared) for one in [address, *here] if places.is_address(one))

    return {
        device: {name: state for name, state in listed.items() if not may_change(device, name)}
        for device, listed in states.items()
    }
