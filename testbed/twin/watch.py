"""Comparing the twin with the rack: the twin's own kernel and daemons are asked, never what was meant to be set."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from statistics import median

from adapters import frr_facts
from adapters.base import Facts, InterfaceFacts, Route
from testbed.emulator.client import Client
from testbed.emulator.messages import GetLinks, LinkPatch, LinkStates, Reach, Reached
from testbed.errors import GuestFailed, TestbedError
from testbed.model.topology import Router, Topology
from testbed.twin.echo import Batch
from testbed.twin.estimators import LinkEstimator, Settings, Tuning
from testbed.twin.measure import plan_echoes
from testbed.twin.picture import Picture
from testbed.twin.transport import AgentTransport

log = logging.getLogger(__name__)

FAR_INTERVAL = 0.5
"""Seconds between two packets of a pair on the rack."""

_FAR = Tuning(window=30)

SETTLED = 4.0
"""Seconds that routing may take on rack and twin after a change, before their routes are compared."""

_QUESTIONS = (frr_facts.INTERFACES, frr_facts.OSPF_INTERFACES, *frr_facts.ROUTES)

PROBES = 8
"""Echoes in the twin for each comparison."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two ends compared across the network: packets from `source` to `destination` (an address of `sink`)."""

    source: str
    sink: str
    address: str
    destination: str

    @property
    def key(self) -> str:
        """Its name among the echoes of its source."""
        return f"far:{self.source}-{self.sink}"


