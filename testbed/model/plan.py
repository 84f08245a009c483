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


class Plan(Model):
    """What `apply` will do, to the byte.

    Attributes:
        id: hex SHA-256 of the canonical JSON of all else here but the approval.
        verdict_hash: of the verdict it rests on. proposed_by: who asked. created: Unix seconds.
        revert_after: seconds until an unconfirmed device takes its old configuration back.
        lacks: what a device's adapter cannot do, said plainly.
    """

    id: str
    change: Change
    outcome: Outcome
    devices: tuple[DeviceChange, ...]
    forecast: dict[str, float] = Field(default_factory=dict)
    verdict_hash: str
    proposed_by: str
    created: float
    revert_after: float = 120.0
    lacks: tuple[str, ...] = ()
    approval: Approval | None = None
