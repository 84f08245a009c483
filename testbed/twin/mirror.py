"""`mirror start | stop | status`: a twin lab, and the process of its own that keeps it in step with a rack."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from adapters.base import Facts
from testbed.emulator.messages import Progress
from testbed.errors import BadInput, Unable
from testbed.lab import Lab
from testbed.model.rack import Inventory
from testbed.model.topology import GuestOptions, Topology
from testbed.processes import alive, end
from testbed.substrate.folder import LabFolder
from testbed.twin import status as published
from testbed.twin.echo import INTERVAL
from testbed.twin.starter import LOG_FILE, SAMPLES_FILE, STOP_TIMEOUT, OnProgress, Order, starting
from testbed.twin.status import MirrorStatus

CAPACITY_EVERY = 60.0
"""Seconds. A measurement sends at most 1.1 MB each way over a link, most often half of that: 70 to 150 kbit/s."""

__all__ = ["LOG_FILE", "SAMPLES_FILE", "start", "status", "stop"]


def start(
    inventory: Inventory,
    topology: Topology | None = None,
    name: str | None = None,
    *,
    base: Path | None = None,
    period: float | None = None,
    substrate: str = "auto",
    guest: GuestOptions | None = None,
    tolerance: float = 1.0,
    echo_every: float = INTERVAL,
    capacity_every: float | None = CAPACITY_EVERY,
    facts: Mapping[str, Facts] | None = None,
    progress: OnProgress | None = None,
) -> MirrorStatus:
    """Bring up a twin of a rack and a process that keeps it in step; returns when it is in step.

    Args:
        inventory: the rack. base: folder that its relative file names are taken from.
        topology: what the twin is built from; discovered when None.
        name: of the twin lab; the inventory's name with `-twin` when None. A twin that runs is taken over.
        period: seconds between two polls; the inventory's when None.
        guest: memory and number of the twin's guests, and of its forks'; the topology's when None.
        tolerance: scales how far a setting may be off before it is sent again; 0 sends at every poll.
        echo_every: seconds between two packets by which a link's delay and loss are measured.
        capacity_every: seconds from one measurement of a link's capacity to its next; None measures none.
        facts: what the devices have just said, by device; they are asked when None.
        progress: called with each event of the bring-up.

    Raises:
        DeviceError: a device could not be read.
        Unable: the twin cannot run here, or a mirror for it runs already.
        GuestFailed: the mirror did not come into step. A twin that was brought up for it is down again.
    """
    twin = name or f"{inventory.name}-twin"
    _refuse_second(twin)
    running = _running(twin)
    known = running.topology if running else topology
    order = Order(
        twin=twin, inventory=inventory.model_dump_json(), base=str((base or Path()).absolute()),
        period=period or inventory.poll_period, tolerance=tolerance,
        echo_every=echo_every, capacity_every=capacity_every,
        facts=None if facts is None else dict(facts), topology=None if known is None else known.model_dump_json(),
        guest=None if guest is None or running else guest.model_dump_json(),
    )  # fmt: skip
    with starting(order) as process:
        _tell(progress, "starting the mirror" if facts is not None else "asking the devices")
        found = Topology.model_validate_json(process.topology())
        lab = running or Lab.up(found, substrate=substrate, name=twin, kind="twin", progress=process.watched(progress))
        try:
            (lab.folder.path / published.STATUS_FILE).unlink(missing_ok=True)
            process.go()
        except BaseException:
            # Nobody else knows of this twin yet: a start that fails leaves nothing of its own behind.
            process.end()
            if running is None:
                lab.down()
            raise
    return status(twin)


def stop(name: str, *, down: bool = True) -> MirrorStatus:
    """End a twin's mirror, and take the twin down with it unless told not to.

    Returns:
        Its last status.
    """
    folder = LabFolder.open(name)
    last = status(name)
    if last.process is not None and alive(last.process):
        end(last.process, STOP_TIMEOUT)
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


def _running(name: str) -> Lab | None:
    """The twin of this name that lives; one that has died is taken away."""
    known = [lab for lab in Lab.all() if lab.name == name]
    if known and known[0].kind != "twin":
        raise BadInput(f"lab {name!r} is a {known[0].kind}, not a twin; choose another name")
    if known and known[0].liveness().alive:
        return known[0]
    if known:
        known[0].down()
    return None


def _tell(progress: OnProgress | None, text: str) -> None:
    if progress is not None:
        progress(Progress(text=text))
