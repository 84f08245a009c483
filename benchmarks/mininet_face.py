"""Mininet's own API on our engine against stock Mininet: build and teardown per node, memory, growth to 2,000 nodes.

Stock Mininet is run as a ring of hosts alone: its switches need an Open vSwitch daemon or brctl. Natively its links are
plain, in a guest they have a delay. Down counts until the kernel has cleared the namespaces; stock Mininet's does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
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


def _each(results: list[dict[str, float]]) -> tuple[float, float, float]:
    """Return ms up and down per node and kB per node, medians."""
    up_down = median((one["up_s"] + one["down_s"] + one["cleared_s"]) / one["nodes"] * 1e3 for one in results)
    return up_down, median(one["up_s"] / one["nodes"] * 1e3 for one in results), median(
        one["bytes"] / one["nodes"] / 1e3 for one in results
    )  # fmt: skip


def measure() -> list[Claim]:
    """Run it all; about four minutes."""
    native, guest = mininet_native(STOCK_NATIVE), mininet_in_guest(MININET_IN_GUEST)
    native_peer = native and native / STOCK_NATIVE * 1e3
    guest_peer = guest and guest / MININET_IN_GUEST * 1e3
    claims = []
    for kind in KINDS:
        grown = []
        for count in NATIVE:
            each, up, memory = _each([natively(kind, count) for _ in range(RUNS)])
            grown.append(up)
            peer = native_peer if kind == "ring" else None
            target = peer / 10 if peer else None
            name = f"{kind} of {count} through Mininet's API, native"
            stock = f"Mininet, ring of {STOCK_NATIVE}" if peer else ""
            claims.append(Claim(f"{name}: up and down, per node", each, "ms", RUNS, stock, peer, target))
            claims.append(Claim(f"{name}: memory, per node", memory, "kB", RUNS, ""))
        claims.append(Claim(f"{kind}: build per node, 2000 against 200", grown[1] / grown[0], "×", RUNS, "", None, 1.5))
        for count in IN_GUEST:
            each, _, _ = _each([in_guest(kind, count)])
            peer = guest_peer if kind == "ring" else None
            name = f"{kind} of {count} through Mininet's API, uml, 5 ms on each link: up and down, per node"
            stock = f"Mininet, TCLink, ring of {MININET_IN_GUEST}" if peer else ""
            claims.append(Claim(name, each, "ms", 1, stock, peer, peer / 100 if peer else None))
    return claims
