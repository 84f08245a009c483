"""The mirror's process: reads the devices, waits for its twin, and keeps it in step.

Connecting to devices is dear: the process surveys them over the connections that it keeps, and starts all measurements
while its starter brings the twin up. Before the starter's `go` it touches nothing of the twin.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

import msgspec

from adapters import registry
from adapters.base import Adapter, Facts
from adapters.inventory import target
from testbed.emulator.client import Client
from testbed.errors import GuestFailed, TestbedError
from testbed.lab import Lab
from testbed.model.rack import Inventory
from testbed.model.topology import GuestOptions, Topology
from testbed.processes import identify
from testbed.substrate.folder import home, write_atomically
from testbed.telemetry.sample import Sample
from testbed.telemetry.sinks import SqliteFile
from testbed.telemetry.store import Store
from testbed.twin import status as published
from testbed.twin.capacity import Prober, Subject
from testbed.twin.discover import infer, survey
from testbed.twin.echo import Echo, StreamedEcho, command
from testbed.twin.loop import Loop, Management, Outlets
from testbed.twin.measure import EchoPlan, plan_echoes
from testbed.twin.notices import COMMAND, Notices
from testbed.twin.picture import Picture
from testbed.twin.segments import addresses, management
from testbed.twin.starter import LOG_FILE, SAMPLES_FILE, Order, Said
from testbed.twin.state import STATE_FILE, MirroredState
from testbed.twin.status import MirrorStatus
from testbed.twin.streams import StreamingTransport
from testbed.twin.suspicion import closer
from testbed.twin.watch import FAR_INTERVAL, far_pairs

log = logging.getLogger(__name__)

Sessions = Mapping[str, tuple[Adapter, StreamingTransport]]


def _connect(inventory: Inventory, base: Path | None) -> Sessions:
    transports = {d: StreamingTransport(d, target(inventory, d, base)) for d in inventory.devices}
    return {
        device: (registry.find(inventory.devices[device].adapter)(transport), transport)
        for device, transport in transports.items()
    }


def _echoes(topology: Topology, sessions: Sessions, every: float) -> dict[str, dict[str, Echo]]:
    """Which device measures which links, a packet `every` so many seconds, and which pairs of routers."""
    plans = plan_echoes(topology)
    echoes: dict[str, dict[str, Echo]] = {
        device: {plan.link: _link_echo(device, plan, transport, every) for plan in plans[device]}
        for device, (_, transport) in sessions.items()
        if device in plans
    }
    for pair in far_pairs(topology):
        if pair.source in sessions:
            line = command(pair.address, pair.destination, FAR_INTERVAL)
            running = partial(sessions[pair.source][1].stream, line)
            echoes[pair.source][pair.key] = StreamedEcho(f"{pair.source}: {pair.key}", running)
    return echoes


def _link_echo(device: str, plan: EchoPlan, transport: StreamingTransport, every: float) -> StreamedEcho:
    running = partial(transport.stream, command(plan.interface, plan.destination, every))
    look = partial(transport.stream, closer(plan.interface, plan.destination))
    return StreamedEcho(f"{device}: {plan.link}", running, look)


def _probers(topology: Topology, sessions: Sessions, every: float) -> dict[str, Prober]:
    """Capacities are measured where round trips are."""
    return {
        device: Prober([Subject(p.link, p.interface, p.destination, p.mtu) for p in plans], session.stream, every)
        for device, plans in plan_echoes(topology).items()
        if plans and device in sessions
        for _, session in [sessions[device]]
    }


def _notices(sessions: Sessions) -> dict[str, Notices]:
    """Every device is asked to tell of its links by itself."""
    return {device: Notices(device, partial(session.stream, COMMAND)) for device, (_, session) in sessions.items()}


def _management(facts: Mapping[str, Facts], inventory: Inventory) -> Management:
    skip = management(facts, inventory)
    interfaces = {device: sorted(i for d, i in skip if d == device) for device in facts}
    found = (i for device, fact in facts.items() for i in fact.interfaces if (device, i.name) in skip)
    return Management(interfaces, sorted({str(a.network) for interface in found for a in addresses(interface)}))


class _Publisher:
    """Writes the status file, and tells the starter once when the twin is in step."""

    def __init__(self, folder: Path, ready: Callable[[], None] | None) -> None:
        self._folder, self._ready = folder, ready
        self._process = identify(os.getpid())

    def __call__(self, status: MirrorStatus) -> None:
        if not self._folder.is_dir():
            raise GuestFailed(f"the twin's folder {self._folder} is gone: it was taken down")
        published.write(self._folder, msgspec.structs.replace(status, process=self._process))
        if self._ready is not None and status.in_step:
            self._ready()
            self._ready = None


class _Samples:
    """A SQLite sink that is opened with its first batch: until then its folder may not be there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: SqliteFile | None = None

    def write(self, batch: Sequence[Sample]) -> None:
        self._file = self._file or SqliteFile(self._path)
        self._file.write(batch)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _saver(folder: Path) -> Callable[[MirroredState], None]:
    def save(state: MirroredState) -> None:
        write_atomically(folder / STATE_FILE, state.canonical(), sync=False)

    return save


