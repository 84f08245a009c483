"""Where a plan is carried out: a rack, reached as its inventory says, or a running lab, reached through its agent."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from adapters import inventory as racks
from adapters.base import Adapter
from adapters.frr import FrrAdapter
from testbed.emulator.client import Client
from testbed.errors import BadInput, DeviceError, TestbedError
from testbed.lab import Lab
from testbed.model.change import SWITCHES, Expectation
from testbed.model.load import load_inventory
from testbed.model.rack import Device, Inventory
from testbed.model.topology import Router
from testbed.replay import verify
from testbed.replay.lab_probes import LabProbes, cannot_measure
from testbed.replay.transaction import Probes
from testbed.replay.verify import Progress, RackProbes
from testbed.twin.switches import SwitchAdapter
from testbed.twin.transport import AgentTransport
from testbed.validate.switches import are_steered

Sessions = Mapping[str, Adapter]


class Target(Protocol):
    """What a replay needs of the place that it is for."""

    @property
    def inventory(self) -> Inventory:
        """Its devices; its name is the plan's `rack`."""
        ...

    def connect(self, device: str) -> Adapter:
        """Open a session with one device. Raises BadInput or DeviceError."""
        ...

    @contextmanager
    def sessions(self, opened: Sessions | None = None) -> Iterator[Sessions]:
        """Lend sessions with every device; those already `opened`, where there are any."""
        ...

    def probes(self, window: float | None, progress: Progress) -> Probes:
        """What measures the plan's expectations there. `window`: see `RackProbes`."""
        ...

    def cannot_measure(self, expectation: Expectation, adapters: Sessions) -> str:
        """Say why an expectation is not measured there; empty when it is."""
        ...


class RackTarget:
    """The rack of an inventory file."""

    def __init__(self, file: Path) -> None:
        """Read the file.

        Raises:
            BadInput: it cannot be used.
        """
        self.inventory, self._folder = load_inventory(file), file.absolute().parent

    def connect(self, device: str) -> Adapter:
        return racks.connect(self.inventory, device, self._folder)

    @contextmanager
    def sessions(self, opened: Sessions | None = None) -> Iterator[Sessions]:
        with racks.sessions(self.inventory, self._folder, opened) as adapters:
            yield adapters

    def probes(self, window: float | None, progress: Progress) -> Probes:
        return RackProbes(self.inventory, window=window, progress=progress)

    def cannot_measure(self, expectation: Expectation, adapters: Sessions) -> str:
        return verify.cannot_measure(expectation, adapters)


@dataclass(frozen=True, slots=True)
class LabTarget:
    """A running lab: the switches of its own controller are one device, each router is one.

    It may be gone: then it has no devices but the switches, which do not answer, so that `recover --gone` ends what was
    left of it.
    """

    name: str

    @property
    def inventory(self) -> Inventory:
        place = f"lab:{self.name}"
        adapters = {SWITCHES: SwitchAdapter.family, **dict.fromkeys(self._routers(), FrrAdapter.family)}
        devices = {name: Device(adapter=adapter, address=place, user="agent") for name, adapter in adapters.items()}
        return Inventory(name=self.name, devices=devices, known_hosts=place)

    def _routers(self) -> list[str]:
        lab = next((lab for lab in Lab.all() if lab.name == self.name), None)
        return [name for name, node in lab.topology.nodes.items() if isinstance(node, Router)] if lab else []

    def connect(self, device: str) -> Adapter:
        try:
            lab = Lab.open(self.name)
            return _adapter(lab, lab.agent(), device, owned=True)
        except TestbedError as error:
            raise DeviceError(f"{device}: {error}") from None

    @contextmanager
    def sessions(self, opened: Sessions | None = None) -> Iterator[Sessions]:
        if opened is not None:
            yield opened
            return
        lab = Lab.open(self.name)
        if lab.kind != "lab":
            raise BadInput(f"{self.name!r} is a {lab.kind}; a plan is carried out on a lab, or on a rack's inventory")
        routers = self._routers()
        with lab.agent() as agent:
            names = [*([SWITCHES] if are_steered(lab.topology) else []), *routers]
            yield {name: _adapter(lab, agent, name) for name in names}

    def probes(self, window: float | None, progress: Progress) -> Probes:
        return LabProbes(Lab.open(self.name), window=window, progress=progress)

    def cannot_measure(self, expectation: Expectation, adapters: Sessions) -> str:
        return cannot_measure(expectation)


def _adapter(lab: Lab, agent: Client, device: str, *, owned: bool = False) -> Adapter:
    key = hashlib.sha256(lab.folder.read_keys()["server_public"].encode()).hexdigest()
    identity = f"curve SHA256:{key}"  # made anew each time that a lab comes up
    if device == SWITCHES:
        return SwitchAdapter(agent, identity, owned=owned)
    return FrrAdapter(AgentTransport(agent, device, identity, owned=owned))


def target_of(place: Path | Target) -> Target:
    """Return the rack of an inventory file, or what is a target already."""
    return RackTarget(place) if isinstance(place, Path) else place
