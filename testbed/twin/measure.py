"""Reading the rack: one thread for each device, by a schedule of deadlines, so that no device delays another."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TypeVar

from adapters.base import Adapter, Counters, Facts, InterfaceFacts
from testbed.errors import TestbedError
from testbed.model.topology import Endpoint, Router, Topology
from testbed.telemetry.sample import Sample
from testbed.twin.aside import Aside
from testbed.twin.capacity import Burst, Capacity, Prober
from testbed.twin.echo import Batch, Echo
from testbed.twin.notices import Ears, Notices

T = TypeVar("T")
log = logging.getLogger(__name__)

APART = 0.1
"""Periods between two polls that are made before their turn: a link that flaps must not be all a device does."""


@dataclass(slots=True)
class Schedule:
    """Deadlines at a fixed distance from a common start; those slept through are skipped and counted, never caught up.

    Attributes:
        start, period: seconds on the monotonic clock. missed: deadlines that passed while busy.
    """

    start: float
    period: float
    missed: int = 0
    _turn: int = -1

    def next(self, now: float) -> float:
        """The next deadline to wait for: the first one that is not past, or the first of all."""
        turn = max(self._turn + 1, -(-(now - self.start) // self.period))
        self.missed += int(turn) - self._turn - 1 if self._turn >= 0 else 0
        self._turn = int(turn)
        return self.start + self._turn * self.period


@dataclass(frozen=True, slots=True)
class Reading:
    """One poll of one device; what could not be read is missing and `error` says why.

    Attributes:
        due: when it was planned, received: when it was complete; Unix seconds. echoes: link to its round trips.
        facts: what was read of everything since the last poll, now and then, and when a cost has changed.
        burst: large echoes that were started.
        capacities: what is believed of each link that had its first turn, None where that told nothing.
    """

    device: str
    due: float
    received: float
    counters: Counters | None = None
    facts: Facts | None = None
    echoes: Mapping[str, Batch] = field(default_factory=dict)
    burst: Burst | None = None
    capacities: Mapping[str, Capacity | None] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class EchoPlan:
    """One end of a link from which it is measured."""

    link: str
    interface: str
    destination: str
    mtu: int


def plan_echoes(topology: Topology) -> dict[str, list[EchoPlan]]:
    """Choose for each link between two routers the end to measure from: the one that measures fewer links so far."""
    plans: dict[str, list[EchoPlan]] = {name: [] for name, node in topology.nodes.items() if isinstance(node, Router)}
    load: Counter[str] = Counter()
    for name, link in topology.links.items():
        first, second = link.endpoints
        ways = [way for way in ((first, second), (second, first)) if _can_measure(way, plans)]
        if ways:
            here, there = min(ways, key=lambda way: load[way[0].node])
            load[here.node] += 1
            plans[here.node].append(EchoPlan(name, here.interface, str(_peer(here, there)), link.mtu))
    return plans


def _can_measure(way: tuple[Endpoint, Endpoint], routers: Mapping[str, object]) -> bool:
    return way[0].node in routers and way[1].node in routers and _peer(*way) is not None


def _peer(here: Endpoint, there: Endpoint) -> object | None:
    """The other end's address in a subnet that both have."""
    networks = {a.network for a in here.addresses}
    return next((a.ip for a in there.addresses if a.network in networks), None)


