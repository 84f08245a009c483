"""A rack looked at: what `rack up` would make, and how the racks there are do. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from adapters.inventory import connect
from testbed.errors import AddressInUse, BadInput, DeviceError
from testbed.lab import Lab, substrate_for
from testbed.model.rack import Inventory
from testbed.model.topology import Topology
from testbed.rack import BENCH, MANAGEMENT, PORT, RackHandle, addresses_of, checked, role_of
from testbed.substrate.base import Liveness
from testbed.substrate.spawn import look


@dataclass(frozen=True, slots=True)
class PlannedDevice:
    """A device that would be made: how it would be reached from here, and its own management address."""

    name: str
    role: str
    ssh: str
    management: str
    interfaces: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RackPlan:
    """What `rack up` would make.

    Attributes:
        why: of the substrate. memory: bytes of the guest, None where this machine's kernel is used.
        bench: where the test bench would be reached. folder: what would be written.
    """

    rack: str
    substrate: str
    why: str
    memory: int | None
    management: str
    devices: tuple[PlannedDevice, ...]
    bench: str
    links: tuple[str, ...]
    folder: str


def plan(path: Path | str, *, name: str | None = None, base: str | None = None, substrate: str = "auto") -> RackPlan:
    """Say what `rack_up` with the same arguments would make.

    The addresses are those free at this moment: a rack that comes up in between may take them.

    Raises:
        BadInput, AddressInUse, Unable: what `rack_up` would say at once.
    """
    topology, rack, bases = checked(path, name, base)
    chosen, why = substrate_for(topology, substrate, own_kernel=True)
    first = next(iter(bases), None)
    if first is None:
        raise AddressInUse(f"no loopback addresses for rack {rack.name} are free; take a rack down, or name a `--base`")
    addresses = addresses_of(topology, first)
    return RackPlan(
        rack=rack.name,
        substrate=chosen.name,
        why=why,
        memory=topology.guest.memory if chosen.name == "uml" else None,
        management=str(MANAGEMENT),
        devices=tuple(_planned(topology, addresses)),
        bench=f"{addresses[BENCH][0]}:{PORT}",
        links=tuple(topology.links),
        folder=str(rack.folder),
    )


def _planned(topology: Topology, addresses: Mapping[str, tuple[str, str]]) -> list[PlannedDevice]:
    ends = [end for link in topology.links.values() for end in link.endpoints]
    return [
        PlannedDevice(name, role_of(name), f"{here}:{PORT}", there, tuple(e.interface for e in ends if e.node == name))
        for name, (here, there) in addresses.items()
        if name != BENCH
    ]


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a device said of itself over SSH, or why it did not.

    Attributes:
        said: its software's version, or the error. neighbours: routing neighbours; `full`: those it is done with.
    """

    name: str
    role: str
    ssh: str
    answers: bool
    said: str
    neighbours: int = 0
    full: int = 0


@dataclass(frozen=True, slots=True)
class RackState:
    """How a rack does; `devices` is empty where only its processes were looked at, or they are dead."""

    rack: str
    substrate: str
    liveness: Liveness
    inventory: str
    devices: tuple[DeviceState, ...] = ()

    @property
    def well(self) -> bool:
        """Whether it lives and every device that was asked has answered."""
        return self.liveness.alive and all(device.answers for device in self.devices)


def glance(rack: RackHandle) -> RackState:
    """Look whether a rack's processes live, at once and without asking any of them."""
    try:
        lab = rack.lab()
        return RackState(rack.name, lab.substrate, look(lab.folder), str(rack.inventory_path))
    except BadInput as gone:
        return RackState(rack.name, "", Liveness(False, f"its lab is gone ({gone})"), str(rack.inventory_path))


def state(rack: RackHandle) -> RackState:
    """Ask a rack's kernel and each of its devices, these over SSH as anybody would, how they do."""
    seen = glance(rack)
    if not seen.liveness.alive:
        return seen
    alive, inventory = Lab.open(rack.name).liveness(), rack.inventory()
    with ThreadPoolExecutor() as pool:
        asked = pool.map(lambda name: _ask(inventory, name, rack.folder), inventory.devices) if alive.alive else ()
        return RackState(rack.name, seen.substrate, alive, seen.inventory, tuple(asked))


def _ask(inventory: Inventory, name: str, folder: Path) -> DeviceState:
    device = inventory.devices[name]
    ssh = f"{device.address}:{device.port}"
    try:
        with closing(connect(inventory, name, folder)) as session:
            facts = session.collect()
    except DeviceError as silence:
        return DeviceState(name, device.role, ssh, False, str(silence))
    full = sum(neighbour.full for neighbour in facts.neighbours)
    return DeviceState(name, device.role, ssh, True, facts.version, len(facts.neighbours), full)