def far_pairs(topology: Topology) -> list[Pair]:
    """Pairs of routers, loopback to loopback: the last two of the topology (cell sites) with its first two (cores)."""
    loop = {
        name: str(node.loopbacks[0].ip)
        for name, node in topology.nodes.items()
        if isinstance(node, Router) and node.loopbacks
    }
    names = list(loop)
    near, far = names[: len(names) // 2][:2], names[len(names) // 2 :][-2:]
    return [Pair(a, b, loop[a], loop[b]) for a in reversed(far) for b in near]


@dataclass(slots=True)
class Findings:
    """What comparing has found so far. `last`: pair to (rack, twin) RTT in seconds."""

    mismatches: dict[str, str] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    errors: deque[float] = field(default_factory=lambda: deque(maxlen=1000))
    last: dict[str, tuple[float, float]] = field(default_factory=dict)

    def replace(self, scope: str, compared: int, mismatches: Mapping[str, str]) -> None:
        """Put a scope's new mismatches in place of its old ones."""
        kept = {key: text for key, text in self.mismatches.items() if not key.startswith(scope)}
        self.mismatches = kept | {f"{scope}{key}": text for key, text in mismatches.items()}
        self.compared[scope] = compared

    def compare(self, pair: str, rack: float, twin: float) -> None:
        """Note one pair's median round trips, seconds."""
        self.errors.append(abs(twin - rack))
        self.last[pair] = (rack, twin)


def compare_links(picture: Picture, states: LinkStates) -> dict[str, str]:
    """Links whose state or settings in the twin's kernel are not the rack's."""
    found: dict[str, str] = {}
    for state in states.links:
        view = picture.links[state.name]
        if state.up != view.up:
            found[state.name] = f"link {state.name}: rack {_word(view.up)}, twin {_word(state.up)}"
        elif view.held is not None and not all(map(_as_held, (state.forward, state.backward), (view.held,) * 2)):
            found[state.name] = (
                f"link {state.name}: the twin's kernel has other settings than were sent: {state.forward}"
            )
    return found


def _word(up: bool) -> str:
    return "up" if up else "down"


def _as_held(patch: LinkPatch, held: Settings) -> bool:
    """Within what the kernel rounds to: netem's clock and probability units are far finer."""
    return (
        isinstance(patch.delay, float | int)
        and abs(patch.delay - held.delay) < 2e-6
        and isinstance(patch.loss, float | int)
        and abs(patch.loss - held.loss) < 1e-6
    )


def compare_interfaces(rack: Iterable[InterfaceFacts], twin: Iterable[InterfaceFacts]) -> dict[str, str]:
    """Interfaces that are set differently; a cost that one side has not (the interface is down) is not compared."""
    own = {interface.name: _settings(interface) for interface in twin}
    found = {}
    for interface in rack:
        here, there = _settings(interface), own.get(interface.name, {})
        for what in here.keys() & there.keys():
            if here[what] != there[what]:
                told = f"{interface.name}: {what} {here[what]} on the rack, {there[what]} in the twin"
                found[f"{interface.name} {what}"] = told
    return found


def _settings(interface: InterfaceFacts) -> Mapping[str, object]:
    own = {"enabled": interface.up, "addresses": ", ".join(sorted(interface.addresses)) or "none", "MTU": interface.mtu}
    return own if interface.cost is None else own | {"cost": interface.cost}


def compare_routes(rack: tuple[Route, ...], twin: tuple[Route, ...], ignore: frozenset[str]) -> dict[str, str]:
    """Prefixes whose next hops differ. `ignore`: interfaces that the twin has not (management)."""
    tables = [_table(routes, ignore) for routes in (rack, twin)]
    return {
        prefix: f"route {prefix}: {_hops(tables[0], prefix)} on the rack, {_hops(tables[1], prefix)} in the twin"
        for prefix in sorted(tables[0].keys() | tables[1].keys())
        if tables[0].get(prefix) != tables[1].get(prefix)
    }


def _hops(table: Mapping[str, tuple[str, ...]], prefix: str) -> str:
    return " and ".join(table[prefix]) if prefix in table else "none"


def _table(routes: tuple[Route, ...], ignore: frozenset[str]) -> dict[str, tuple[str, ...]]:
    kept = {}
    for route in routes:
        hops = tuple(hop for hop in route.next_hops if hop.partition("%")[2] not in ignore)
        if hops:
            kept[route.prefix] = hops
    return kept


class Watcher(threading.Thread):
    """Compares a little in every period, so that the rack and the twin are hardly burdened."""

    def __init__(
        self,
        agent: Callable[[], Client],
        picture: Picture,
        lock: threading.Lock,
        *,
        period: float,
        ignore: frozenset[str],
    ) -> None:
        """Args:
        picture: read, and calibrated, under `lock`.
        period: seconds between two rounds. ignore: management interfaces.
        """
        super().__init__(name="watch", daemon=True)
        self._agent = agent
        self._picture = picture
        self._lock = lock
        self._pairs = far_pairs(picture.topology)
        self._measured = [plan.link for plans in plan_echoes(picture.topology).values() for plan in plans]
        self._far: dict[str, LinkEstimator] = {}
        self._period = period
        self._ignore = ignore
        self._stopped = threading.Event()
        self.findings = Findings()
        self._routes: dict[str, tuple[float, tuple[Route, ...]]] = {}
        self.away: Callable[[str], bool] = lambda device: False

    def stop(self) -> None:
        """End after the round at hand."""
        self._stopped.set()

    def run(self) -> None:
        with self._agent() as client:
            for turn in count():
                started = time.monotonic()
                self._guarded(client, turn)
                if self._stopped.wait(max(0.05, self._period - (time.monotonic() - started))):
                    return

    def _guarded(self, client: Client, turn: int) -> None:
        try:
            self._round(client, turn)
        except GuestFailed:
            self._stopped.wait(self._period)
        except TestbedError as error:
            log.warning("comparing: %s", error)
        except Exception:
            log.exception("comparing: unexpected")

    def _round(self, client: Client, turn: int) -> None:
        states = client.call(GetLinks())
        assert isinstance(states, LinkStates)
        with self._lock:
            self.findings.replace("link/", len(states.links), compare_links(self._picture, states))
        self._link_rtt(client, turn)
        self._router(client, turn)
        if self._pairs and turn % 3 == 2:
            self._far_rtt(client, turn // 3)

    def _link_rtt(self, client: Client, turn: int) -> None:
        """Compare one link's round trip, the links in turn, and learn from it what the twin's stacks add."""
        with self._lock:
            known = {name: (view.estimator.estimate(), view) for name, view in self._picture.links.items()}
            ready = [n for n, (e, view) in known.items() if e and e.replies >= PROBES and not e.silent and view.held_up]
        if not ready:
            return
        name = ready[turn % len(ready)]
        estimate, view = known[name]
        held, (here, there) = view.held, view.link.endpoints
        address = next((a.ip for a in there.addresses if a.network in {b.network for b in here.addresses}), None)
        if address is None or estimate is None or held is None:
            return
        twin = _reach(client, here.node, str(address))
        if twin is None:
            return
        with self._lock:
            if view.held is held and view.up:
                self._picture.calibrate(twin, name)
                self.findings.compare(f"{here.node}-{there.node} (link)", estimate.rtt, twin)

    def learn(self, facts: Facts) -> None:
        """Take a device's routes."""
        self._routes[facts.device] = facts.measured, facts.routes

    def _router(self, client: Client, turn: int) -> None:
        """Compare one router's interfaces and routes, the routers in turn; of one that is away nothing is known."""
        names = list(self._picture.configs)
        name = names[turn % len(names)] if names else ""
        with self._lock:
            rack, settled = self._interfaces(name), self._picture.changed + SETTLED
        if not rack or self.away(name) or time.time() < settled:
            self.findings.replace(f"router/{name}/", 0, {})
            return
        texts = AgentTransport(client, name).vtysh(_QUESTIONS)
        answers = {question: _decoded(text) for question, text in zip(_QUESTIONS, texts, strict=True)}
        found = compare_interfaces(rack, frr_facts.interfaces(answers, {}))
        measured, routes = self._routes.get(name, (0.0, ()))
        if measured > settled:
            found |= compare_routes(routes, frr_facts.routes(answers), self._ignore)
        told = {key: f"{name}: {text}" for key, text in found.items()}
        self.findings.replace(f"router/{name}/", len(rack) + (len(routes) if measured > settled else 0), told)

    def _interfaces(self, router: str) -> list[InterfaceFacts]:
        """What the rack's device last said of the interfaces that the twin has."""
        ends = (
            end for view in self._picture.links.values() for end in zip(view.link.endpoints, view.ends, strict=True)
        )
        return [facts for port, facts in ends if port.node == router and facts is not None]

    def hear(self, pair: str, batch: Batch) -> None:
        """Take round trips of a pair on the rack."""
        self._far.setdefault(pair, LinkEstimator(_FAR)).add(batch.rtts, batch.lost)

    def _far_rtt(self, client: Client, turn: int) -> None:
        """Compare one pair's round trip across the network, the pairs in turn."""
        pair = self._pairs[turn % len(self._pairs)]
        heard = self._far.get(pair.key)
        estimate = heard.estimate() if heard is not None else None
        with self._lock:
            settled = not self._picture.unsettled(self._measured)
        if estimate is None or estimate.silent or estimate.replies < PROBES or not settled:
            return
        twin = _reach(client, pair.source, pair.destination)
        if twin is not None:
            with self._lock:
                self.findings.compare(f"{pair.source}-{pair.sink}", estimate.rtt, twin)


def _reach(client: Client, source: str, destination: str) -> float | None:
    reached = client.call(Reach(source=source, destination=destination, count=PROBES, interval=0.02, timeout=1.0))
    assert isinstance(reached, Reached)
    return median(reached.rtt) if reached.rtt else None


def _decoded(text: str) -> dict | None:
    return None if text.strip().endswith("is not running") else json.loads(text)
