"""The mirror at work: readings in, one batch for the twin's links out, and the status of it all."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.base import Adapter, Facts
from testbed.emulator.client import Client
from testbed.emulator.messages import SetLoad
from testbed.errors import AgentError, GuestFailed
from testbed.telemetry.store import Store
from testbed.twin import metrics, status
from testbed.twin.capacity import Prober
from testbed.twin.discover import without_management
from testbed.twin.drift import DriftLog
from testbed.twin.echo import Echo
from testbed.twin.load import CAP_PPS, differs, flows, load_flow
from testbed.twin.measure import DevicePoller, Reading, Schedule
from testbed.twin.notices import Notices
from testbed.twin.picture import LinkView, Picture
from testbed.twin.routers import RouterKeeper
from testbed.twin.state import MirroredFlow, MirroredState
from testbed.twin.timeliness import Timeliness
from testbed.twin.watch import SETTLED, Watcher

log = logging.getLogger(__name__)

LINGER = 0.03
"""Share of a period for which a batch waits for further readings, from the first one on."""

SETTLE_TIMEOUT = 40.0
"""Seconds after which a twin counts as in step though a device or link stays silent; the status says which."""

FULL_EVERY = 15
"""Polls of a device from one full collection (configuration, routes, clock) to the next."""


@dataclass(slots=True)
class DeviceRecord:
    """What is known of how one device answers. `away_since`: Unix seconds of the first poll in a row that failed."""

    polls: int = 0
    failures: int = 0
    reachable: bool = False
    away_since: float | None = None
    measured: float | None = None
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Management:
    """What is left out of the rack's configurations: interfaces by device, and subnets."""

    interfaces: Mapping[str, list[str]]
    subnets: list[str]

    def clean(self, device: str, config: str) -> str:
        """A running configuration as the twin has it."""
        return without_management(config, self.interfaces.get(device, ()), self.subnets)


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where the loop's results go. `publish` gets the status, `save` the mirrored state."""

    store: Store
    publish: Callable[[status.MirrorStatus], None]
    save: Callable[[MirroredState], None]


