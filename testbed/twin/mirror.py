"""`mirror start | stop | status`: a twin lab, and the process of its own that keeps it in step with a rack."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from adapters import registry
from adapters.base import Adapter, Facts
from adapters.inventory import target
from testbed.emulator.client import AgentClient
from testbed.errors import BadInput, GuestFailed, TestbedError, Unable
from testbed.lab import Lab
from testbed.model.rack import Inventory
from testbed.model.topology import Topology
from testbed.substrate.folder import LabFolder, tail
from testbed.substrate.guest_init import PROJECT
from testbed.substrate.processes import Process, alive, identify
from testbed.telemetry.sinks import SqliteFile
from testbed.telemetry.store import Store
from testbed.twin import status as published
from testbed.twin.discover import infer, survey
from testbed.twin.echo import Echo, StreamedEcho, command
from testbed.twin.loop import SETTLE_TIMEOUT, Loop, Management, Outlets
from testbed.twin.measure import plan_echoes
from testbed.twin.picture import Picture
from testbed.twin.segments import addresses, management
from testbed.twin.state import STATE_FILE, MirroredState, write_atomically
from testbed.twin.status import MirrorStatus
from testbed.twin.streams import StreamingTransport
from testbed.twin.watch import FAR_INTERVAL, far_pairs

log = logging.getLogger(__name__)

ORDER_FILE, LOG_FILE, SAMPLES_FILE = "mirror-order.json", "mirror.log", "samples.sqlite"
READY = b"ready"
START_TIMEOUT = SETTLE_TIMEOUT + 20.0
STOP_TIMEOUT = 15.0

OnProgress = Callable[[object], None]


class Order(msgspec.Struct, frozen=True):
    """What the process is started with: the inventory (as JSON), its folder, the period, and what is management."""

    inventory: str
    base: str
    period: float
    interfaces: dict[str, list[str]]
    subnets: list[str]
    tolerance: float = 1.0


# --- from any process ------------------------------------------------------------------------------------------------


def start(
    inventory: Inventory,
    topology: Topology | None = None,
    name: str | None = None,
    *,
    base: Path | None = None,
    period: float | None = None,
    substrate: str = "auto",
    tolerance: float = 1.0,
    progress: OnProgress | None = None,
) -> MirrorStatus:
    """Bring up a twin of a rack and a process that keeps it in step; returns when it is in step.

    Args:
        inventory: the rack. base: folder that its relative file names are taken from.
        topology: what the twin is built from; discovered when None.
        name: of the twin lab; the inventory's name with `-twin` when None. A twin that runs is taken over.
        period: seconds between two polls; the inventory's when None.
        tolerance: scales how far a setting may be off before it is sent again; 0 sends at every poll.
        progress: called with each event of the bring-up.

    Raises:
        DeviceError: a device could not be read.
        Unable: the twin cannot run here, or a mirror for it runs already.
    """
    twin = name or f"{inventory.name}-twin"
    _refuse_second(twin)
    facts = _survey(inventory, base)
    lab = _twin(twin, topology or infer(facts, inventory).topology, substrate, progress)
    order = _order(inventory, facts, base or Path(), period or inventory.poll_period, tolerance=tolerance)
    write_atomically(lab.folder.path / ORDER_FILE, msgspec.json.encode(order))
    _spawn(lab.folder)
    return status(twin)


def stop(name: str, *, down: bool = True) -> MirrorStatus:
    """End a twin's mirror, and take the twin down with it unless told not to.

    Returns:
        Its last status.
    """
    folder = LabFolder.open(name)
    last = status(name)
    if last.process is not None and alive(last.process):
        _end(last.process)
    final = published.read(folder.path) or last
    if down:
        Lab.open(name).down()
    return final


def status(name: str) -> MirrorStatus:
    """Return what the mirror last published; `phase` is `died` when its process is gone without having said so.

    Raises:
        BadInput: no such lab, or no mirror was ever started for it.
    """
    folder = LabFolder.open(name)
    found = published.read(folder.path)
    if found is None:
        raise BadInput(f"lab {name!r} has no mirror; start one: testbed mirror start INVENTORY")
    if found.phase in ("starting", "running") and not (found.process and alive(found.process)):
        told = f"its process is gone; the last lines of {folder.path / LOG_FILE} say why"
        return msgspec.structs.replace(found, phase="died", error=found.error or told)
    return found


def _refuse_second(name: str) -> None:
    try:
        found = status(name)
    except BadInput:
        return
    if found.phase in ("starting", "running"):
        raise Unable(f"a mirror for {name!r} runs already; end it first: testbed mirror stop {name}")


def _survey(inventory: Inventory, base: Path | None) -> dict[str, Facts]:
    adapters = _connect(inventory, base)
    try:
        return survey({name: adapter for name, (adapter, _) in adapters.items()})
    finally:
        for adapter, _ in adapters.values():
            adapter.close()


def _twin(name: str, topology: Topology, substrate: str, progress: OnProgress | None) -> Lab:
    known = [lab for lab in Lab.all() if lab.name == name]
    if known and known[0].kind != "twin":
        raise BadInput(f"lab {name!r} is a {known[0].kind}, not a twin; choose another name")
    if known and known[0].liveness().alive:
        return known[0]
    if known:
        known[0].down()
    return Lab.up(topology, substrate=substrate, name=name, kind="twin", progress=progress)


def _order(inventory: Inventory, facts: Mapping[str, Facts], base: Path, period: float, *, tolerance: float) -> Order:
    skip = management(facts, inventory)
    interfaces = {device: sorted(i for d, i in skip if d == device) for device in facts}
    found = (i for device, fact in facts.items() for i in fact.interfaces if (device, i.name) in skip)
    subnets = sorted({str(a.network) for interface in found for a in addresses(interface)})
    return Order(inventory.model_dump_json(), str(base.absolute()), period, interfaces, subnets, tolerance)


def _spawn(folder: LabFolder) -> None:
    """Start the process in a session of its own, and wait until it says that it is in step or why it is not."""
    reading, writing = os.pipe()
    (folder.path / published.STATUS_FILE).unlink(missing_ok=True)
    argv = [sys.executable, "-m", "testbed.twin.mirror", folder.name, str(writing)]
    with open(folder.path / LOG_FILE, "ab") as log_file:
        subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file, cwd=PROJECT, pass_fds=(writing,),
            check=True, timeout=30.0,
        )  # fmt: skip
    os.close(writing)
    try:
        said = _hear(reading, time.monotonic() + START_TIMEOUT)
    finally:
        os.close(reading)
    if not said.endswith(READY):
        number = said.partition(b" ")[0]
        process = identify(int(number)) if number else None
        if process is not None:
            _end(process)
        lines = "\n  ".join(tail(folder.path / LOG_FILE, 15))
        raise GuestFailed(f"the mirror of {folder.name!r} did not come into step; its log ends:\n  {lines}")


def _hear(descriptor: int, deadline: float) -> bytes:
    """What the process says of itself (`PID ready`) until it is ready, ends, or is too slow."""
    said = b""
    while not said.endswith(READY):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(descriptor, 64) if ready else b""
        if not piece:
            break
        said += piece
    return said


def _end(process: Process) -> None:
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        ended, _, _ = select.select([handle], [], [], STOP_TIMEOUT)
        if not ended:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


# --- the process -----------------------------------------------------------------------------------------------------


def _connect(inventory: Inventory, base: Path | None) -> dict[str, tuple[Adapter, StreamingTransport]]:
    transports = {d: StreamingTransport(d, target(inventory, d, base)) for d in inventory.devices}
    return {
        device: (registry.find(inventory.devices[device].adapter)(transport), transport)
        for device, transport in transports.items()
    }


def _streamed(what: str, line: str, transport: StreamingTransport) -> Echo:
    return StreamedEcho(f"{transport.name}: {what}", lambda: transport.stream(line))


class _Publisher:
    """Writes the status file, and tells the starter once when the twin is in step."""

    def __init__(self, folder: Path, ready: int | None) -> None:
        self._folder, self._ready = folder, ready
        self._process = identify(os.getpid())

    def __call__(self, status: MirrorStatus) -> None:
        if not self._folder.is_dir():
            raise GuestFailed(f"the twin's folder {self._folder} is gone: it was taken down")
        published.write(self._folder, msgspec.structs.replace(status, process=self._process))
        if self._ready is not None and status.in_step:
            os.write(self._ready, READY)
            os.close(self._ready)
            self._ready = None


def _saver(folder: Path) -> Callable[[MirroredState], None]:
    def save(state: MirroredState) -> None:
        write_atomically(folder / STATE_FILE, state.canonical())

    return save


def build(lab: Lab, order: Order, ready: int | None = None) -> Loop:
    """Put a mirror together from what `start` left in the twin's folder."""
    inventory = Inventory.model_validate_json(order.inventory)
    folder, topology = lab.folder.path, lab.topology
    sessions = _connect(inventory, Path(order.base))
    plans = plan_echoes(topology)
    echoes = {
        d: {p.link: _streamed(p.link, command(p.interface, p.destination), sessions[d][1]) for p in plans[d]}
        for d in sessions
        if d in plans
    }
    for pair in far_pairs(topology):
        if pair.source in sessions:
            line = command(pair.address, pair.destination, FAR_INTERVAL)
            echoes[pair.source][pair.key] = _streamed(pair.key, line, sessions[pair.source][1])
    outlets = Outlets(Store([SqliteFile(folder / SAMPLES_FILE)]), _Publisher(folder, ready), _saver(folder))
    return Loop(
        Picture(topology, order.tolerance),
        {device: adapter for device, (adapter, _) in sessions.items()},
        echoes,
        lambda: AgentClient(lab.folder.path, lab.folder.endpoint or "", lab.liveness),
        outlets,
        name=lab.name,
        rack=inventory.name,
        period=order.period,
        management=Management(order.interfaces, order.subnets),
    )


def main(argv: list[str]) -> int:
    """Run the mirror of the twin named in `argv`.

    With a descriptor after it, go into the background and say there `PID ready`, the second word when it is in step.
    """
    if len(argv) > 1:
        if os.fork():
            return 0
        os.setsid()
        os.write(int(argv[1]), f"{os.getpid()} ".encode())
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("paramiko").setLevel(logging.WARNING)
    lab = Lab.open(argv[0])
    order = msgspec.json.decode((lab.folder.path / ORDER_FILE).read_bytes(), type=Order)
    loop = build(lab, order, int(argv[1]) if len(argv) > 1 else None)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.stopped.set())
    try:
        loop.run()
    except TestbedError as error:
        log.error("the mirror ends: %s", error)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
