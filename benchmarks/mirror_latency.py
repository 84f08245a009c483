"""From a sample measured on a rack to the twin's link set from it: the metro rack and its twin, each in a guest.

With the mirror's tolerances at zero every poll sets every link, so each round trip's last packet is followed to the
moment when the twin's agent has confirmed the settings that rest on it. No peer mirrors a rack into an emulation.
"""

from __future__ import annotations

import select
import sys
import time
from pathlib import Path

from benchmarks.claims import Claim
from testbed.rack import rack_down, rack_up
from testbed.twin import mirror
from testbed.twin.status import MirrorStatus

RACK = Path(__file__).parent.parent / "topologies" / "racks" / "metro" / "rack.yaml"
SECONDS = 30.0
NO_PEER = "no peer does this"


def run(seconds: float) -> MirrorStatus:
    """Mirror the metro rack for `seconds` with everything sent at every poll; returns the last status."""
    rack = rack_up(RACK, name="bench-metro")
    try:
        mirror.start(rack.inventory(), base=rack.folder, name="bench-twin", tolerance=0.0)
        try:
            select.select([], [], [], seconds)  # the mirror works; nothing is awaited but time
        finally:
            last = mirror.stop("bench-twin")
    finally:
        rack_down("bench-metro")
    return last


def measure() -> list[Claim]:
    """Run it; about a minute and a half."""
    started = time.monotonic()
    last = run(SECONDS)
    if last.set_latency_ms is None:
        raise RuntimeError(
            f"the mirror set no link in {time.monotonic() - started:.0f} s: {last.error or last.devices}"
        )
    found = {"p50": last.set_latency_ms.p50, "p99": last.set_latency_ms.p99}
    return [
        Claim(f"rack sample to twin link set, {name}", value, "ms", last.changes // 2, NO_PEER)
        for name, value in found.items()
    ]


if __name__ == "__main__":
    import json
    from dataclasses import asdict

    claims = measure()
    as_json = "--json" in sys.argv
    print(
        json.dumps([asdict(c) for c in claims], indent=2) if as_json else "\n".join(" | ".join(c.row()) for c in claims)
    )
