"""Mininet's own API on our engine against stock Mininet: build and teardown per node, memory, growth to 2,000 nodes.

Stock Mininet runs the same script; its switches are LinuxBridge, which needs brctl (Debian's bridge-utils). Natively
links are plain, in a guest they have a delay. Up and down last until `net.stop()` returns, for both; how long the
kernel then takes to clear all away is a line of its own, of ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.bring_up import MININET_IN_GUEST, mininet_in_guest, mininet_native
from benchmarks.claims import Claim
from testbed.emulator.messages import Output
from testbed.mininet_run import RUNNER, Script, run_in_guest

SCRIPT = Path(__file__).parent / "mininet_kinds.py"
KINDS = ("ring", "line", "tree")
IN_GUEST, NATIVE = (20, 100, 300), (200, 2000)
STOCK_NATIVE = 200
RUNS = 3
_LACKS = "Mininet or its brctl is not installed"


def natively(kind: str, count: int) -> dict[str, float]:
    """Run one kind once in this kernel."""
    command = [sys.executable, "-m", RUNNER, str(SCRIPT), kind, str(count), "plain"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return json.loads(done.stdout)


def in_guest(kind: str, count: int) -> dict[str, float]:
    """Run one kind once in a guest of its own, with a delay on every link."""
    said: list[bytes] = []

    def gather(event: Output) -> None:
        if event.stream == "stdout":
            said.append(event.data)

    run_in_guest(Script(SCRIPT, (kind, str(count), "shaped")), gather, memory=1536 * 2**20, timeout=300)
    return json.loads(b"".join(said))


def _median(results: list[dict[str, float]], *keys: str) -> float:
    """Return the median of what these add up to, per node."""
    return median(sum(one[key] for key in keys) / one["nodes"] for one in results)


def measure() -> list[Claim]:
    """Run it all; about six minutes."""
    return [claim for kind in KINDS for claim in (*_native(kind), *_in_guest(kind))]


def _native(kind: str) -> Iterator[Claim]:
    each = mininet_native(STOCK_NATIVE, kind)
    stock = f"Mininet, {kind} of {STOCK_NATIVE}" if each else _LACKS
    grown = []
    for count in NATIVE:
        results = [natively(kind, count) for _ in range(RUNS)]
        grown.append(_median(results, "up_s"))
        name, ours = f"{kind} of {count} through Mininet's API, native", _median(results, "up_s", "down_s") * 1e3
        yield Claim(f"{name}: up and down, per node", ours, "ms", RUNS, stock, each, each and each / 10)
        yield Claim(f"{name}: then until cleared, per node", _median(results, "cleared_s") * 1e3, "ms", RUNS, "")
        yield Claim(f"{name}: memory, per node", _median(results, "bytes") / 1e3, "kB", RUNS, "")
    yield Claim(f"{kind}: build per node, 2000 against 200", grown[1] / grown[0], "×", RUNS, "", None, 1.5)


def _in_guest(kind: str) -> Iterator[Claim]:
    each = mininet_in_guest(MININET_IN_GUEST, kind)
    stock = f"Mininet, TCLink, {kind} of {MININET_IN_GUEST}" if each else _LACKS
    for count in IN_GUEST:
        ours = _median([in_guest(kind, count)], "up_s", "down_s") * 1e3
        name = f"{kind} of {count} through Mininet's API, uml, 5 ms on each link: up and down, per node"
        yield Claim(name, ours, "ms", 1, stock, each, each and each / 100)
