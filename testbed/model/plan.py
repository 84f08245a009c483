"""A passed change bound to the bytes and to the devices' configuration; used once."""

from __future__ import annotations

from pydantic import Field

from testbed.model.base import Model
from testbed.model.change import Change
from testbed.model.verdict import DeviceChange, Outcome


class Approval(Model):
    """Who let it pass. `by` is never who proposed it."""

    by: str
    at: float
    plan_hash: str
    signature: str = ""


class Identity(Model):
    """Which device it is: where it is reached, and its SSH host key as `ssh-ed25519 SHA256:...`."""

    address: str
    port: int
    host_key: str


class Plan(Model):
    """What `apply` will do, to the byte.

    Attributes:
        id: hex SHA-256 of the canonical JSON of all else here but the approval.
        rack: name of the inventory it is for. identities: of every device it touches, by name.
        verdict_hash: of the verdict it rests on. proposed_by: who asked. created: Unix seconds.
        estimate: seconds that committing, verifying and confirming are expected to take.
        revert_after: seconds until an unconfirmed device takes its old configuration back.
        lacks: what a device's adapter cannot do, said plainly.
    """

    id: str
    rack: str
    change: Change
    outcome: Outcome
    devices: tuple[DeviceChange, ...]
    identities: dict[str, Identity]
    forecast: dict[str, float] = Field(default_factory=dict)
    verdict_hash: str
    proposed_by: str
    created: float
    estimate: float
    revert_after: float
    lacks: tuple[str, ...] = ()
    approval: Approval | None = None
