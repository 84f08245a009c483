"""One telemetry value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one metric of one entity.

    Attributes:
        entity: `link:core1-core2:forward`, `interface:core1:eth1`, `device:core1`.
        metric: `delay`, `loss`, `load`, `up`, `cost`, `cpu`, ...
        value: in SI; states are 0 or 1. unit: `s`, `1`, `bit/s`.
        measured: when it was true, Unix seconds on the controller's clock (device clocks are corrected).
        received: when the controller had it.
        source: what measured it (`core1/ping`, `core1/show interface`).
    """

    entity: str
    metric: str
    value: float
    unit: str
    measured: float
    received: float
    source: str