class DevicePoller(threading.Thread):
    """Polls one device until told to stop; a device that is lost is asked again at each deadline.

    Between two deadlines it is polled when it tells by itself that a link has changed, and after a closer look at one.
    Reading everything (configuration, routes, clock) takes longer than a period may: polls go on meanwhile.
    """

    def __init__(
        self,
        name: str,
        adapter: Adapter,
        echoes: Mapping[str, Echo],
        schedule: Schedule,
        deliver: Callable[[Reading], None],
        *,
        prober: Prober | None = None,
        notices: Notices | None = None,
        full_every: int = 10,
        full_first: int | None = None,
        facts: Facts | None = None,
    ) -> None:
        """Args:
        adapter: of the device, used by this thread. echoes: link to how it is measured.
        deliver: called with each reading, in this thread. prober: of the links' capacities, where they are wanted.
        notices: by which it tells of its links, where it can.
        full_every: polls from one `collect` to the next.
        full_first: polls from the first `collect` to the second, so that devices do not all do it at once.
        facts: what a `collect` has just given, in place of the first one.
        """
        super().__init__(name=f"poll-{name}", daemon=True)
        self.device = name
        self.schedule = schedule
        self._adapter = adapter
        self._echoes = echoes
        self._prober = prober
        self._notices = notices
        self._collection: Aside[Facts] = Aside(f"collect-{name}", adapter.collect)
        told = () if notices is None else (notices,)
        self._ears = Ears([*echoes.values(), self._collection, *told])
        self._deliver = deliver
        self._full_every = full_every
        self._stopped = threading.Event()
        self._offsets: deque[float] = deque(maxlen=5)
        self._costs: dict[str, int] = {}
        self._settings: dict[str, tuple[bool, tuple[str, ...], int]] = {}
        self._look_again: float | None = None
        self._until_full = 0
        self._next_full = full_every if full_first is None else full_first
        if facts is not None:
            self._begin_anew()
            self._learn(facts)

    def look_again(self, moment: float) -> None:
        """Read everything anew at the first poll from `moment` on (monotonic clock); from any thread."""
        self._look_again = moment

    @property
    def told(self) -> bool:
        """Whether the device tells of its links by itself."""
        return self._notices is not None and self._notices.heard

    def stop(self) -> None:
        """Ask the thread to end; it does within one poll."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._ears.wake()

    def run(self) -> None:
        while True:
            deadline = self.schedule.next(time.monotonic())
            while self._ears.wait(deadline - time.monotonic()):
                self._deliver(self.poll(time.time()))
                self._stopped.wait(min(APART * self.schedule.period, max(0.0, deadline - time.monotonic())))
            if self._stopped.is_set():
                break
            self._deliver(self.poll(time.time() - (time.monotonic() - deadline)))
        for part in (*self._echoes.values(), self._prober, self._notices, self._collection, self._ears):
            if part is not None:
                part.close()

    def poll(self, due: float) -> Reading:
        """Read the device once; never raises, since a device's failure must not end the polling."""
        errors: list[str] = []
        counters = self._try(self._adapter.counters, errors)
        facts = self._collected(errors)
        if counters is not None and self._wants_facts(counters):
            self._begin_anew()
            self._collection.ask()
        heard = self._echo(errors) if counters is not None else {}
        burst = self._probe(errors) if counters is not None else None
        self._listen(counters is not None)
        found = self._prober.believed() if self._prober is not None else {}
        return Reading(self.device, due, time.time(), counters, facts, heard, burst, found, "; ".join(errors))

    def _listen(self, reachable: bool) -> None:
        """Last of all: where the device allows few channels, the pings come first."""
        if self._notices is not None:
            (self._notices.listen if reachable else self._notices.lost)()

    def _probe(self, errors: list[str]) -> Burst | None:
        prober = self._prober
        return self._try(lambda: prober.take(time.time()), errors) if prober is not None else None

    def _echo(self, errors: list[str]) -> dict[str, Batch]:
        taken = {link: self._try(partial(self._take, echo), errors) for link, echo in self._echoes.items()}
        return {link: batch for link, batch in taken.items() if batch is not None}

    def _take(self, echo: Echo) -> Batch | None:
        return echo.take(time.time(), median(self._offsets) if self._offsets else 0.0)

    def _wants_facts(self, counters: Counters) -> bool:
        """Whether to read everything: at first, every so many polls, when asked to, and as soon as a cost has changed.

        An interface that was switched or set otherwise makes it the next poll's: the link's state must not wait for it.
        One that lost its carrier has no cost: that is no change.
        """
        found = {i.name: i.cost for i in counters.interfaces if i.cost is not None}
        known = {name: self._costs.get(name, cost) for name, cost in found.items()}
        self._costs.update(found)
        self._until_full -= 1
        settings = {i.name: (i.up, i.addresses, i.mtu) for i in counters.interfaces}
        if self._settings not in ({}, settings):
            self._until_full = min(self._until_full, 0)
        self._settings = settings
        again = self._look_again is not None and time.monotonic() >= self._look_again
        self._look_again = None if again else self._look_again
        return again or self._until_full < 0 or known != found

    def _collected(self, errors: list[str]) -> Facts | None:
        """What was read of everything, when that has ended since the last poll."""
        known = len(errors)
        facts = self._try(self._collection.take, errors)
        if facts is not None:
            self._learn(facts)
        elif len(errors) > known:
            self._until_full = 0  # at the next poll it is tried again
        return facts

    def _begin_anew(self) -> None:
        self._until_full, self._next_full = self._next_full, self._full_every

    def _learn(self, facts: Facts) -> None:
        # One reading of a clock over a busy connection may be far off; the middle of five is not.
        self._offsets.append(facts.clock_offset)

    def _try(self, act: Callable[[], T], errors: list[str]) -> T | None:
        try:
            return act()
        except TestbedError as error:
            errors.append(str(error))
        except Exception as error:
            # An answer that no adapter author thought of: told with its trace, and the next poll goes on.
            log.exception("%s: unexpected", self.device)
            errors.append(f"{self.device}: {type(error).__name__}: {error}")
        return None


def samples(reading: Reading) -> Iterable[Sample]:
    """The values of a reading that stand on their own: interface states and costs, and the device's own load."""
    if reading.counters is not None:
        source = f"{reading.device}/interfaces"
        for interface in reading.counters.interfaces:
            entity = f"interface:{reading.device}:{interface.name}"
            for metric, value, unit in _states(interface):
                yield Sample(entity, metric, value, unit, reading.counters.measured, reading.received, source)
    if reading.facts is not None:
        for metric, value in (("cpu", reading.facts.cpu), ("memory", reading.facts.memory)):
            if value is not None:
                entity, source = f"device:{reading.device}", f"{reading.device}/proc"
                yield Sample(entity, metric, value, "1", reading.facts.measured, reading.received, source)


def _states(interface: InterfaceFacts) -> Iterable[tuple[str, float, str]]:
    yield "enabled", float(interface.up), "1"
    yield "carrier", float(interface.carrier), "1"
    if interface.cost is not None:
        yield "cost", float(interface.cost), "1"


def link_samples(link: str, batch: Batch, received: float, source: str) -> Iterable[Sample]:
    """A batch of round trips as delay and loss of both directions: halves, since the ends' clocks cannot split them."""
    if batch.rtts:
        middle = sorted(batch.rtts)[len(batch.rtts) // 2]
        for direction in ("forward", "backward"):
            yield Sample(f"link:{link}:{direction}", "delay", middle / 2, "s", batch.measured, received, source)
    if batch.packets:
        yield Sample(f"link:{link}", "loss", batch.lost / batch.packets, "1", batch.measured, received, source)
