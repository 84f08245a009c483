"""What the mirror believes of the rack and what it has set in the twin; nothing here waits or sends.

`absorb` takes readings as they come, `decide` says what the twin's links must be set to, `confirm` is told when the
twin has it. A field is up to date from the moment the twin is known to hold its value, changed or not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from adapters.base import InterfaceFacts
from testbed.emulator.messages import LinkChange, LinkPatch
from testbed.model.impairment import Impairment
from testbed.model.topology import Link, Router, Topology
from testbed.telemetry.sample import Sample
from testbed.twin.capacity import HIGHEST, Capacity
from testbed.twin.echo import Batch
from testbed.twin.estimators import ENOUGH, LinkEstimator, RateMeter, Settings, changed, settings
from testbed.twin.measure import Reading, link_samples, samples

GRACE = 0.5
"""Seconds after which an unanswered packet of a short link has surely been told of."""

Field = tuple[str, str]
"""Entity and metric, as in samples."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A value on its way into the twin: when it was measured and for when it was planned (Unix seconds)."""

    measured: float
    due: float


@dataclass(slots=True)
class LinkView:
    """One link. `ends`: the latest word of each end's device. `held`: what the twin was last set to.

    `capacity`: as measured, None where that is not known. `settling`: it came `back` (Unix seconds), and what is heard
    of it may still be of the cut.
    """

    link: Link
    estimator: LinkEstimator = field(default_factory=LinkEstimator)
    meters: tuple[RateMeter, RateMeter] = field(default_factory=lambda: (RateMeter(), RateMeter()))
    ends: list[InterfaceFacts | None] = field(default_factory=lambda: [None, None])
    loads: list[float] = field(default_factory=lambda: [0.0, 0.0])
    sizes: list[int] = field(default_factory=lambda: [1000, 1000])
    capacity: Capacity | None = None
    held: Settings | None = None
    held_up: bool = True
    settling: bool = False
    back: float = 0.0

    @property
    def up(self) -> bool:
        """Both ends have carrier and are enabled; an end that is not known does not count."""
        return all(end.up and end.carrier for end in self.ends if end is not None)

    @property
    def declared_rate(self) -> float | None:
        """The slower end's speed, as the devices declare it (it is not measured), bit/s."""
        speeds = [end.speed for end in self.ends if end is not None and end.speed]
        return min(speeds, default=None)

    @property
    def rate(self) -> float | None:
        """What the link carries, bit/s: the limit that was measured or the declared speed, whichever is lower."""
        limits = [limit for limit in (self.capacity and self.capacity.limit, self.declared_rate) if limit]
        return min(limits, default=None)

    def see(self, end: int, interface: InterfaceFacts, measured: float) -> None:
        """Take one end's state and counters."""
        was_up, packets = self.up, self.ends[end]
        self.ends[end] = interface
        rate = self.meters[end].add(measured, interface.tx_bytes)
        if rate is not None:
            self.loads[end] = rate
            sent = interface.tx_packets - (packets.tx_packets if packets else 0)
            octets = interface.tx_bytes - (packets.tx_bytes if packets else 0)
            self.sizes[end] = min(1500, max(64, octets // sent)) if sent > 0 else self.sizes[end]
        if was_up != self.up:
            # What was learned on the old wire, and packets lost while it was cut, say nothing of the new one.
            self.estimator.forget()
            self.settling, self.back = self.up, measured

    def hear(self, batch: Batch) -> bool:
        """Take round trips; False where they say nothing of the link, because it is cut or just came back."""
        if not self.up:
            return False
        if self.settling:
            # Packets lost on the cut wire are told of when their grace is over: up to the batch that reaches so far.
            self.settling = batch.measured < self.back + GRACE
            return False
        self.estimator.add(batch.rtts, batch.lost, batch.answered)
        return True

    def wanted(self, stack_rtt: float) -> Settings | None:
        """What both directions must be set to, None before anything is known."""
        estimate = self.estimator.estimate()
        if estimate is None or not self.up:
            return self.held
        wish = settings(estimate, self.rate, stack_rtt)
        if not estimate.replies and self.held is not None:
            # Nothing came back since it was last cut: the delay known before is the best there is.
            return Settings(self.held.delay, self.held.jitter, wish.loss, wish.rate)
        return wish


@dataclass(frozen=True, slots=True)
class Decision:
    """One batch for the twin: links whose settings are off, and links to cut or mend."""

    settings: Mapping[str, Settings]
    switched: Mapping[str, bool]

    def changes(self) -> tuple[LinkChange, ...]:
        """The agent's form: switches first, each direction's settings after."""
        ups = [LinkChange(link=name, up=up) for name, up in self.switched.items()]
        patches = {name: _patch(wish) for name, wish in self.settings.items()}
        forward = [LinkChange(link=name, end=0, patch=patch) for name, patch in patches.items()]
        backward = [LinkChange(link=name, end=1, patch=patch) for name, patch in patches.items()]
        return (*ups, *forward, *backward)


@dataclass(slots=True)
class Picture:
    """All links, all running configurations, and what of them has yet to reach the twin.

    `tolerance`: 1 sends a link's settings when they are off by more than noise, 0 whenever they differ. `changed`: when
    a link or a configuration last became another one (Unix seconds): routes that were read before are old.
    """

    topology: Topology
    tolerance: float = 1.0
    links: dict[str, LinkView] = field(default_factory=dict)
    configs: dict[str, str] = field(default_factory=dict)
    changed: float = 0.0
    stack: deque[float] = field(default_factory=lambda: deque(maxlen=120))
    pending: dict[Field, Arrival] = field(default_factory=dict)
    events: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=200))
    capacities: dict[str, Capacity | None] = field(default_factory=dict)
    _ports: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    _known: set[Field] = field(default_factory=set)

    def __post_init__(self) -> None:
        for name, link in self.topology.links.items():
            self.links[name] = LinkView(link, held_up=link.up)
            for end, port in enumerate(link.endpoints):
                self._ports[port.node, port.interface] = (name, end)
        routers = {name: node for name, node in self.topology.nodes.items() if isinstance(node, Router)}
        self.configs = {name: node.config or "" for name, node in routers.items()}

    # --- in ---

    def absorb(self, reading: Reading) -> list[Sample]:
        """Take one poll of one device; returns its samples for the store."""
        found = list(samples(reading))
        if reading.counters is not None:
            measured = reading.counters.measured
            for interface in reading.counters.interfaces:
                found += self._see(reading, interface, measured)
        for link, batch in reading.echoes.items():
            found += self._hear(link, batch, reading) if link in self.links else ()
        if reading.burst is not None:
            for meter in self.links[reading.burst.link].meters:
                meter.excuse(reading.burst.octets)
        for link, capacity in reading.capacities.items():
            found += self._learn(link, capacity, reading)
        return found

    def _learn(self, name: str, capacity: Capacity | None, reading: Reading) -> Iterable[Sample]:
        view, self.capacities[name] = self.links[name], capacity
        if capacity is None or capacity == view.capacity:
            return
        limits = [c.limit if c else None for c in (view.capacity, capacity)]
        if (limits[0] is None) != (limits[1] is None):
            told = f"carries {limits[1] / 1e6:.3g} Mbit/s" if limits[1] else "has no limit of its rate any more"
            self.events.append((capacity.measured, f"link {name} {told}"))
        view.capacity = capacity
        source = f"{reading.device}/ping sizes"
        metric, value = ("capacity", capacity.limit) if capacity.limit else ("capacity_at_least", HIGHEST)
        yield Sample(f"link:{name}", metric, value, "bit/s", capacity.measured, reading.received, source)

    def _see(self, reading: Reading, interface: InterfaceFacts, measured: float) -> Iterable[Sample]:
        port = self._ports.get((reading.device, interface.name))
        if port is None:
            return
        name, end = port
        view = self.links[name]
        was_up = view.up
        view.see(end, interface, measured)
        if was_up != view.up:
            told = f"{reading.device}:{interface.name} {'has' if view.up else 'has no'} carrier"
            self.events.append((measured, f"link {name} {'up' if view.up else 'down'}: {told}"))
            self.changed = reading.received
        arrival, direction = Arrival(measured, reading.due), ("forward", "backward")[end]
        self.pending[f"interface:{reading.device}:{interface.name}", "carrier"] = arrival
        self.pending[f"link:{name}:{direction}", "load"] = arrival
        if interface.cost is not None:
            self.pending[f"interface:{reading.device}:{interface.name}", "cost"] = arrival
        source = f"{reading.device}/interfaces"
        yield Sample(f"link:{name}", "up", float(view.up), "1", measured, reading.received, source)
        load = view.loads[end]
        yield Sample(f"link:{name}:{direction}", "load", load, "bit/s", measured, reading.received, source)

    def _hear(self, name: str, batch: Batch, reading: Reading) -> Iterable[Sample]:
        view = self.links[name]
        if not view.hear(batch):
            return
        self.pending[f"link:{name}", "loss"] = Arrival(batch.measured, reading.due)
        if batch.rtts:
            self.pending[f"link:{name}", "delay"] = Arrival(batch.measured, reading.due)
        yield from link_samples(name, batch, reading.received, f"{reading.device}/ping")

    def calibrate(self, twin_rtt: float, link: str) -> None:
        """Learn what the twin's own stacks add: its round trip over a link, less what the link is set to."""
        held = self.links[link].held
        if held is not None and twin_rtt > 0:
            self.stack.append(min(5e-3, max(0.0, twin_rtt - 2 * held.echo_time)))

    @property
    def stack_rtt(self) -> float:
        """Seconds the twin adds to a round trip by itself: a median, 0 until there are five measurements."""
        return median(self.stack) if len(self.stack) >= 5 else 0.0

    # --- out ---

    def unsettled(self, measured: Iterable[str]) -> list[str]:
        """Those of the measured links that carry packets and whose settings do not yet rest on enough replies."""
        views = {name: (self.links[name], self.links[name].estimator.estimate()) for name in measured}
        return [
            name
            for name, (view, estimate) in views.items()
            if view.up and not (estimate and view.held and (estimate.silent or estimate.replies >= ENOUGH))
        ]

    def fields(self) -> list[Field]:
        """What ought to be updated in every poll: a cut link has no delay, an interface that is down has no cost."""
        return [key for key in self._known if self._is_due(key)]

    def _is_due(self, key: Field) -> bool:
        entity, metric = key
        if metric in ("delay", "loss"):
            return self.links[entity.split(":")[1]].up
        if metric != "cost":
            return True
        _, device, interface = entity.split(":", 2)
        name, end = self._ports[device, interface]
        facts = self.links[name].ends[end]
        return facts is not None and facts.cost is not None

    def decide(self) -> Decision:
        """What must be sent so that the twin's links are as the rack's: nothing when they are, within tolerance."""
        stack = self.stack_rtt
        wishes = {name: view.wanted(stack) for name, view in self.links.items()}
        off = {
            name: wish for name, wish in wishes.items() if wish and changed(self.links[name].held, wish, self.tolerance)
        }
        switched = {name: view.up for name, view in self.links.items() if view.up != view.held_up}
        return Decision(off, switched)

    def confirm(self, decision: Decision) -> None:
        """The twin has these settings now."""
        for name, wish in decision.settings.items():
            self.links[name].held = wish
        for name, up in decision.switched.items():
            self.links[name].held_up = up

    def arrived(self, waiting: Iterable[str] = ()) -> dict[Field, Arrival]:
        """Hand over the fields that the twin now holds, all but the costs of devices still being configured."""
        blocked = set(waiting)
        stay = {k: a for k, a in self.pending.items() if k[1] == "cost" and k[0].split(":")[1] in blocked}
        done = {k: a for k, a in self.pending.items() if k not in stay}
        self.pending = stay
        self._known |= done.keys()
        return done

    def current(self) -> Topology:
        """The twin's topology as it is set now; a link that is up but carries nothing counts as down.

        A fork of it must become ready, and no adjacency comes up over a link that loses everything.
        """
        links = {name: _as_set(view) for name, view in self.links.items()}
        nodes = {
            name: node.model_copy(update={"config": self.configs[name]}) if name in self.configs else node
            for name, node in self.topology.nodes.items()
        }
        return self.topology.model_copy(update={"links": links, "nodes": nodes})


def _patch(wish: Settings) -> LinkPatch:
    """All settings together: netem refuses a jitter beyond the delay, even for the moment between two changes."""
    jitter = min(wish.jitter, wish.delay)
    shape = "normal" if jitter else "uniform"
    return LinkPatch(delay=wish.delay, jitter=jitter, distribution=shape, loss=wish.loss, rate=wish.rate)


def _as_set(view: LinkView) -> Link:
    held = view.held or Settings()
    dead = held.loss >= 1.0
    jitter = min(held.jitter, held.delay)
    impairment = Impairment(
        delay=held.delay,
        jitter=jitter,
        distribution="normal" if jitter else "uniform",
        loss=0.0 if dead else held.loss,
        rate=held.rate,
    )
    up = view.held_up and not dead
    return view.link.model_copy(update={"forward": impairment, "backward": impairment, "up": up})
