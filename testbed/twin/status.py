"""What a mirror publishes of itself, once a period, in a file that anybody may read at any moment."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct

from testbed.processes import Process
from testbed.substrate.folder import write_atomically
from testbed.twin.capacity import Capacity

STATUS_FILE = "mirror-status.json"


class Aged(Struct, frozen=True):
    """Seconds of age, over time, since the moment of measuring."""

    p50: float
    p95: float
    p99: float


class FieldStatus(Struct, frozen=True):
    """One mirrored field. `age`: now. `stale`: older than three periods allow."""

    entity: str
    metric: str
    age: float
    stale: bool
    aoi: Aged | None = None


class DeviceStatus(Struct, frozen=True):
    """One device. `age`: seconds since its last reading was true, None when there was none. `error`: the last one's.

    `away_since`: Unix seconds of the first reading in a row that failed, None while it answers. `told`: it tells of
    changed links by itself; else they show at the next poll.
    """

    reachable: bool
    age: float | None
    polls: int
    failures: int
    missed_polls: int
    poll_seconds: float
    away_since: float | None = None
    told: bool = False
    error: str = ""


class LinkStatus(Struct, frozen=True):
    """One link: what was measured on the rack (`rtt`, `loss` of round trips) and what the twin is set to, each way.

    `rate`: bit/s the twin is limited to, None without limit: the lower one of `declared_rate` (as devices say) and
    `capacity` (what was measured). `load`: bit/s forward and backward, by counters.
    """

    up: bool
    rtt: float | None
    loss: float | None
    delay: float
    jitter: float
    set_loss: float
    rate: float | None
    declared_rate: float | None
    capacity: Capacity | None
    load: tuple[float, float]
    steps: int


class RttError(Struct, frozen=True):
    """|twin's median RTT - rack's|, milliseconds, over `pairs` comparisons. `last`: pair to (rack, twin)."""

    p50: float
    p95: float
    pairs: int
    last: dict[str, tuple[float, float]] = {}


class MirrorStatus(Struct, frozen=True, kw_only=True):
    """A mirror's state.

    Attributes:
        phase: `starting`, `running`, `stopped`, `failed`; `died` when the process is gone without having said so.
        in_step: every link is set from enough replies. written: Unix seconds. period: seconds.
        aoi: age over all fields. alignment: updates in time / planned.
        drift: what the rack has become since it was discovered and the twin cannot follow; discover again.
        mismatches: rack and twin differ here, right now. compared: how many values were compared.
        rtt_error_ms: twin against rack. stack_rtt: calibration, seconds taken off every round trip.
        load_scale: share of the rack's load that the twin carries; below 1 the cap `load_cap_pps` is reached.
        batches, changes: batches sent to the twin and settings in them. events: (Unix seconds, what), newest last.
    """

    name: str
    rack: str
    phase: str
    process: Process | None = None
    started: float = 0.0
    written: float = 0.0
    period: float = 1.0
    error: str = ""
    in_step: bool = False
    devices: dict[str, DeviceStatus] = {}
    links: dict[str, LinkStatus] = {}
    fields: tuple[FieldStatus, ...] = ()
    aoi: Aged | None = None
    alignment: float = 0.0
    planned: int = 0
    in_time: int = 0
    drift: tuple[str, ...] = ()
    mismatches: tuple[str, ...] = ()
    compared: int = 0
    rtt_error_ms: RttError | None = None
    stack_rtt: float = 0.0
    load_scale: float = 1.0
    load_cap_pps: float = 0.0
    batches: int = 0
    changes: int = 0
    missed_ticks: int = 0
    set_latency_ms: Aged | None = None
    events: tuple[tuple[float, str], ...] = ()


def write(folder: Path, status: MirrorStatus) -> None:
    """Replace the status file in one step (rename(2))."""
    write_atomically(folder / STATUS_FILE, msgspec.json.encode(status), sync=False)


def read(folder: Path) -> MirrorStatus | None:
    """The last status written, None when there is none."""
    try:
        return msgspec.json.decode((folder / STATUS_FILE).read_bytes(), type=MirrorStatus)
    except FileNotFoundError:
        return None
