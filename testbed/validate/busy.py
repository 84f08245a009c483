"""Whether this machine was too busy to blame the network for what was late.

An emulated delay ends when the kernel gets the processor. Where that has to wait, packets are late that no link
delayed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.model.change import ConvergenceGap, Expectation, RoundTrip, Throughput
from testbed.model.verdict import Measured

PRESSURE = Path("/proc/pressure/cpu")
# Share of the time in which something that could have run waited for a processor.
TOO_BUSY = 0.4
DOUBT = "this machine was too busy to blame the network"


@dataclass(slots=True)
class Watch:
    """`share` of the watched time in which something waited for a processor, None where the kernel does not say."""

    share: float | None = None


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch the machine while something is measured (pressure stall information, Linux's accounting/psi.rst)."""
    watch, start, waited = Watch(), time.monotonic(), _waited()
    try:
        yield watch
    finally:
        if waited is not None and (now := _waited()) is not None:
            watch.share = min(1.0, (now - waited) / max(1e-6, time.monotonic() - start))


def _waited() -> float | None:
    """Seconds since boot in which something waited: `some ... total=MICROSECONDS`."""
    try:
        line = PRESSURE.read_text(encoding="ascii").splitlines()[0]
        return int(line.rpartition("total=")[2]) / 1e6
    except (OSError, ValueError, IndexError):
        return None


def tempered(expectation: Expectation, measured: Measured, share: float | None) -> Measured:
    """Leave open what did not hold, where a busy machine explains it as well as the network does.

    A round-trip time stays refuted when even the fastest packet was too late: a busy machine does not delay them all.

    Args:
        share: of the time measured in which something waited for a processor.
    """
    timed = isinstance(expectation, RoundTrip | ConvergenceGap | Throughput)
    if share is None or share < TOO_BUSY or not timed or measured.holds is not False or measured.value is None:
        return measured
    if isinstance(expectation, RoundTrip) and min(measured.samples, default=0.0) >= expectation.below:
        return measured
    why = f"{DOUBT}: for {100 * share:.0f} % of the time something waited for a processor; try again when it is quieter"
    return measured.model_copy(update={"holds": None, "proof": (why, *measured.proof)})