class Loop:
    """Keeps one twin in step. Runs in one thread; polling, configuring and comparing have their own."""

    def __init__(
        self,
        picture: Picture,
        adapters: Mapping[str, Adapter],
        echoes: Mapping[str, Mapping[str, Echo]],
        agent: Callable[[], Client],
        outlets: Outlets,
        *,
        name: str,
        rack: str,
        period: float,
        management: Management,
        probers: Mapping[str, Prober] | None = None,
        notices: Mapping[str, Notices] | None = None,
        facts: Mapping[str, Facts] | None = None,
    ) -> None:
        """Args:
        echoes: device to link to how it is measured. probers: of capacities, by device.
        notices: by which devices tell of their links between two polls.
        agent: makes clients of the twin's agent.
        name: of the twin. rack: of the inventory. period: seconds between two polls of a device.
        facts: what devices have just said, so that they need not say it again at once.
        """
        facts, probers, notices = facts or {}, probers or {}, notices or {}
        self._name, self._rack, self._period = name, rack, period
        self._picture, self._outlets, self._management = picture, outlets, management
        self._agent = agent
        self._lock = threading.Lock()
        self._readings: queue.SimpleQueue[Reading] = queue.SimpleQueue()
        start = time.monotonic() + 0.1
        # Devices take turns within a period: racks that share a machine answer faster one by one than all at once.
        turns = {device: number / len(adapters) for number, device in enumerate(adapters)}
        self._pollers = {
            device: DevicePoller(
                device, adapter, echoes.get(device, {}), Schedule(start + turns[device] * period, period),
                self._readings.put, prober=probers.get(device), notices=notices.get(device),
                facts=facts.get(device),
                full_every=FULL_EVERY, full_first=int(turns[device] * FULL_EVERY),
            )
            for device, adapter in adapters.items()
        }  # fmt: skip
        self._routers = RouterKeeper(agent, self._told)
        ignore = frozenset(name for names in management.interfaces.values() for name in names)
        self._watcher = Watcher(agent, picture, self._lock, period=period, ignore=ignore)
        self._watcher.away = lambda device: self._devices[device].away_since is not None
        self._drift = DriftLog(picture.topology, facts, management.interfaces)
        self._measured = [key for taken in echoes.values() for key in taken if key in picture.links]
        self._probed = {link for prober in probers.values() for link in prober.links}
        self._devices = {device: DeviceRecord() for device in adapters}
        self._timeliness = Timeliness(time.time() + (start - time.monotonic()), period)
        self._load: tuple[MirroredFlow, ...] = ()
        self._load_scale = 1.0
        self._batches = self._changes = 0
        self._written = 0.0
        self._started = time.time()
        self._begun = False
        for fact in facts.values():
            self._watcher.learn(fact)
        self.stopped = threading.Event()

    # --- life ---

    def begin(self) -> None:
        """Start reading the rack; the readings wait for `run`. The twin need not be there yet."""
        self._begun = True
        for poller in self._pollers.values():
            poller.start()

    def run(self) -> None:
        """Mirror until `stopped` is set.

        Raises:
            GuestFailed: the twin is gone.
        """
        if not self._begun:
            self.begin()
        self._started = time.time()
        threads = [*self._pollers.values(), self._routers, self._watcher]
        try:
            self._routers.start()
            self._watcher.start()
            with self._agent() as client:
                while not self.stopped.is_set():
                    self._turn(client)
            self._publish("stopped")
        except GuestFailed as error:
            self._publish("failed", str(error))
            raise
        finally:
            for thread in threads:
                thread.stop()
            self._outlets.store.close()

    def _turn(self, client: Client) -> None:
        """One batch: what came in, what goes out, and what is said of it."""
        readings = self._gather()
        if self._in_step():
            self._timeliness.start_counting(time.time())
        self._timeliness.close(time.time(), self._picture.fields())
        for reading in readings:
            self._absorb(reading)
        try:
            self._send(client)
        except AgentError as error:
            # The twin refused a batch: it lives, so say so and offer the next one, which is made afresh.
            log.warning("the twin refused a batch: %s", error)
            self._say(f"the twin refused a batch: {error}")
        if time.monotonic() - self._written >= 0.5 * self._period:
            self._outlets.store.flush()
            self._publish("running")

    def _gather(self) -> list[Reading]:
        """Wait for readings: at most a period for the first, then a moment for those that come with it."""
        try:
            found = [self._readings.get(timeout=self._period)]
        except queue.Empty:
            return []
        until = time.monotonic() + LINGER * self._period
        while (left := until - time.monotonic()) > 0:
            try:
                found.append(self._readings.get(timeout=left))
            except queue.Empty:
                break
        return found

    # --- in ---

    def _absorb(self, reading: Reading) -> None:
        record = self._devices[reading.device]
        was, known = record.reachable, record.polls > 0
        record.polls += 1
        record.error = reading.error or record.error
        record.reachable = reading.counters is not None
        record.failures += not record.reachable
        record.away_since = None if record.reachable else record.away_since or reading.due
        if reading.counters is not None:
            record.measured = reading.counters.measured
            record.seconds = reading.received - reading.due
        if known and was != record.reachable:
            self._say(f"{reading.device} {'answers again' if record.reachable else f'is lost: {reading.error}'}")
        with self._lock:
            before = self._picture.changed
            found = self._picture.absorb(reading)
            for key, batch in reading.echoes.items():
                if key.startswith("far:"):
                    self._watcher.hear(key, batch)
        self._outlets.store.add(found)
        if reading.facts is not None:
            self._configure(reading.device, reading.facts.running_config)
            self._watcher.learn(reading.facts)
            self._drift.learn(reading.facts)
        for text in self._drift.see(reading.counters) if reading.counters is not None else ():
            self._say(f"{text}: the twin cannot follow; discover the rack again")
        if self._picture.changed > before:
            for poller in self._pollers.values():
                poller.look_again(time.monotonic() + SETTLED)

    def _configure(self, device: str, running: str) -> None:
        wanted = self._management.clean(device, running)
        known = self._picture.configs.get(device)
        if known is None or known == wanted:
            return
        self._picture.configs[device] = wanted
        self._picture.changed = time.time()
        self._say(f"{device}: its running configuration has changed")
        self._routers.submit(device, wanted)

    # --- out ---

    def _send(self, client: Client) -> None:
        with self._lock:
            decision = self._picture.decide()
        changes = decision.changes()
        if changes:
            client.set_links(changes)
            self._batches += 1
            self._changes += len(changes)
        with self._lock:
            self._picture.confirm(decision)
        self._send_load(client)
        applied = time.time()
        for key, arrival in self._picture.arrived(self._routers.busy()).items():
            sent = key[1] == "delay" and key[0].removeprefix("link:") in decision.settings
            self._timeliness.took(key, arrival, applied, sent=sent)

    def _send_load(self, client: Client) -> None:
        wanted, scale = flows(self._picture.links)
        if not differs(self._load, wanted):
            return
        client.call(SetLoad(flows=tuple(map(load_flow, wanted))))
        if (scale < 1) != (self._load_scale < 1):
            self._say(f"load is capped at {CAP_PPS:g} packets/s" if scale < 1 else "load is not capped any more")
        self._load, self._load_scale = wanted, scale

    # --- what is said ---

    def _in_step(self) -> bool:
        """Every device was read and every link set from enough replies; or that has been waited for long enough."""
        late = time.time() - self._started > SETTLE_TIMEOUT
        read = all(record.polls for record in self._devices.values())
        probed = all(link in self._picture.capacities or not self._picture.links[link].up for link in self._probed)
        return late or (read and probed and not self._picture.unsettled(self._measured))

    def _told(self, router: str, what: str) -> None:
        self._say(f"{router}: {what}")

    def _say(self, text: str) -> None:
        log.info("%s", text)
        with self._lock:
            self._picture.events.append((time.time(), text))

    def _publish(self, phase: str, error: str = "") -> None:
        self._written = time.monotonic()
        self._outlets.publish(self.status(phase, error))
        self._outlets.save(self.state())

    def state(self) -> MirroredState:
        """The twin as it is set now."""
        readings = [record.measured for record in self._devices.values() if record.measured is not None]
        return MirroredState(
            twin=self._name,
            measured=min(readings, default=0.0),
            topology=self._picture.current(),
            load=self._load,
            load_scale=self._load_scale,
            drift=self._drift.all(),
            stale=tuple(sorted(device for device in self._devices if self._is_stale(device))),
        )

    def _is_stale(self, device: str) -> bool:
        measured = self._devices[device].measured
        return measured is None or time.time() - measured > 3 * self._period

    def status(self, phase: str, error: str = "") -> status.MirrorStatus:
        """All that is published."""
        now = time.time()
        findings, alignment = self._watcher.findings, self._timeliness.alignment
        with self._lock:
            events, errors, last = tuple(self._picture.events), list(findings.errors), dict(findings.last)
        unlike = dict(self._routers.differences)
        differences = [f"{router}: configuration differs: {text}" for router, text in unlike.items() if text]
        return status.MirrorStatus(
            name=self._name,
            rack=self._rack,
            phase=phase,
            started=self._started,
            written=now,
            period=self._period,
            error=error,
            in_step=self._in_step(),
            devices={device: self._device(device, now) for device in self._devices},
            links={name: _link(view) for name, view in self._picture.links.items()},
            fields=self._timeliness.fields(now),
            aoi=self._timeliness.overall(),
            alignment=alignment.share,
            planned=alignment.planned,
            in_time=alignment.in_time,
            drift=self._drift.all(),
            mismatches=(*findings.mismatches.values(), *differences),
            compared=sum(findings.compared.values()),
            rtt_error_ms=_rtt_error(errors, last),
            stack_rtt=self._picture.stack_rtt,
            load_scale=self._load_scale,
            load_cap_pps=CAP_PPS,
            batches=self._batches,
            changes=self._changes,
            missed_ticks=sum(poller.schedule.missed for poller in self._pollers.values()),
            set_latency_ms=self._timeliness.set_latency_ms(),
            events=events,
        )

    def _device(self, device: str, now: float) -> status.DeviceStatus:
        record = self._devices[device]
        return status.DeviceStatus(
            reachable=record.reachable,
            age=None if record.measured is None else now - record.measured,
            polls=record.polls,
            failures=record.failures,
            missed_polls=self._pollers[device].schedule.missed,
            poll_seconds=record.seconds,
            away_since=record.away_since,
            told=self._pollers[device].told,
            error="" if record.reachable and not record.failures else record.error,
        )


def _rtt_error(errors: list[float], last: Mapping[str, tuple[float, float]]) -> status.RttError | None:
    found = metrics.percentiles([1e3 * error for error in errors])
    if found is None:
        return None
    return status.RttError(found.p50, found.p95, len(errors), {k: (1e3 * a, 1e3 * b) for k, (a, b) in last.items()})


def _link(view: LinkView) -> status.LinkStatus:
    estimate, held = view.estimator.estimate(), view.held
    return status.LinkStatus(
        up=view.up,
        rtt=estimate.rtt if estimate and estimate.replies else None,
        loss=estimate.loss if estimate else None,
        delay=held.delay if held else 0.0,
        jitter=held.jitter if held else 0.0,
        set_loss=held.loss if held else 0.0,
        rate=held.rate if held else None,
        declared_rate=view.declared_rate,
        capacity=view.capacity,
        load=(view.loads[0], view.loads[1]),
        steps=view.estimator.steps,
    )