def _agent(name: str) -> Client:
    return Lab.open(name).agent()


class _Mirror:
    """One order on its way from the devices to a loop. `say` reaches the starter, as long as it lives."""

    def __init__(self, order: Order, say: Callable[[Said], None]) -> None:
        self._order, self._say = order, say
        self._folder = home() / "labs" / order.twin
        self._inventory = Inventory.model_validate_json(order.inventory)
        self._sessions = _connect(self._inventory, Path(order.base))

    def prepare(self) -> Loop:
        """Survey the devices if that is still to be done, say the topology, and begin to measure."""
        order, adapters = self._order, {device: adapter for device, (adapter, _) in self._sessions.items()}
        facts = survey(adapters) if order.facts is None else order.facts
        given = order.topology
        topology = Topology.model_validate_json(given) if given else infer(facts, self._inventory).topology
        if order.guest is not None:
            topology = topology.model_copy(update={"guest": GuestOptions.model_validate_json(order.guest)})
        self._say(Said(topology=topology.model_dump_json()))
        publisher = _Publisher(self._folder, lambda: self._say(Said(ready=True)))
        loop = Loop(
            Picture(topology, order.tolerance),
            adapters,
            _echoes(topology, self._sessions, order.echo_every),
            lambda: _agent(order.twin),
            Outlets(Store([_Samples(self._folder / SAMPLES_FILE)]), publisher, _saver(self._folder)),
            name=order.twin,
            rack=self._inventory.name,
            period=order.period,
            management=_management(facts, self._inventory),
            probers=_probers(topology, self._sessions, order.capacity_every) if order.capacity_every else {},
            notices=_notices(self._sessions),
            facts=facts,
        )
        loop.begin()
        return loop

    def keep(self, loop: Loop) -> None:
        """Mirror into the twin, which is there now, until told to stop."""
        _move_log(self._folder / LOG_FILE)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loop.stopped.set())
        loop.run()


def _move_log(path: Path) -> None:
    """Go on logging in the twin's folder: what was said so far goes there too."""
    with open(path, "ab") as file:
        file.write(os.pread(2, 10**6, 0))
        file.flush()
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)


def _run(orders: IO[bytes], say: Callable[[Said], None]) -> int:
    line = orders.readline()
    if not line.endswith(b"\n"):
        return 0
    try:
        mirror = _Mirror(msgspec.json.decode(line, type=Order), say)
        loop = mirror.prepare()
        if orders.readline() != b"go\n":
            log.info("the command that started this mirror has ended")
            return 0
        mirror.keep(loop)
    except TestbedError as error:
        log.error("the mirror ends: %s", error)
        say(Said(error=type(error).__name__, message=str(error)))
        return int(error.exit_code)
    return 0


def main(argv: list[str]) -> int:
    """Run a mirror in the background. `argv`: the descriptors that its order comes on and that it speaks on."""
    if os.fork():
        os._exit(0)
    os.setsid()
    orders, said = int(argv[0]), int(argv[1])
    for descriptor in (orders, said):
        os.set_inheritable(descriptor, False)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("paramiko").setLevel(logging.WARNING)

    def say(what: Said) -> None:
        with suppress(BrokenPipeError):  # the starter may have ended; its twin is kept in step all the same
            data = msgspec.json.encode(what) + b"\n"
            while data:
                data = data[os.write(said, data) :]

    say(Said(pid=os.getpid()))
    with os.fdopen(orders, "rb") as stream:
        return _run(stream, say)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
