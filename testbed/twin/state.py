"""What the twin holds of the rack at one moment: frozen, canonical, hashed; what a fork is built from."""

from __future__ import annotations

import hashlib
import json

from pydantic import Field

from testbed.errors import NotReady
from testbed.model.base import Model, Name, Rate
from testbed.model.topology import Router, Topology
from testbed.substrate.folder import LabFolder

STATE_FILE = "mirror-state.json"


class MirroredFlow(Model):
    """Background UDP load of one link direction: `rate` bit/s of IP packets of `size` bytes."""

    source: Name
    destination: str
    sink: Name
    rate: Rate
    size: int = Field(default=1000, ge=64, le=9000)


class MirroredState(Model):
    """A twin's state, complete enough to build another twin from.

    Attributes:
        twin: lab it was taken from. measured: Unix seconds when the oldest of its device readings was true.
        topology: links with their current impairments and up/down, routers with the rack's running configuration,
            of a lab also where its switches send packets.
        load: background flows, already scaled. load_scale: their share of the rack's load (1 when not capped).
        stale: devices whose last reading is older than the mirror allows.
        drift: what the rack has become since it was discovered and the twin could not follow.
    """

    twin: Name
    measured: float
    topology: Topology
    load: tuple[MirroredFlow, ...] = ()
    load_scale: float = 1.0
    stale: tuple[Name, ...] = ()
    drift: tuple[str, ...] = ()

    @property
    def running_configs(self) -> dict[str, str]:
        """Device to running configuration, as the rack has it."""
        routers = {name: node for name, node in self.topology.nodes.items() if isinstance(node, Router)}
        return {name: node.config or "" for name, node in routers.items()}

    def canonical(self) -> bytes:
        """JSON with sorted keys and no spaces, UTF-8: equal states give equal bytes."""
        content = self.model_dump(mode="json")
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @property
    def state_hash(self) -> str:
        """SHA-256 (hex) of what a fork is built from: topology and load, not when they were measured."""
        content = self.model_dump(mode="json", include={"topology", "load"})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


def current_state(twin_name: str) -> MirroredState:
    """Return what the mirror of this twin last made true in it.

    Args:
        twin_name: lab name of the twin.

    Raises:
        NotReady: no mirror has completed a poll for this twin.
        BadInput: no lab has this name.
    """
    path = LabFolder.open(twin_name).path / STATE_FILE
    try:
        return MirroredState.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise NotReady(
            f"twin {twin_name!r} has no mirrored state yet ({path}); start its mirror: testbed mirror start INVENTORY"
        ) from None
