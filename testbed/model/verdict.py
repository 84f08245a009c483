"""What the twin says of a change, with the evidence. Never "safe"."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field

from testbed.model.base import Model, Name
from testbed.model.change import Change, Expectation


class Outcome(StrEnum):
    PASSED = "PASSED"
    FAILED = "FAILED"
    INCONCLUSIVE = "INCONCLUSIVE"


class Measured(Model):
    """One measurement of one expectation.

    Attributes:
        phase: `before-1`, `before-2`, `after-1`, `after-2`, or `rack` for the hardware's own.
        value: in SI (seconds, bit/s, fraction), None where the expectation is about something else than a number.
        low, high: 95 % confidence interval of `value`.
        samples: raw values behind it (RTTs in seconds, ...), for plots; may be thinned.
        proof: the packets or routes that prove it, as text lines an engineer can read.
    """

    phase: str
    holds: bool | None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    samples: tuple[float, ...] = ()
    proof: tuple[str, ...] = ()


class Finding(Model):
    """One expectation, judged."""

    expectation: Expectation
    outcome: Outcome
    reason: str
    measured: tuple[Measured, ...] = ()


class StaticFinding(Model):
    """What a check found without running anything."""

    check: str
    outcome: Outcome
    message: str


class DeviceChange(Model):
    """What the change does to one device: the same bytes in the twin and on the hardware.

    Attributes:
        lines: what is sent. rollback: what takes it back, proven in the twin. diff: unified, for people.
        before_hash, after_hash: SHA-256 (hex) of the device's running configuration, normalised by its adapter.
    """

    device: Name
    adapter: str
    lines: str
    rollback: str
    diff: str
    before_hash: str
    after_hash: str


class Verdict(Model):
    """The twin's judgement of one change.

    Attributes:
        forecast: expectation index to the value the twin measured after the change (SI), for comparison on the rack.
        state_hash: of the mirrored state the fork was made from. started, finished: Unix seconds.
    """

    change: Change
    outcome: Outcome
    reason: str
    static: tuple[StaticFinding, ...] = ()
    findings: tuple[Finding, ...] = ()
    devices: tuple[DeviceChange, ...] = ()
    forecast: dict[str, float] = Field(default_factory=dict)
    state_hash: str = ""
    started: float = 0.0
    finished: float = 0.0
    environment: dict[str, Any] = Field(default_factory=dict)
